//! The network that is wanted of a file that may hold anything else, under whatever prefix.
//!
//! Training scripts save a network beside its optimizer, under `model_state_dict` or `netG`; wrappers put `module.` or
//! `_orig_mod.` before every name, and a network within another has the name of its attribute before its own. All these
//! are prefixes: where below one of them lies every tensor of a network, each of its shape, the network is found. Whatever
//! lies elsewhere is passed over. Files that this program wrote are held to their exact content.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::bail;
use candle_core::{DType, Device, Tensor};

use super::prefix;
use crate::checkpoint::elements;
use crate::checkpoint::names::Misfits;
use crate::checkpoint::{Signature, Weights, conform, first_non_finite};
use crate::error::{self, Error, legible};
use crate::models::{Architecture, EncoderArchitecture, NetworkDescription, NetworkKind};
use crate::pretrained::recognise::{Candidate, family, recognise};

/// The buffer that PyTorch's older versions and other programs leave out, and that nothing is computed with.
const COUNTER: &str = "num_batches_tracked";
/// Counters that the profiler thop leaves in every module.
const PROFILED: [&str; 2] = ["total_ops", "total_params"];
/// Networks of a kind that one file may hold; more are no matter of choice.
const MOST: usize = 32;
/// As in reading: tensors that repeat what is stored once may be so many times the file.
const MOST_EXPANSION: u64 = 4;

/// What is looked for in a file.
#[derive(Clone, Copy, Debug)]
pub enum Wanted {
    Generator {
        /// Of whichever model, if none is named.
        architecture: Option<Architecture>,
        /// As it was trained, not its average.
        raw: bool,
    },
    Discriminator {
        /// Of whichever model, if none is named.
        architecture: Option<Architecture>,
    },
    Encoder {
        /// Of whichever architecture, if none is named.
        architecture: Option<EncoderArchitecture>,
    },
    /// An encoder with a linear classifier on it.
    Classifier,
    DigitClassifier,
}

impl Wanted {
    /// Whether a network is of the kind.
    pub fn is(&self, kind: &NetworkKind) -> bool {
        matches!(
            (self, kind),
            (Self::Generator { .. }, NetworkKind::Generator { .. })
                | (Self::Discriminator { .. }, NetworkKind::Discriminator { .. })
                | (Self::Encoder { .. }, NetworkKind::Encoder { .. })
                | (Self::Classifier, NetworkKind::Classifier { .. })
                | (Self::DigitClassifier, NetworkKind::DigitClassifier { .. })
        )
    }

    /// Why a network of the kind, in the file at `path`, is not the one, if it is not.
    fn refusal(&self, kind: &NetworkKind, path: &Path) -> Option<Error> {
        let other = |found: String, name, value| Error::OtherNetwork { path: path.into(), found, name, value };
        match (*self, kind) {
            (Self::Generator { architecture: Some(wanted), .. }, NetworkKind::Generator { architecture, .. }) => {
                // What differs between models of one family is how they are trained.
                let found = family(*architecture);
                (found != family(wanted)).then(|| other(format!("{found} generator"), "model", wanted.name()))
            }
            (Self::Discriminator { architecture: Some(wanted) }, NetworkKind::Discriminator { architecture, .. }) => {
                let found = family(*architecture);
                (found != family(wanted)).then(|| other(format!("{found} discriminator"), "model", wanted.name()))
            }
            (Self::Encoder { architecture: Some(wanted) }, NetworkKind::Encoder { architecture, .. }) => {
                let found = format!("{} encoder", architecture.name());
                (wanted != *architecture).then(|| other(found, "encoder", wanted.name()))
            }
            _ => None,
        }
    }

    /// Whether an averaged copy of it is better than itself.
    fn prefers_average(&self) -> bool {
        matches!(self, Self::Generator { raw: false, .. })
    }
}

/// A network that was found, with its tensors.
#[derive(Debug)]
pub struct FoundNetwork {
    pub description: NetworkDescription,
    /// Under our names, in our dtypes, all finite.
    pub tensors: BTreeMap<String, Tensor>,
    /// Its file, where in it, and what it was preferred to.
    pub place: String,
    /// The same and what it is.
    pub words: String,
}

