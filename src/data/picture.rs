//! Pictures: an encoded file, or pixels of another shape, to the pixels that a model takes.

use std::io::Cursor;
use std::path::Path;

use anyhow::{Result, anyhow, ensure};
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use super::picture_error::in_words;
use super::resize::{Window, resize};
use super::{ImageShape, jpeg};
use crate::data::guard::guarded;
use crate::data::summary::Original;

/// The longest side of a picture that is decoded, in pixels.
pub const MAX_SIDE: u32 = 16_384;
/// The most memory that one decoded picture may take, and the longest file that is read for one: 256 MiB.
pub const MAX_BYTES: u64 = 256 << 20;
/// A decoder may take so many bytes whatever the file, ...
const FREE_BYTES: u64 = 16 << 20;
/// ... and beyond them so many for each of the file's: deflate makes at most 1032 bytes of one, and a pixel of one bit may
/// become four bytes. A JPEG's blocks of 64 pixels take a bit each at least.
const MOST_EXPANSION: u64 = 1032 * 32;

/// What is decoded, told apart by content.
const FORMATS: [ImageFormat; 7] = [
    ImageFormat::Png,
    ImageFormat::Jpeg,
    ImageFormat::WebP,
    ImageFormat::Tiff,
    ImageFormat::Bmp,
    ImageFormat::Gif,
    ImageFormat::Pnm,
];

/// The names of `FORMATS`, for people.
pub const FORMAT_NAMES: &str = "PNG, JPEG, WebP, TIFF, BMP, GIF or PNM";

/// How the names of such files end, in lower case.
pub const EXTENSIONS: [&str; 14] =
    ["png", "jpg", "jpeg", "jpe", "jfif", "webp", "tif", "tiff", "bmp", "dib", "gif", "ppm", "pgm", "pbm"];

/// Whether the name ends as a picture's does, in capitals or not.
pub fn is_named(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    EXTENSIONS.iter().any(|known| extension == *known)
}

/// Decodes a picture of one of [`FORMAT_NAMES`], told apart by its content, and turns it upright where its EXIF data say
/// so. Of an animation or a file of several pages, the first picture.
///
/// An error says what is wrong with it: damaged, another format, longer sides than [`MAX_SIDE`], more memory than
/// [`MAX_BYTES`].
pub fn decode(bytes: &[u8]) -> Result<DynamicImage> {
    let checked = Checked::new(bytes, bytes.len())?;
    // The decoder fills the rest of a cut picture with grey.
    ensure!(
        checked.format() != Some(ImageFormat::Jpeg) || jpeg::reaches(jpeg::END_OF_IMAGE, bytes),
        "a JPEG that is cut short"
    );
    guarded(|| {
        let format = checked.format();
        let mut decoder = checked.decoder()?;
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let mut image = DynamicImage::from_decoder(decoder).map_err(|error| in_words(error, format, bytes))?;
        image.apply_orientation(orientation);
        Ok(image)
    })
}

/// The shape of the picture in a file of `length` bytes that begins with `head`, upright: that of what [`to_pixels`] makes of
/// what [`decode`] gives. Of a TIFF or WebP the head must be all of the file.
///
/// An error is as of [`decode`], or says that the head is too short.
pub fn shape(head: &[u8], length: usize) -> Result<ImageShape> {
    let checked = Checked::new(head, length)?;
    ensure!(
        checked.format() != Some(ImageFormat::Jpeg) || jpeg::reaches(jpeg::START_OF_SCAN, head),
        "a JPEG that is cut short"
    );
    guarded(|| {
        let mut decoder = checked.decoder()?;
        let (width, height) = decoder.dimensions();
        let [width, height] = match decoder.orientation().unwrap_or(Orientation::NoTransforms) {
            Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH => [height, width],
            _ => [width, height],
        };
        let channels = if decoder.color_type().has_color() { 3 } else { 1 };
        Ok(ImageShape { height: height as usize, width: width as usize, channels })
    })
}

/// A file that is a picture by its first bytes, and what its decoder may take.
struct Checked<'a> {
    reader: ImageReader<Cursor<&'a [u8]>>,
    bytes: &'a [u8],
    limits: Limits,
    length: usize,
    /// Bytes that `length` bytes of a file can hold.
    most: u64,
}

