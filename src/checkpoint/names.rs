//! Strict loading: does what a file holds fit what a model needs.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};

use super::format::Signature;
use crate::error::{Failure, legible};

/// Names that an error lists of each kind; it counts the rest.
const LISTED: usize = 3;

/// Checks that `found` has the names of `expected` and no others, each with its shape and its dtype. Among f64, f32,
/// f16 and bf16 any is taken for another ([`conform`] converts them); integers must be the same. `what` names the file
/// and the network: "weights/x.safetensors: the dcgan generator".
///
/// # Errors
/// [`Failure::Input`] with up to three names each of what is missing, is not expected, or is of another shape or dtype.
pub fn check_names(found: &Signature, expected: &Signature, what: &str) -> anyhow::Result<()> {
    let missing: Vec<_> = expected.keys().filter(|name| !found.contains_key(*name)).cloned().collect();
    let unexpected: Vec<_> = found.keys().filter(|name| !expected.contains_key(*name)).cloned().collect();
    let different: Vec<_> = expected
        .iter()
        .filter_map(|(name, needs)| found.get(name).map(|has| (name, has, needs)))
        .filter(|(_, has, needs)| has.0 != needs.0 || !is_convertible(has.1, needs.1))
        .map(|(name, has, needs)| format!("{name} (the file has {}, this model needs {})", show(has), show(needs)))
        .collect();
    let parts: Vec<_> = [("missing", missing), ("not expected", unexpected), ("different", different)]
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(kind, names)| format!("{kind}: {}", list(&names)))
        .collect();
    if parts.is_empty() {
        return Ok(());
    }
    Err(Failure::Input(format!("{what} does not fit: {}", legible(&parts.join("; ")))).into())
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
    from == to || (from.is_float() && to.is_float())
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
