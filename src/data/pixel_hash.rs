//! A hash of the pixels of images, the same however they are held.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::{ImageShape, ImageSource};

/// Bytes that are hashed in one piece; the pieces' hashes are hashed in turn, so that all threads have work.
const PIECE: usize = 8 << 20;

/// Called while images are decoded for an identity: how many so far, from any thread.
pub type OnDecoded<'a> = &'a (dyn Fn(u64) + Sync);

/// The hash of shape, pixels and labels, in hexadecimal digits.
pub fn hash_pixels(source: &dyn ImageSource, on_decoded: OnDecoded) -> Result<String> {
    let labels = source.labels();
    let (shapes, of_pixels) = match source.contiguous() {
        Some((shape, pixels)) => {
            let head = format!("{} {}", text_of(shape), pixels.len());
            (head, pixels.par_chunks(PIECE).map(Sha256::digest).collect())
        }
        None => hash_images(source, on_decoded)?,
    };
    let mut hasher = Sha256::new();
    hasher.update(format!("{shapes} {}\n", labels.len()));
    let of_labels: Vec<_> = labels.par_chunks(PIECE / 4).map(hash_labels).collect();
    of_pixels.iter().chain(&of_labels).for_each(|digest| hasher.update(digest));
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

type Digest256 = sha2::digest::Output<Sha256>;

fn text_of(ImageShape { height, width, channels }: ImageShape) -> String {
    format!("{height} {width} {channels}")
}

/// The shapes, the number of bytes, and the hashes of the pieces that images would have if they lay one after the other. At
/// most one image on each border of two pieces is read twice.
fn hash_images(source: &dyn ImageSource, on_decoded: OnDecoded) -> Result<(String, Vec<Digest256>)> {
    let shapes: Vec<ImageShape> = (0..source.len()).map(|index| source.shape_of(index)).collect();
    let mut ends = Vec::with_capacity(shapes.len());
    let total = shapes.iter().fold(0, |begin, shape| {
        ends.push(begin + shape.stride());
        begin + shape.stride()
    });
    let head = match source.uniform_shape() {
        Some(shape) => text_of(shape),
        None => shapes.iter().map(|shape| text_of(*shape)).collect::<Vec<_>>().join(","),
    };
    let decoded = AtomicU64::new(0);
    let piece = |at: usize| {
        let (begin, end) = (at * PIECE, total.min((at + 1) * PIECE));
        let mut hasher = Sha256::new();
        for index in ends.partition_point(|image_end| *image_end <= begin)..shapes.len() {
            let image_begin = ends[index] - shapes[index].stride();
            if image_begin >= end {
                break;
            }
            let bytes = source.bytes_of(index)?;
            hasher.update(&bytes[begin.max(image_begin) - image_begin..end.min(ends[index]) - image_begin]);
            if image_begin >= begin {
                on_decoded(1 + decoded.fetch_add(1, Ordering::Relaxed));
            }
        }
        Ok(hasher.finalize())
    };
    let pieces: Vec<Result<Digest256>> = (0..total.div_ceil(PIECE)).into_par_iter().map(piece).collect();
    Ok((format!("{head} {total}"), pieces.into_iter().collect::<Result<_>>()?))
}

/// Of the labels in 32 bits, the low byte first.
fn hash_labels(labels: &[u32]) -> Digest256 {
    let bytes: Vec<u8> = labels.iter().flat_map(|label| label.to_le_bytes()).collect();
    Sha256::digest(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Images;
    use crate::data::source::tests::OneByOne;

    #[test]
    fn images_that_are_read_one_by_one_have_the_same_identity() {
        let shape = ImageShape { height: 300, width: 1000, channels: 3 };
        let count = 2 * PIECE / shape.stride() + 2; // the pieces begin and end within images
        let pixels = (0..count * shape.stride()).map(|index| (index * 7 % 253) as u8).collect();
        let images = Images { pixels, labels: vec![3; count], ..Images::empty(shape) };
        let hash = |source: &dyn ImageSource| hash_pixels(source, &|_| ()).unwrap();
        let decoded = AtomicU64::new(0);
        let counted = hash_pixels(&OneByOne(images.clone()), &|_| {
            decoded.fetch_add(1, Ordering::Relaxed);
        });
        let counted = counted.unwrap();
        assert_eq!((&counted, decoded.into_inner()), (&hash(&images), count as u64));
        let turned = ImageShape { height: 1000, width: 300, channels: 3 };
        let turned = Images { pixels: images.pixels, labels: images.labels, ..Images::empty(turned) };
        assert_ne!(counted, hash(&OneByOne(turned)), "of another shape");
    }
}