impl<'a> Checked<'a> {
    /// Of a file of `length` bytes that begins with `bytes`.
    fn new(bytes: &'a [u8], length: usize) -> Result<Self> {
        ensure!(!bytes.is_empty(), "an empty file");
        let mut reader = ImageReader::new(Cursor::new(bytes));
        let format = format(bytes);
        ensure!(format.is_some_and(|format| FORMATS.contains(&format)), "not a {FORMAT_NAMES} file");
        ensure!(
            format != Some(ImageFormat::Tiff) || super::tiff::fits(bytes),
            "its directory claims more than its {} bytes hold",
            bytes.len()
        );
        ensure!(format != Some(ImageFormat::WebP) || super::webp::fits(bytes), "a WebP that is cut short");
        format.into_iter().for_each(|format| reader.set_format(format));
        let mut limits = Limits::default();
        limits.max_image_width = Some(MAX_SIDE);
        limits.max_image_height = Some(MAX_SIDE);
        let most = (length as u64).saturating_mul(MOST_EXPANSION).saturating_add(FREE_BYTES);
        limits.max_alloc = Some(most.min(MAX_BYTES));
        reader.limits(limits.clone());
        Ok(Self { reader, bytes, limits, length, most })
    }

    fn format(&self) -> Option<ImageFormat> {
        self.reader.format()
    }

    fn decoder(self) -> Result<impl ImageDecoder + 'a> {
        let Self { reader, bytes, mut limits, length, most } = self;
        let format = reader.format();
        let decoder = reader.into_decoder().map_err(|error| in_words(error, format, bytes))?;
        let (width, height) = decoder.dimensions();
        ensure!(width > 0 && height > 0, "a picture of {width}x{height} pixels");
        ensure!(
            decoder.total_bytes() <= most,
            "its header claims {width}x{height} pixels, more than its {length} bytes can hold"
        );
        limits.reserve(decoder.total_bytes()).map_err(|error| in_words(error, format, bytes))?;
        Ok(decoder)
    }
}

/// The format of a file that begins so. The crate knows TIFF files of 32 bits by their first bytes, and reads those of 64.
fn format(bytes: &[u8]) -> Option<ImageFormat> {
    const BIG_TIFF: [&[u8]; 2] = [b"II\x2b\0", b"MM\0\x2b"];
    match image::guess_format(bytes) {
        Ok(format) => Some(format),
        Err(_) => BIG_TIFF.iter().any(|begin| bytes.starts_with(begin)).then_some(ImageFormat::Tiff),
    }
}

/// Whether a file that begins so is a picture by its first bytes.
pub fn is_begun(bytes: &[u8]) -> bool {
    format(bytes).is_some_and(|format| FORMATS.contains(&format))
}

/// The usual ending of the names of files that begin with these bytes, in lower case.
pub fn format_name(bytes: &[u8]) -> &'static str {
    match format(bytes) {
        Some(ImageFormat::Pnm) => "pnm",
        Some(format) => format.extensions_str().first().copied().unwrap_or("unknown"),
        None => "unknown",
    }
}

/// What is said of a picture before it is made to fit. One that is stored in colour and has none counts as grey.
pub fn original(image: &DynamicImage) -> Original {
    let has_colour = |pixels: &[u8], channels| pixels.chunks_exact(channels).any(|p| p[0] != p[1] || p[1] != p[2]);
    let is_colour = match image {
        DynamicImage::ImageRgb8(image) => has_colour(image.as_raw(), 3),
        DynamicImage::ImageRgba8(image) => has_colour(image.as_raw(), 4),
        other => other.color().has_color(),
    };
    Original { width: image.width(), height: image.height(), is_colour }
}

/// The shape and the pixels of a picture, (height, width, channels), in its own size. Those that are stored in colour have
/// three channels. Transparent pixels lie on black. It fits as the picture itself does.
pub fn to_pixels(image: DynamicImage) -> (ImageShape, Vec<u8>) {
    let [height, width] = [image.height(), image.width()].map(|side| side as usize);
    match image.color().has_color() {
        true => (ImageShape { height, width, channels: 3 }, opaque_colour(image).into_raw()),
        false => (ImageShape { height, width, channels: 1 }, opaque_grey(image).into_raw()),
    }
}

/// One image of `shape` from its bytes (height, width, channels), 1 or 3 channels.
pub fn from_pixels(pixels: Vec<u8>, shape: ImageShape) -> Result<DynamicImage> {
    let (width, height, length) = (shape.width as u32, shape.height as u32, pixels.len());
    match shape.channels {
        1 => GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8),
        3 => RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8),
        _ => None,
    }
    .ok_or_else(|| anyhow!("{length} bytes are no image of {}x{}x{}", height, width, shape.channels))
}

