//! Why a picture cannot be decoded, in words: the decoders speak of chunks and of their own types.

use std::error::Error;
use std::io::ErrorKind;

use anyhow::anyhow;
use image::{ImageError, ImageFormat};

use super::picture::{MAX_BYTES, MAX_SIDE};
use super::tiff;

/// An error of decoding `bytes`, a picture of this format.
pub fn in_words(error: ImageError, format: Option<ImageFormat>, bytes: &[u8]) -> anyhow::Error {
    let name = format.map_or("picture", name);
    match error {
        ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => cut_short(name),
        ImageError::Decoding(error) => {
            // The format stands before the cause.
            let cause = error.source().map_or_else(|| error.to_string(), |cause| cause.to_string());
            let has = |words: &[&str]| words.iter().any(|word| cause.to_lowercase().contains(word));
            if has(&["crc", "checksum"]) {
                anyhow!("a damaged {name}: a checksum is wrong")
            } else if has(&[
                "unexpected end",
                "unexpectedeof",
                "eof",
                "fill whole buffer",
                "no more bytes",
                "exhausted",
            ]) {
                cut_short(name)
            } else {
                anyhow!("a damaged {name} ({})", cause.trim_end_matches(['.', '\n']))
            }
        }
        ImageError::Unsupported(_) => match tiff::kind(bytes).filter(|_| format == Some(ImageFormat::Tiff)) {
            Some(kind) => anyhow!("a {name} {kind}, which is not read; save it as PNG, or as {name} without that"),
            None => anyhow!("a kind of {name} that is not read; save it as PNG"),
        },
        ImageError::Limits(_) => anyhow!(
            "a {name} of more than {MAX_SIDE} pixels a side, or one that takes more than {} MiB, or more than its file can hold",
            MAX_BYTES >> 20
        ),
        error => anyhow!("a damaged {name} ({error})"),
    }
}

fn cut_short(name: &str) -> anyhow::Error {
    anyhow!("a {name} that is cut short")
}

fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Pnm => "PNM",
        _ => "picture",
    }
}
