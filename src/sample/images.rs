use std::path::Path;

use anyhow::bail;

use super::npy;
use crate::error::Failure;

/// Reads images from a .npy as `-o FILE.npy` writes it: (N, 1, 28, 28) in [-1, 1]. (N, 28, 28), (N, 28, 28, 1), (N, 784)
/// and f64 are taken too. Anything else is [`Failure::Input`].
pub fn read_images(path: &Path) -> anyhow::Result<Vec<f32>> {
    let check = |shape: &[u64]| match shape {
        [_, 1, 28, 28] | [_, 28, 28] | [_, 28, 28, 1] | [_, 784] => Ok(()),
        _ => Err(format!("images of shape {shape:?}; expected (N, 1, 28, 28)")),
    };
    let values = npy::read(path, check)?;
    match values.iter().find(|value| !(-1.0..=1.0).contains(*value)) {
        Some(value) => {
            bail!(Failure::reading(path, format!("holds {value}; expected values from -1 (black) to 1 (white)")))
        }
        None => Ok(values),
    }
}