/// Writes `image` into `fitted`, (height, width, channels) of `shape`.
///
/// Transparent pixels lie on black. Colour becomes grey by Pillow's weights (ITU-R 601-2, in its fixed-point
/// arithmetic, so the same bytes), grey becomes colour by repetition. The picture keeps its aspect: the centre of
/// `shape`'s aspect is cut out, and resized with a triangle filter that widens when shrinking (antialiased).
pub fn fit_into(image: DynamicImage, shape: ImageShape, fitted: &mut [u8]) -> Result<()> {
    ensure!(matches!(shape.channels, 1 | 3), "images have 1 or 3 channels, not {}", shape.channels);
    ensure!(fitted.len() == shape.stride(), "{} bytes for an image of {}", fitted.len(), shape.stride());
    let (width, height) = (shape.width as u32, shape.height as u32);
    if image.color().has_color() && shape.channels == 3 {
        let image = opaque_colour(image);
        fitted.copy_from_slice(&centre_resized(image.as_raw(), image.dimensions(), 3, (width, height)));
        return Ok(());
    }
    let grey = if image.color().has_color() { grey_of(&opaque_colour(image)) } else { opaque_grey(image) };
    let grey = centre_resized(grey.as_raw(), grey.dimensions(), 1, (width, height));
    for (pixel, value) in fitted.chunks_exact_mut(shape.channels).zip(grey) {
        pixel.fill(value);
    }
    Ok(())
}

/// The centre of `pixels`, which are `size` (width, height) with `channels` values each, in `width` x `height` pixels.
fn centre_resized(pixels: &[u8], size: (u32, u32), channels: usize, (width, height): (u32, u32)) -> Vec<u8> {
    let (left, top, cut_width, cut_height) = centre(size, (width, height));
    let (columns, rows) = (left as usize..(left + cut_width) as usize, top as usize..(top + cut_height) as usize);
    resize(&Window { pixels, row: size.0 as usize, channels, columns, rows }, width as usize, height as usize)
}

/// The largest centred window of `from` with the aspect of `to`: left, top, width, height.
fn centre(from: (u32, u32), to: (u32, u32)) -> (u32, u32, u32, u32) {
    let [from_width, from_height, to_width, to_height] = [from.0, from.1, to.0, to.1].map(u64::from);
    let scaled = |side: u64, by: u64, over: u64| ((side * by + over / 2) / over).max(1) as u32;
    if from_width * to_height > from_height * to_width {
        let width = scaled(from_height, to_width, to_height).min(from.0);
        ((from.0 - width) / 2, 0, width, from.1)
    } else {
        let height = scaled(from_width, to_height, to_width).min(from.1);
        (0, (from.1 - height) / 2, from.0, height)
    }
}

fn over_black(value: u8, alpha: u8) -> u8 {
    ((u32::from(value) * u32::from(alpha) + 127) / 255) as u8
}

fn opaque_grey(image: DynamicImage) -> GrayImage {
    if !image.color().has_alpha() {
        return image.into_luma8();
    }
    let image = image.into_luma_alpha8();
    let mut opaque = GrayImage::new(image.width(), image.height());
    for (to, from) in opaque.pixels_mut().zip(image.pixels()) {
        to.0 = [over_black(from.0[0], from.0[1])];
    }
    opaque
}

fn opaque_colour(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let image = image.into_rgba8();
    let mut opaque = RgbImage::new(image.width(), image.height());
    for (to, from) in opaque.pixels_mut().zip(image.pixels()) {
        let [red, green, blue, alpha] = from.0;
        to.0 = [red, green, blue].map(|value| over_black(value, alpha));
    }
    opaque
}

/// Pillow's `convert("L")`: (19595 R + 38470 G + 7471 B + 2^15) >> 16.
fn grey_of(image: &RgbImage) -> GrayImage {
    let mut grey = GrayImage::new(image.width(), image.height());
    for (to, from) in grey.pixels_mut().zip(image.pixels()) {
        let [red, green, blue] = from.0.map(u32::from);
        to.0 = [((19_595 * red + 38_470 * green + 7_471 * blue + 0x8000) >> 16) as u8];
    }
    grey
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_centred_and_keeps_the_aspect() {
        assert_eq!(centre((28, 28), (28, 28)), (0, 0, 28, 28));
        assert_eq!(centre((100, 50), (28, 28)), (25, 0, 50, 50));
        assert_eq!(centre((50, 101), (32, 32)), (0, 25, 50, 50));
        assert_eq!(centre((1, 16_384), (28, 28)), (0, 8191, 1, 1));
        assert_eq!(centre((30, 30), (20, 10)), (0, 7, 30, 15));
    }
}
