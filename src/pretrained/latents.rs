use std::path::Path;

use anyhow::bail;

use crate::data::npy::{self, Values};
use crate::error::Error;
use crate::latent_space::LatentSpace;
use crate::rng::Stream;

/// Latents of samples `first` to `first + count` under `seed`: (count, `dim`). Each sample's depend on the seed and its
/// number alone.
pub fn latents(seed: u64, first: u64, count: usize, space: LatentSpace) -> Vec<f32> {
    let stream = Stream::new(seed, "sample");
    (first..first + count as u64).flat_map(|sample| space.draw(&mut stream.at(sample), 1)).collect()
}

/// Where latents come from.
#[derive(Debug)]
pub enum Latents {
    /// Drawn at random.
    Drawn {
        /// Seed of the draw.
        seed: u64,
        /// What is drawn.
        space: LatentSpace,
    },
    /// (rows, `latent_dim`), read from a file.
    Given {
        /// Row by row.
        values: Vec<f32>,
        /// Values in a latent.
        latent_dim: usize,
    },
}

impl Latents {
    /// Reads a .npy of shape (N, `latent_dim`), f16, f32 or f64, and finite. Anything else is [`Error::Input`].
    pub fn read(path: &Path, latent_dim: usize) -> anyhow::Result<Self> {
        let check = |shape: &[u64]| match shape {
            [_, width] if *width == latent_dim as u64 => Ok(()),
            _ => Err(format!("latents of shape {shape:?}; this generator needs (N, {latent_dim})")),
        };
        let values = match npy::read(path, check)? {
            Values::Floats(values) => values,
            Values::U8(_) => {
                bail!(Error::reading(path, "its values are uint8; expected latents of float16, float32 or float64"))
            }
        };
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let (row, value) = (at / latent_dim, values[at]);
            bail!(Error::reading(path, format!("row {row} holds {value}; expected finite numbers")));
        }
        Ok(Self::Given { values, latent_dim })
    }

    /// The rows of a file; None where latents are drawn, of which there is no end.
    pub fn rows(&self) -> Option<u64> {
        match self {
            Self::Drawn { .. } => None,
            Self::Given { values, latent_dim } => Some((values.len() / latent_dim) as u64),
        }
    }

    /// Values in a latent.
    pub fn latent_dim(&self) -> usize {
        match self {
            Self::Drawn { space, .. } => space.dim,
            Self::Given { latent_dim, .. } => *latent_dim,
        }
    }

    /// Samples `first` to `first + count`, which must be there: (count, `latent_dim`).
    pub fn range(&self, first: u64, count: usize) -> Vec<f32> {
        match self {
            Self::Drawn { seed, space } => latents(*seed, first, count, *space),
            Self::Given { values, latent_dim } => {
                let first = first as usize;
                values[first * latent_dim..(first + count) * latent_dim].to_vec()
            }
        }
    }
}
