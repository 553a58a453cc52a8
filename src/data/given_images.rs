use std::cell::Cell;
use std::path::Path;

use anyhow::bail;

use super::npy;
use super::{ImageSet, Images, common_shape, folder};
use crate::data::npy::Values;
use crate::data::{normalised, pixel_of};
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
    let (pixels, warnings) = match path.is_dir() {
        true => read_pictures(path, shape)?,
        false => {
            let Array { pixels, warnings, .. } = read_npy(path, Some(shape))?;
            (pixels, warnings)
        }
    };
    Ok(GivenImages { pixels, warnings: named(path, warnings) })
}

/// Opens the images that [`read_images`] takes, of any shape that all have. Pictures are taken in colour, and decoded when
/// each is asked for; values of a .npy are rounded as those of a picture that is written. With what makes figures about
/// them doubtful.
///
/// # Errors
/// As [`read_images`], and where images differ in size.
pub fn open_images(path: &Path) -> anyhow::Result<(ImageSet, Vec<String>)> {
    let (images, warnings) = match path.is_dir() {
        true => folder::open_originals(path)?,
        false => {
            let Array { pixels, shape, warnings } = read_npy(path, None)?;
            let pixels = pixels.into_iter().map(pixel_of).collect();
            (Images { pixels, ..Images::empty(shape) }.into(), warnings)
        }
    };
    if let Err(error) = common_shape(&*images) {
        bail!(Error::reading(path, format!("{error}; bring them to one size first")));
    }
    Ok((images, named(path, warnings)))
}

fn named(path: &Path, warnings: Vec<String>) -> Vec<String> {
    warnings.into_iter().map(|warning| format!("{}: {warning}", path.display())).collect()
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

/// The shape of the images in an array of these dimensions, if it can be told.
fn shape_in(dims: &[u64]) -> Option<ImageShape> {
    let of = |height: &u64, width: &u64, channels: &u64| {
        let [height, width, channels] = [height, width, channels].map(|length| usize::try_from(*length).ok());
        Some(ImageShape::new(height?, width?, channels?)).filter(|shape| shape.height * shape.width > 0)
    };
    match dims {
        [_, c @ (1 | 3), h, w] | [_, h, w, c @ (1 | 3)] => of(h, w, c),
        [_, h, w] => of(h, w, &1),
        _ => None,
    }
}

/// What a .npy holds.
struct Array {
    /// (N, H, W, C) in [-1, 1]
    pixels: Vec<f32>,
    shape: ImageShape,
    warnings: Vec<String>,
}

/// Reads images of `expected`, or of the shape that the array tells.
fn read_npy(path: &Path, expected: Option<ImageShape>) -> anyhow::Result<Array> {
    let found = Cell::new((Order::ChannelsFirst, ImageShape::COURSE));
    let check = |dims: &[u64]| {
        let shape = expected.or_else(|| shape_in(dims));
        let unfit = || match expected {
            Some(ImageShape { height, width, channels }) => {
                format!("images of shape {dims:?}; expected (N, {channels}, {height}, {width})")
            }
            None => format!("images of shape {dims:?}; expected (N, 1, H, W) or (N, 3, H, W)"),
        };
        let order = shape.and_then(|shape| Some((order(dims, shape)?, shape)));
        found.set(order.ok_or_else(unfit)?);
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
            let (_, shape) = found.get();
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
    let (order, shape) = found.get();
    let pixels = match order {
        Order::ChannelsFirst => shape.channels_last(&pixels),
        Order::ChannelsLast => pixels,
    };
    Ok(Array { pixels, shape, warnings })
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
    #[test]
    fn images_of_an_unknown_shape_come_as_the_pixels_of_a_picture() {
        let shape = ImageShape::new(20, 12, 3);
        let bytes: Vec<u8> = (0..2 * shape.stride()).map(|at| (at * 7 % 256) as u8).collect();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("images.npy");
        let write = |dims: &[u64], values: &[f32]| {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            std::fs::write(&path, [npy_header(dims), bytes].concat()).unwrap();
        };
        for (dims, values) in
            [(&[2, 20, 12, 3][..], to_floats(&bytes)), (&[2, 3, 20, 12], shape.channels_first(&to_floats(&bytes)))]
        {
            write(dims, &values);
            let (images, _) = open_images(&path).unwrap();
            assert_eq!((images.len(), images.shape().unwrap()), (2, shape), "{dims:?}");
            assert_eq!(images.to_images().unwrap().pixels, bytes);
        }
        write(&[2, 720], &to_floats(&bytes));
        let error = open_images(&path).unwrap_err().to_string();
        assert!(error.contains("expected (N, 1, H, W) or (N, 3, H, W)"), "{error}");
    }
}