/// A network whose names and shapes fit.
struct Fit {
    candidate: Candidate,
    expected: Signature,
    /// Our names with those of the file; counters that the file lacks are not among them.
    names: BTreeMap<String, String>,
    /// The file and where in it.
    place: String,
    /// The same and what it is.
    what: String,
}

/// Finds the network of a file. Where several fit, the one of the most usual name; `None` where nothing looks like one.
///
/// # Errors
/// [`Error::OtherNetwork`] where another one was asked for. [`Error::Input`] where what looks like one does not fit, where
/// several fit equally well, or where a weight is NaN or infinite.
pub fn find(weights: &Weights, wanted: &Wanted) -> anyhow::Result<Option<FoundNetwork>> {
    let mut candidates = recognise(weights)?;
    candidates.retain(|candidate| wanted.is(&candidate.description.kind));
    if candidates.len() > MOST {
        bail!(Error::reading(&weights.path, format!("holds more than {MOST} networks of the kind; save one alone")));
    }
    let (mut fits, mut misfits) = (Vec::new(), Vec::new());
    for candidate in candidates {
        match fit(weights, wanted, candidate)? {
            Ok(fit) => fits.push(fit),
            Err(misfit) => misfits.push(misfit),
        }
    }
    if fits.is_empty() {
        // What is wrong with the one that is nearest to a fit.
        return match misfits.into_iter().min_by_key(|(count, _)| *count) {
            None => Ok(None),
            Some((_, error)) => Err(error.into()),
        };
    }
    choose(weights, wanted, fits).map(Some)
}

/// How far it is from fitting, and the error.
type Misfit = (usize, Error);

fn fit(weights: &Weights, wanted: &Wanted, candidate: Candidate) -> anyhow::Result<Result<Fit, Misfit>> {
    let prefix = &candidate.prefix;
    let (path, ours) = (weights.path.display(), weights.are_ours());
    let below = || weights.signature.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(prefix));
    let bytes = below().map(|(_, (shape, dtype))| elements::byte_length(shape, dtype.size_in_bytes()));
    let bytes = bytes.fold(0u64, |sum, bytes| sum.saturating_add(bytes.unwrap_or(usize::MAX) as u64));
    if bytes > weights.bytes.saturating_mul(MOST_EXPANSION) {
        let error = Error::reading(&weights.path, format!("its tensors repeat what is stored once, to {bytes} bytes"));
        return Ok(Err((usize::MAX, error)));
    }
    let kind = &candidate.description.kind;
    let refusal = || candidate.refusal.as_ref().map(|refusal| Error::reading(&weights.path, refusal));
    if let Some(error) = wanted.refusal(kind, &weights.path).or_else(refusal) {
        return Ok(Err((0, error)));
    }
    let unfit = |error: candle_core::Error| Error::reading(&weights.path, error::text(&error.into()));
    let expected = candidate.description.signature().map_err(unfit)?;
    let (mut found, mut names) = (Signature::new(), BTreeMap::new());
    for (name, (shape, dtype)) in below() {
        let inner = &name[prefix.len()..];
        let last = inner.rsplit('.').next().unwrap_or(inner);
        let name_here = candidate.naming.our_name(inner, shape);
        let is_passed_over = !ours && (name_here.is_none() || PROFILED.contains(&last));
        if is_passed_over {
            continue;
        }
        let name_here = name_here.filter(|name| !found.contains_key(name)).unwrap_or_else(|| inner.to_owned());
        let mut described = (shape.clone(), *dtype);
        if !ours && last == COUNTER && matches!(shape[..], [] | [1]) {
            described = (Vec::new(), DType::I64); // what it will be
        }
        found.insert(name_here.clone(), described);
        names.insert(name_here, name.clone());
    }
    if !ours {
        for (name, described) in expected.iter().filter(|(name, _)| name.ends_with(COUNTER)) {
            found.entry(name.clone()).or_insert_with(|| described.clone());
        }
    }
    // What the tensors of an encoder begin with goes without saying.
    let usual = if matches!(kind, NetworkKind::Encoder { .. }) { "f." } else { "" };
    let at = prefix.strip_suffix(usual).unwrap_or(prefix).trim_end_matches('.');
    let at = if at.is_empty() { String::new() } else { format!(" at {}", legible(at)) };
    let place = format!("{path}{at}");
    let what = format!("{place}, {}", candidate.words());
    let misfits = Misfits::between(&found, &expected);
    if misfits.count() == 0 {
        return Ok(Ok(Fit { candidate, expected, names, place, what }));
    }
    let is_needed = |name: &str| {
        let inner = name.strip_prefix(prefix).and_then(|inner| candidate.naming.our_name(inner, &[]));
        inner.is_some_and(|name| expected.contains_key(&name))
    };
    let unread = weights.unread.iter().find(|(name, _)| is_needed(name));
    let unread = unread.map(|(name, why)| format!("; {} is {}, which is not read", legible(name), legible(why)));
    let text = format!("{what} does not fit: {misfits}{}", unread.unwrap_or_default());
    Ok(Err((misfits.count(), Error::Input(text))))
}

