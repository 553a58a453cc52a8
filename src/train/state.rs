//! What a step changes, put together for a checkpoint and taken apart again.

use std::collections::BTreeMap;

use anyhow::bail;
use candle_core::{DType, Result, Tensor};

use crate::error::Failure;

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
            bail!(anyhow::anyhow!("it holds a tensor {name:?} that this run does not have").context(misfit()));
        }
        Ok(())
    }
}

/// A checkpoint that is not of the run it lies in.
pub fn misfit() -> Failure {
    Failure::Input("the checkpoint does not fit the run's configuration".into())
}

/// Where to look when a loss is not finite: the tensors that are not, or, where all are, the largest number.
pub fn suspects(state: &Tensors) -> Result<String> {
    let (mut spoilt, mut largest) = (Vec::new(), (0.0, ""));
    for (name, tensor) in state.iter().filter(|(_, tensor)| tensor.dtype() == DType::F32) {
        let size = tensor.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
        if !is_finite(tensor)? {
            spoilt.push(name);
        } else if size > largest.0 {
            largest = (size, name);
        }
    }
    // The networks' own tensors before the optimizer's.
    let is_network = |name: &&&String| !name.starts_with("adam.") && !name.starts_with("optimizer.");
    match (spoilt.iter().find(is_network).or(spoilt.first()), spoilt.len()) {
        (None, _) => Ok(format!("all weights are finite, the largest number is {:.1e} in {}", largest.0, largest.1)),
        (Some(name), 1) => Ok(format!("{name} holds a NaN or an infinity")),
        (Some(name), count) => Ok(format!("{name} and {} more tensors hold a NaN or an infinity", count - 1)),
    }
}

/// The first tensor that holds a NaN or an infinity, if one does. Reads all of them.
pub fn first_non_finite(state: &Tensors) -> Result<Option<&str>> {
    for (name, tensor) in state {
        if tensor.dtype() == DType::F32 && !is_finite(tensor)? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn is_finite(tensor: &Tensor) -> Result<bool> {
    // 0 x is 0 for every finite x and NaN for every other, so one sum tells.
    Ok((tensor * 0.0)?.sum_all()?.to_scalar::<f32>()? == 0.0)
}
