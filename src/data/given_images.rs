use std::path::Path;

use anyhow::bail;

use super::npy;
use super::{ImageShape, folder};
use crate::data::batches::normalised;
use crate::data::npy::Values;
use crate::error::Failure;
use crate::models::IMAGE_SIZE;
use crate::pretrained::PIXELS;

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

/// Reads images from a directory: all pictures below it, in the order of their paths, made 28x28 and grey. Or from a .npy
/// as `-o FILE.npy` writes it: (N, 1, 28, 28) of f16, f32 or f64 in [-1, 1], or of uint8, 0 to 255; (N, 28, 28),
/// (N, 28, 28, 1) and (N, 784) are taken too.
///
/// # Errors
/// [`Failure::Input`] for anything else, for a picture that cannot be decoded, and for values that are not finite or lie
/// outside [-1, 1].
pub fn read_images(path: &Path) -> anyhow::Result<GivenImages> {
    let (pixels, warnings) = if path.is_dir() { read_pictures(path)? } else { read_npy(path)? };
    let warnings = warnings.into_iter().map(|warning| format!("{}: {warning}", path.display())).collect();
    Ok(GivenImages { pixels, warnings })
}

fn read_pictures(directory: &Path) -> anyhow::Result<(Vec<f32>, Vec<String>)> {
    const SHAPE: ImageShape = ImageShape { height: IMAGE_SIZE, width: IMAGE_SIZE, channels: 1 };
    let (images, mut warnings) = folder::open_all(directory, SHAPE)?;
    if images.pixels.chunks_exact(PIXELS).all(|image| image.iter().all(|pixel| *pixel == image[0])) {
        warnings.push("every picture is of one shade".into());
    }
    Ok((to_floats(&images.pixels), warnings))
}

fn read_npy(path: &Path) -> anyhow::Result<(Vec<f32>, Vec<String>)> {
    let check = |shape: &[u64]| match shape {
        [_, 1, 28, 28] | [_, 28, 28] | [_, 28, 28, 1] | [_, 784] => Ok(()),
        _ => Err(format!("images of shape {shape:?}; expected (N, 1, 28, 28)")),
    };
    let mut warnings = Vec::new();
    let mut doubt = |what: &str| warnings.push(what.to_string());
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
    Ok((pixels, warnings))
}

fn to_floats(bytes: &[u8]) -> Vec<f32> {
    let shades = normalised();
    bytes.iter().map(|byte| shades[usize::from(*byte)]).collect()
}
