//! What a step changes, put together for a checkpoint and taken apart again.

use std::collections::BTreeMap;

use anyhow::bail;
use candle_core::{DType, Result, Tensor};

use crate::checkpoint::names::is_finite;
use crate::error::Error;
use crate::params::is_buffer;

/// What the names of the best network so far begin with, in the checkpoints of a run that keeps it.
pub const BEST_PREFIX: &str = "best.";

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// All parts in one, each name under its part's prefix.
pub fn joined<const N: usize>(parts: [(&str, Tensors); N]) -> Tensors {
    let prefixed = |(prefix, tensors): (&str, Tensors)| {
        tensors.into_iter().map(move |(name, tensor)| (format!("{prefix}{name}"), tensor)).collect::<Vec<_>>()
    };
    parts.into_iter().flat_map(prefixed).collect()
}

/// A saved state that is taken part by part.
pub struct Parts(Tensors);

impl Parts {
    pub fn of(state: &Tensors) -> Self {
        Self(state.clone())
    }

    /// The tensors under `prefix`, without it.
    pub fn take(&mut self, prefix: &str) -> Tensors {
        let names: Vec<String> = self.0.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
        let strip = |name: String| self.0.remove(&name).map(|tensor| (name[prefix.len()..].to_string(), tensor));
        names.into_iter().filter_map(strip).collect()
    }

    /// Refuses what nobody has taken: the checkpoint is of another configuration.
    pub fn finish(self) -> anyhow::Result<()> {
        if let Some(name) = self.0.keys().next() {
            bail!(anyhow::anyhow!("it holds a tensor {name:?} that this run does not have").context(wrong_config()));
        }
        Ok(())
    }
}

/// A checkpoint that is not of the run it lies in.
pub fn wrong_config() -> Error {
    Error::Input("the checkpoint does not fit the run's configuration".into())
}

/// Which tensors are not finite, where a loss is not: once it is NaN, all that are updated by it.
pub fn non_finite(state: &Tensors) -> Result<String> {
    let mut names = Vec::new();
    for (name, tensor) in state {
        if tensor.dtype() == DType::F32 && !is_finite(tensor)? {
            names.push(name);
        }
    }
    Ok(match (names.iter().find(|name| is_network(name)).or(names.first()), names.len()) {
        (None, _) => "all weights are finite".into(),
        (Some(name), 1) => format!("{name} holds a NaN or an infinity"),
        (Some(name), count) => format!("{name} and {} more tensors hold a NaN or an infinity", count - 1),
    })
}

/// The parameter with the largest number in it: where a run that diverges from this state most likely begins to.
pub fn largest(state: &Tensors) -> Result<Option<(f32, &str)>> {
    let mut largest: Option<(f32, &str)> = None;
    let is_trained = |name: &str| is_network(name) && !name.starts_with(BEST_PREFIX) && !is_buffer(name);
    let parameters = state.iter().filter(|(name, _)| is_trained(name));
    for (name, tensor) in parameters.filter(|(_, tensor)| tensor.dtype() == DType::F32 && tensor.elem_count() > 0) {
        let size = tensor.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
        if largest.is_none_or(|(most, _)| size > most) {
            largest = Some((size, name));
        }
    }
    Ok(largest)
}

/// Whether a tensor of a checkpoint is a network's and not its optimizer's.
pub fn is_network(name: &str) -> bool {
    !name.starts_with("adam.") && !name.starts_with("optimizer.")
}
