//! Strict loading: does what a file holds fit what a model needs.

use std::collections::BTreeMap;
use std::fmt;

use candle_core::{CpuStorage, DType, Result, Storage, Tensor};

use crate::checkpoint::format::Signature;
use crate::error::{Error, legible};

/// Names that an error lists of each kind; it counts the rest.
const LISTED: usize = 3;

/// Checks that `found` has the names of `expected` and no others, each with its shape and its dtype. Among f64, f32,
/// f16 and bf16 any is taken for another, and among integers any ([`conform`] converts them). `what` names the file and
/// the network: "weights/x.safetensors: the dcgan generator".
///
/// # Errors
/// [`Error::Input`] with up to three names each of what is missing, is not expected, or is of another shape or dtype.
pub fn check_names(found: &Signature, expected: &Signature, what: &str) -> anyhow::Result<()> {
    let misfits = Misfits::between(found, expected);
    if misfits.count() == 0 {
        return Ok(());
    }
    Err(Error::Input(format!("{what} does not fit: {misfits}")).into())
}

/// What of a file does not fit a model.
pub struct Misfits {
    missing: Vec<String>,
    unexpected: Vec<String>,
    /// Of another shape or dtype, with both.
    different: Vec<String>,
}

impl Misfits {
    pub fn between(found: &Signature, expected: &Signature) -> Self {
        let different = expected
            .iter()
            .filter_map(|(name, needs)| found.get(name).map(|has| (name, has, needs)))
            .filter(|(_, has, needs)| has.0 != needs.0 || !is_convertible(has.1, needs.1))
            .map(|(name, has, needs)| format!("{name} (the file has {}, this model needs {})", show(has), show(needs)))
            .collect();
        Self {
            missing: expected.keys().filter(|name| !found.contains_key(*name)).cloned().collect(),
            unexpected: found.keys().filter(|name| !expected.contains_key(*name)).cloned().collect(),
            different,
        }
    }

    pub fn count(&self) -> usize {
        self.missing.len() + self.unexpected.len() + self.different.len()
    }
}

impl fmt::Display for Misfits {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let parts: Vec<_> =
            [("missing", &self.missing), ("not expected", &self.unexpected), ("different", &self.different)]
                .into_iter()
                .filter(|(_, names)| !names.is_empty())
                .map(|(kind, names)| format!("{kind}: {}", list(names)))
                .collect();
        out.write_str(&legible(&parts.join("; ")))
    }
}

/// The tensors of `expected` from a file's, after [`check_names`], converted to the expected dtypes.
///
/// # Errors
/// As [`check_names`].
pub fn conform(
    tensors: &BTreeMap<String, Tensor>,
    expected: &Signature,
    what: &str,
) -> anyhow::Result<BTreeMap<String, Tensor>> {
    let found = tensors.iter().map(|(name, tensor)| (name.clone(), (tensor.dims().to_vec(), tensor.dtype()))).collect();
    check_names(&found, expected, what)?;
    let mut conformed = BTreeMap::new();
    for (name, (_, dtype)) in expected {
        conformed.insert(name.clone(), tensors[name].to_dtype(*dtype)?);
    }
    Ok(conformed)
}

fn is_convertible(from: DType, to: DType) -> bool {
    from.is_float() == to.is_float()
}

/// The first tensor of f32 that holds a NaN or an infinity, if one does. Reads all of them.
pub fn first_non_finite(tensors: &BTreeMap<String, Tensor>) -> Result<Option<&str>> {
    for (name, tensor) in tensors {
        if tensor.dtype() == DType::F32 && !is_finite(tensor)? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

pub(crate) fn is_finite(tensor: &Tensor) -> Result<bool> {
    let (storage, layout) = tensor.storage_and_layout();
    if let (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) = (&*storage, layout.contiguous_offsets()) {
        // Without its sign, a NaN or an infinity has all bits of the exponent; a maximum of integers is fast.
        const INFINITY: u32 = f32::INFINITY.to_bits();
        let largest = values[start..end].iter().fold(0, |largest, value| (value.to_bits() & !(1 << 31)).max(largest));
        return Ok(largest < INFINITY);
    }
    drop(storage);
    // 0 x is 0 for every finite x and NaN for every other, so one sum tells.
    Ok((tensor * 0.0)?.sum_all()?.to_scalar::<f32>()? == 0.0)
}

fn list(names: &[String]) -> String {
    let listed = names[..names.len().min(LISTED)].join(", ");
    match names.len().checked_sub(LISTED) {
        None | Some(0) => listed,
        Some(more) => format!("{listed} and {more} more"),
    }
}

fn show((shape, dtype): &(Vec<usize>, DType)) -> String {
    format!("{} {shape:?}", dtype.as_str())
}
