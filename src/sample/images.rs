use std::path::Path;

use anyhow::bail;

use super::PIXELS;
use super::npy::{self, Values};
use crate::data::batches::normalised;
use crate::error::Failure;

/// Floats of this much beyond -1 and 1 are rounding.
const ROUNDING: f32 = 1e-3;

/// Images that another program has drawn.
#[derive(Debug)]
pub struct GivenImages {
    /// (N, 28, 28) in [-1, 1]
    pub pixels: Vec<f32>,
    /// What makes figures about them doubtful.
    pub warnings: Vec<String>,
}

/// Reads images from a .npy as `-o FILE.npy` writes it: (N, 1, 28, 28) of f16, f32 or f64 in [-1, 1], or of uint8, 0 to
/// 255. (N, 28, 28), (N, 28, 28, 1) and (N, 784) are taken too.
///
/// # Errors
/// [`Failure::Input`] for anything else, and for values that are not finite or lie outside [-1, 1].
pub fn read_images(path: &Path) -> anyhow::Result<GivenImages> {
    let check = |shape: &[u64]| match shape {
        [_, 1, 28, 28] | [_, 28, 28] | [_, 28, 28, 1] | [_, 784] => Ok(()),
        _ => Err(format!("images of shape {shape:?}; expected (N, 1, 28, 28)")),
    };
    let mut warnings = Vec::new();
    let mut doubt = |what: &str| warnings.push(format!("{}: {what}", path.display()));
    let pixels = match npy::read(path, check)? {
        Values::U8(bytes) => {
            if bytes.iter().max().is_some_and(|most| *most <= 1) {
                doubt("no value is above 1; of uint8, black is 0 and white is 255");
            }
            to_floats(&bytes)
        }
        Values::Floats(mut values) => {
            let limit = 1.0 + ROUNDING;
            if let Some(at) = values.iter().position(|value| !(-limit..=limit).contains(value)) {
                let (image, value) = (at / PIXELS, values[at]);
                bail!(Failure::reading(
                    path,
                    format!(
                        "image {image} holds {value}; expected values from -1 (black) to 1 (white), or uint8 from 0 to 255"
                    )
                ));
            }
            if values.iter().all(|value| *value >= -ROUNDING) {
                doubt("no value is below 0, as of images in [0, 1]; of floats, black is -1 and white is 1");
            }
            values.iter_mut().for_each(|value| *value = value.clamp(-1.0, 1.0));
            values
        }
    };
    Ok(GivenImages { pixels, warnings })
}

fn to_floats(bytes: &[u8]) -> Vec<f32> {
    let shades = normalised();
    bytes.iter().map(|byte| shades[usize::from(*byte)]).collect()
}