/// The fit of the most usual name, read. Copies of the same values are one.
fn choose(weights: &Weights, wanted: &Wanted, mut fits: Vec<Fit>) -> anyhow::Result<FoundNetwork> {
    let rank = |fit: &Fit| prefix::rank(&fit.candidate.prefix, wanted.prefers_average());
    let name = |fit: &Fit| legible(fit.candidate.prefix.trim_end_matches('.'));
    fits.sort_by_cached_key(rank);
    let equal = fits.iter().filter(|fit| rank(fit) == rank(&fits[0])).count();
    let tensors = read(weights, &fits[0])?;
    for other in &fits[1..equal] {
        if !are_same(&tensors, &read(weights, other)?)? {
            let mut places: Vec<_> = fits[..equal].iter().map(name).collect();
            let more = places.len().saturating_sub(6);
            places.truncate(6);
            let and_more = if more > 0 { format!(" and {more} more") } else { String::new() };
            bail!(Error::reading(
                &weights.path,
                format!(
                    "several networks in it fit: {}{and_more}\nexpected one; save it alone: torch.save(CHECKPOINT[NAME], FILE)",
                    places.join(", ")
                )
            ));
        }
    }
    let others: Vec<_> = fits[1..].iter().map(name).collect();
    let Fit { candidate, place, what, .. } = fits.swap_remove(0);
    let beside = match others.len() {
        0 => String::new(),
        1..=3 => format!(" (preferred to {})", others.join(", ")),
        count => format!(" (preferred to {} and {} more)", others[..3].join(", "), count - 3),
    };
    Ok(FoundNetwork { description: candidate.description, tensors, place: place + &beside, words: what + &beside })
}

fn read(weights: &Weights, fit: &Fit) -> anyhow::Result<BTreeMap<String, Tensor>> {
    let wanted: BTreeSet<&str> = fit.names.values().map(String::as_str).collect();
    let mut read = weights.read(&|name| wanted.contains(name))?;
    let mut tensors = BTreeMap::new();
    for (name, (shape, _)) in &fit.expected {
        let tensor = match fit.names.get(name).and_then(|theirs| read.remove(theirs)) {
            // PyTorch takes a counter of one dimension too.
            Some(tensor) if name.ends_with(COUNTER) => tensor.reshape(shape.as_slice())?.to_dtype(DType::I64)?,
            Some(tensor) => tensor,
            None => Tensor::zeros(shape.as_slice(), DType::I64, &Device::Cpu)?,
        };
        tensors.insert(name.clone(), tensor);
    }
    let tensors = conform(&tensors, &fit.expected, &fit.what)?;
    if let Some(name) = first_non_finite(&tensors)? {
        let theirs = fit.names.get(name).map_or(name, String::as_str);
        bail!(Error::reading(
            &weights.path,
            format!("{} holds a NaN or an infinity; expected finite weights", legible(theirs))
        ));
    }
    Ok(tensors)
}

fn are_same(left: &BTreeMap<String, Tensor>, right: &BTreeMap<String, Tensor>) -> anyhow::Result<bool> {
    let bytes = |tensor: &Tensor| {
        let mut bytes = Vec::new();
        elements::write(tensor, &mut bytes).map(|()| bytes)
    };
    for (name, tensor) in left {
        let Some(other) = right.get(name) else { return Ok(false) };
        if bytes(tensor)? != bytes(other)? {
            return Ok(false);
        }
    }
    Ok(left.len() == right.len())
}
