use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::bail;

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
        if !has_plain_header(path).map_err(|error| damaged(error.to_string()))? {
            bail!(damaged("not a .npy file of plain numbers: its header is none of theirs".into()));
        }
        let npy = npyz::NpyFile::new(BufReader::new(file))
            .map_err(|error| damaged(format!("not a .npy file: {}", legible(&error.to_string()))))?;
        let shape = npy.shape().to_vec();
        if shape.len() != 2 || shape[1] != latent_dim as u64 {
            bail!(damaged(format!("latents of shape {shape:?}; this generator needs (N, {latent_dim})")));
        }
        // A header may claim any shape: nothing is allocated for rows that the file has no bytes for.
        if shape[0].checked_mul(shape[1]).and_then(|count| count.checked_mul(4)).is_none_or(|need| need > bytes) {
            bail!(damaged(format!("its header claims {shape:?}, more than its {bytes} bytes hold")));
        }
        if npy.order() == npyz::Order::Fortran && shape[0] > 1 {
            bail!(damaged("stored column by column; save it with numpy.ascontiguousarray".into()));
        }
        let values = match npy.try_data::<f32>() {
            Ok(values) => values.collect::<Result<Vec<f32>, _>>(),
            Err(npy) => match npy.try_data::<f64>() {
                Ok(values) => values.map(|value| value.map(|value| value as f32)).collect(),
                Err(npy) => bail!(damaged(format!("holds {}; expected f32 or f64", npy.dtype().descr()))),
            },
        };
        let values = values.map_err(|error| damaged(format!("its data is damaged: {error}")))?;
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

/// Whether the header of a .npy file has one dict, and in it one tuple, as those of plain numbers have. For each further
/// bracket that is opened in another npyz's parser takes twice the time: 300 bytes would take it for ever.
fn has_plain_header(path: &Path) -> std::io::Result<bool> {
    // The length, of two bytes or of four, stands behind the magic and the version.
    const LONGEST: u64 = 12 + u16::MAX as u64;
    let mut start = Vec::new();
    File::open(path)?.take(LONGEST).read_to_end(&mut start)?;
    let length = match start.get(6..12) {
        Some(&[1, _, low, high, ..]) => 10 + usize::from(u16::from_le_bytes([low, high])),
        Some(&[_, _, a, b, c, d]) => (u32::from_le_bytes([a, b, c, d]) as usize).saturating_add(12),
        _ => return Ok(false),
    };
    let Some(header) = start.get(10..length) else { return Ok(false) };
    let count = |bracket| header.iter().filter(|byte| **byte == bracket).count();
    Ok(count(b'{') == 1 && count(b'(') == 1 && count(b'[') == 0)
}
