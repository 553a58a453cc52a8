use std::cell::Cell;
use std::path::Path;

use anyhow::bail;

use super::folder;
use super::npy;
use crate::data::normalised;
use crate::data::npy::Values;
use crate::error::Error;
use crate::image_shape::ImageShape;

/// Floats of this much beyond -1 and 1 are rounding.
const ROUNDING: f32 = 1e-3;

/// Images that another program has drawn.
#[derive(Debug)]
pub struct GivenImages {
    /// (N, H, W, C) in [-1, 1]
    pub pixels: Vec<f32>,
    /// What makes figures about them doubtful.
    pub warnings: Vec<String>,
}

/// Reads images of `shape` from a directory: all pictures below it, in the order of their paths, resized and converted to
/// it. Or from a .npy as `-o FILE.npy` writes it: (N, C, H, W) of f16, f32 or f64 in [-1, 1], or of uint8, 0 to 255;
/// (N, H, W, C) and (N, C H W) are taken too, and (N, H, W) of grey images.
///
/// # Errors
/// [`Error::Input`] for anything else, for a picture that cannot be decoded, and for values that are not finite or lie
/// outside [-1, 1].
pub fn read_images(path: &Path, shape: ImageShape) -> anyhow::Result<GivenImages> {
    let (pixels, warnings) = if path.is_dir() { read_pictures(path, shape)? } else { read_npy(path, shape)? };
    let warnings = warnings.into_iter().map(|warning| format!("{}: {warning}", path.display())).collect();
    Ok(GivenImages { pixels, warnings })
}

fn read_pictures(directory: &Path, shape: ImageShape) -> anyhow::Result<(Vec<f32>, Vec<String>)> {
    let (images, mut warnings) = folder::open_all(directory, shape)?;
    let is_plain = |image: &[u8]| image.chunks_exact(shape.channels).all(|pixel| *pixel == image[..shape.channels]);
    if images.pixels.chunks_exact(shape.stride()).all(is_plain) {
        warnings.push("every picture is of one shade".into());
    }
    Ok((to_floats(&images.pixels), warnings))
}

/// In which order the values of an image lie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    ChannelsFirst,
    ChannelsLast,
}

/// The order that the dimensions of an array of images tell; `None` where they are not of `shape`.
fn order(dims: &[u64], shape: ImageShape) -> Option<Order> {
    let [height, width, channels, stride] =
        [shape.height, shape.width, shape.channels, shape.stride()].map(|length| length as u64);
    match dims {
        [_, c, h, w] if [*c, *h, *w] == [channels, height, width] => Some(Order::ChannelsFirst),
        [_, h, w, c] if [*h, *w, *c] == [height, width, channels] => Some(Order::ChannelsLast),
        [_, h, w] if [*h, *w, 1] == [height, width, channels] => Some(Order::ChannelsLast),
        [_, values] if *values == stride => Some(Order::ChannelsFirst), // as PyTorch flattens them
        _ => None,
    }
}

fn read_npy(path: &Path, shape: ImageShape) -> anyhow::Result<(Vec<f32>, Vec<String>)> {
    let ImageShape { height, width, channels } = shape;
    let found = Cell::new(Order::ChannelsFirst);
    let check = |dims: &[u64]| {
        let unfit = || format!("images of shape {dims:?}; expected (N, {channels}, {height}, {width})");
        found.set(order(dims, shape).ok_or_else(unfit)?);
        Ok(())
    };
    let mut warnings = Vec::new();
    let mut warn = |what: &str| warnings.push(what.to_string());
    let pixels = match npy::read(path, check)? {
        Values::U8(bytes) => {
            if bytes.iter().max().is_some_and(|most| *most <= 1) {
                warn("no value is above 1; of uint8, black is 0 and white is 255");
            }
            to_floats(&bytes)
        }
        Values::Floats(mut values) => {
            let limit = 1.0 + ROUNDING;
            if let Some(at) = values.iter().position(|value| !(-limit..=limit).contains(value)) {
                let (image, value) = (at / shape.stride(), values[at]);
                bail!(Error::reading(
                    path,
                    format!(
                        "image {image} holds {value}; expected values from -1 (black) to 1 (white), or uint8 from 0 to 255"
                    )
                ));
            }
            if values.iter().all(|value| *value >= -ROUNDING) {
                warn("no value is below 0, as of images in [0, 1]; of floats, black is -1 and white is 1");
            }
            values.iter_mut().for_each(|value| *value = value.clamp(-1.0, 1.0));
            values
        }
    };
    let pixels = match found.get() {
        Order::ChannelsFirst => shape.channels_last(&pixels),
        Order::ChannelsLast => pixels,
    };
    Ok((pixels, warnings))
}

fn to_floats(bytes: &[u8]) -> Vec<f32> {
    let shades = normalised();
    bytes.iter().map(|byte| shades[usize::from(*byte)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::npy_header;

    /// Two colour images in every layout that a .npy may have: the same pixels.
    #[test]
    fn images_of_any_shape_are_read_in_every_order() {
        let shape = ImageShape::new(20, 12, 3);
        let images: Vec<f32> = (0..2 * shape.stride()).map(|at| (at % 201) as f32 / 100.0 - 1.0).collect();
        let planes = shape.channels_first(&images);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("images.npy");
        let write = |dims: &[u64], values: &[f32]| {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            std::fs::write(&path, [npy_header(dims), bytes].concat()).unwrap();
        };
        for (dims, values) in [(&[2, 20, 12, 3][..], &images), (&[2, 3, 20, 12], &planes), (&[2, 720], &planes)] {
            write(dims, values);
            assert_eq!(read_images(&path, shape).unwrap().pixels, images, "{dims:?}");
        }
        write(&[6, 20, 12], &images);
        let error = read_images(&path, shape).unwrap_err().to_string();
        assert!(error.contains("expected (N, 3, 20, 12)"), "{error}");
    }
}
