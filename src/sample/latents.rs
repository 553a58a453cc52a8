use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::bail;

use super::npy::{self, Header};
use crate::error::{Failure, legible};
use crate::rng::Stream;

/// Latents of samples `first` to `first + count` under `seed`: (count, `latent_dim`), uniform in (-1, 1). Each sample's
/// depend on the seed and its number alone.
pub fn latents(seed: u64, first: u64, count: usize, latent_dim: usize) -> Vec<f32> {
    let stream = Stream::new(seed, "sample");
    let mut values = Vec::with_capacity(count * latent_dim);
    for sample in first..first + count as u64 {
        let mut generator = stream.at(sample);
        values.extend((0..latent_dim).map(|_| generator.symmetric()));
    }
    values
}

/// Where latents come from.
#[derive(Debug)]
pub enum Latents {
    Drawn {
        seed: u64,
        latent_dim: usize,
    },
    /// (rows, `latent_dim`), read from a file.
    Given {
        values: Vec<f32>,
        latent_dim: usize,
    },
}

impl Latents {
    /// Reads a .npy of shape (N, `latent_dim`), f32 or f64. Anything else is [`Failure::Input`].
    pub fn read(path: &Path, latent_dim: usize) -> anyhow::Result<Self> {
        let damaged = |what: String| Failure::reading(path, what);
        let file = File::open(path).map_err(|error| damaged(error.to_string()))?;
        let bytes = file.metadata().map_err(|error| damaged(error.to_string()))?.len();
        let mut input = BufReader::new(file);
        let header = npy::read_header(&mut input).map_err(|error| damaged(format!("not a .npy file: {error}")))?;
        let header = header.ok_or_else(|| damaged("not a .npy file of plain numbers".into()))?;
        let Header { descr, fortran_order, shape } = header;
        if shape.len() != 2 || shape[1] != latent_dim as u64 {
            bail!(damaged(format!("latents of shape {shape:?}; this generator needs (N, {latent_dim})")));
        }
        // A header may claim any shape: nothing is allocated for rows that the file has no bytes for.
        let width = if descr.ends_with("f8") { 8 } else { 4 };
        let need = shape[0].checked_mul(shape[1]).and_then(|count| count.checked_mul(width));
        let Some(need) = need.filter(|need| *need <= bytes) else {
            bail!(damaged(format!("its header claims {shape:?}, more than its {bytes} bytes hold")));
        };
        if fortran_order && shape[0] > 1 {
            bail!(damaged("stored column by column; save it with numpy.ascontiguousarray".into()));
        }
        let mut data = vec![0; need as usize];
        input.read_exact(&mut data).map_err(|error| damaged(format!("its data is damaged: {error}")))?;
        let Some(values) = npy::floats(&descr, &data) else {
            bail!(damaged(format!("holds {}; expected f32 or f64", legible(&descr))));
        };
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            bail!(damaged(format!("holds {value}; expected finite numbers")));
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

    pub fn latent_dim(&self) -> usize {
        match self {
            Self::Drawn { latent_dim, .. } | Self::Given { latent_dim, .. } => *latent_dim,
        }
    }

    /// Samples `first` to `first + count`, which must be there: (count, `latent_dim`).
    pub fn range(&self, first: u64, count: usize) -> Vec<f32> {
        match self {
            Self::Drawn { seed, latent_dim } => latents(*seed, first, count, *latent_dim),
            Self::Given { values, latent_dim } => {
                let first = first as usize;
                values[first * latent_dim..(first + count) * latent_dim].to_vec()
            }
        }
    }
}
