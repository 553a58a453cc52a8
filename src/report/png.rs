//! PNG files, written so that the same picture is always the same bytes.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

use anyhow::Context;
use png::{ColorType, Compression, Decoder, Encoder, EncodingError, Filter, Limits, Transformations};

use crate::error::Error;
use crate::report::grid::Picture;

/// Pixels of digits compress best unfiltered, smooth colours by their differences; fixed, so that bytes do not depend
/// on an encoder's guess.
fn filter(channels: usize) -> Filter {
    if channels == 1 { Filter::NoFilter } else { Filter::Paeth }
}

/// A picture of more bytes than this is not ours.
const LARGEST: usize = 1 << 30;

/// Writes `picture` as a PNG of 8 bits a channel.
pub fn encode_png(picture: &Picture, out: &mut dyn Write) -> io::Result<()> {
    let mut encoder = Encoder::new(out, picture.width, picture.height);
    encoder.set_color(if picture.channels == 1 { ColorType::Grayscale } else { ColorType::Rgb });
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(Compression::Balanced);
    encoder.set_filter(filter(picture.channels));
    let mut writer = encoder.write_header().map_err(into_io)?;
    writer.write_image_data(&picture.pixels).map_err(into_io)?;
    writer.finish().map_err(into_io)
}

fn into_io(error: EncodingError) -> io::Error {
    match error {
        EncodingError::IoError(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidInput, other),
    }
}

/// Reads a PNG of any kind as 8-bit grey or colour; transparency is dropped.
///
/// # Errors
/// [`Error::Input`] when the file cannot be read or is no PNG.
pub fn read_png(path: &Path) -> anyhow::Result<Picture> {
    decode(path).map_err(|error| Error::reading(path, format!("{error:#}")).into())
}

fn decode(path: &Path) -> anyhow::Result<Picture> {
    let file = File::open(path)?;
    let mut decoder = Decoder::new_with_limits(BufReader::new(file), Limits { bytes: LARGEST });
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().context("not a PNG")?;
    let size = reader.output_buffer_size().filter(|&size| size <= LARGEST).context("too large a picture")?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).context("damaged PNG")?;
    pixels.truncate(frame.buffer_size());
    let (stored, channels) = match frame.color_type {
        ColorType::GrayscaleAlpha => (2, 1),
        ColorType::Rgba => (4, 3),
        ColorType::Rgb => (3, 3),
        ColorType::Grayscale | ColorType::Indexed => (1, 1),
    };
    if stored != channels {
        pixels = pixels.chunks_exact(stored).flat_map(|pixel| &pixel[..channels]).copied().collect();
    }
    Ok(Picture { width: frame.width, height: frame.height, channels, pixels })
}
