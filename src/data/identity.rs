//! What a run remembers of its data: how many images, and a hash of their content, so that it never goes on with others
//! without a word.

use std::fmt;

use anyhow::Result;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Dataset, ImageShape, ImageSource};

/// Bytes that are hashed in one piece; the pieces' hashes are hashed in turn, so that all threads have work.
const PIECE: usize = 8 << 20;

/// The content of a data set as it was read, in the shape of the run, whatever is cut from it. Where it lies is no part
/// of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    train: PartIdentity,
    /// Of a set that has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    validation: Option<PartIdentity>,
    test: PartIdentity,
}

/// The number of images of a part, and the hash of their shape, pixels and labels, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PartIdentity {
    images: u64,
    sha256: String,
}

impl Identity {
    /// # Errors
    /// Where an image cannot be read.
    pub fn of(dataset: &Dataset) -> Result<Self> {
        let validation = PartIdentity::of(&*dataset.validation)?;
        Ok(Self {
            train: PartIdentity::of(&*dataset.train)?,
            validation: Some(validation).filter(|part| part.images > 0),
            test: PartIdentity::of(&*dataset.test)?,
        })
    }

    /// What differs in `found`, for an error: "training images: 1500 of sha256 0123456789ab then, 800 of ... now".
    pub fn difference(&self, found: &Self) -> String {
        let none = PartIdentity { images: 0, sha256: String::new() };
        let parts = |of: &Self| [of.train.clone(), of.validation.clone().unwrap_or(none.clone()), of.test.clone()];
        let named = ["training", "validation", "test"].into_iter().zip(parts(self)).zip(parts(found));
        let differing = named.filter(|((_, then), now)| then != now);
        let texts: Vec<_> =
            differing.map(|((name, then), now)| format!("{name} images: {then} then, {now} now")).collect();
        texts.join("; ")
    }
}

impl PartIdentity {
    fn of(source: &dyn ImageSource) -> Result<Self> {
        let labels = source.labels();
        let (shapes, of_pixels) = match source.contiguous() {
            Some((shape, pixels)) => {
                let head = format!("{} {}", text_of(shape), pixels.len());
                (head, pixels.par_chunks(PIECE).map(Sha256::digest).collect())
            }
            None => hash_images(source)?,
        };
        let mut hasher = Sha256::new();
        hasher.update(format!("{shapes} {}\n", labels.len()));
        let of_labels: Vec<_> = labels.par_chunks(PIECE / 4).map(hash_labels).collect();
        of_pixels.iter().chain(&of_labels).for_each(|digest| hasher.update(digest));
        let sha256 = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { images: source.len() as u64, sha256 })
    }
}

type Digest256 = sha2::digest::Output<Sha256>;

fn text_of(ImageShape { height, width, channels }: ImageShape) -> String {
    format!("{height} {width} {channels}")
}

/// The shapes, the number of bytes, and the hashes of the pieces that images would have if they lay one after the other. At
/// most one image on each border of two pieces is read twice.
fn hash_images(source: &dyn ImageSource) -> Result<(String, Vec<Digest256>)> {
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
        }
        Ok(hasher.finalize())
    };
    let pieces: Vec<Result<Digest256>> = (0..total.div_ceil(PIECE)).into_par_iter().map(piece).collect();
    Ok((format!("{head} {total}"), pieces.into_iter().collect::<Result<_>>()?))
}

impl fmt::Display for PartIdentity {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.images {
            0 => f.write_str("none"),
            images => write!(f, "{images} of sha256 {}", self.sha256.get(..12).unwrap_or(&self.sha256)),
        }
    }
}

/// Of the labels in 32 bits, the low byte first.
fn hash_labels(labels: &[u32]) -> Digest256 {
    let bytes: Vec<u8> = labels.iter().flat_map(|label| label.to_le_bytes()).collect();
    Sha256::digest(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::source::tests::OneByOne;
    use crate::data::{ImageSet, Images};

    fn dataset(pixels: &[u8], labels: &[u32]) -> Dataset {
        let images = |pixels: &[u8], labels: &[u32]| Images {
            height: 1,
            width: 1,
            channels: 1,
            pixels: pixels.to_vec(),
            labels: labels.to_vec(),
        };
        Dataset::new("set", Vec::new(), images(pixels, labels), images(&[7], &[1]))
    }

    #[test]
    fn pixels_labels_order_and_number_are_told_apart() {
        let all = [
            dataset(&[1, 2, 3], &[0, 1, 0]),
            dataset(&[1, 2, 4], &[0, 1, 0]),
            dataset(&[1, 2, 3], &[0, 1, 1]),
            dataset(&[1, 2, 3], &[0, 256, 0]),
            dataset(&[1, 2, 3], &[]),
            dataset(&[2, 1, 3], &[1, 0, 0]),
            dataset(&[1, 2], &[0, 1]),
        ]
        .map(|dataset| Identity::of(&dataset).unwrap());
        for (index, identity) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|other| other != identity), "{index}");
        }
        let moved = Dataset { name: "elsewhere".into(), ..dataset(&[1, 2, 3], &[0, 1, 0]) };
        assert_eq!(Identity::of(&moved).unwrap(), all[0]);
        let text = all[0].difference(&all[6]);
        assert!(text.starts_with("training images: 3 of sha256 ") && text.contains(", 2 of sha256 "), "{text}");
        assert!(!text.contains("test"), "{text}");
        let empty = Dataset::new("set", Vec::new(), ImageSet::empty(moved.train.shape().unwrap()), moved.test.clone());
        assert!(all[0].difference(&Identity::of(&empty).unwrap()).ends_with("none now"));
    }

    #[test]
    fn images_that_are_read_one_by_one_have_the_same_identity() {
        let shape = ImageShape { height: 300, width: 1000, channels: 3 };
        let count = 2 * PIECE / shape.stride() + 2; // the pieces begin and end within images
        let pixels = (0..count * shape.stride()).map(|index| (index * 7 % 253) as u8).collect();
        let images = Images { pixels, labels: vec![3; count], ..Images::empty(shape) };
        let part = PartIdentity::of(&images).unwrap();
        assert_eq!(part, PartIdentity::of(&OneByOne(images.clone())).unwrap());
        let turned = ImageShape { height: 1000, width: 300, channels: 3 };
        let turned = Images { pixels: images.pixels, labels: images.labels, ..Images::empty(turned) };
        assert_ne!(part, PartIdentity::of(&OneByOne(turned)).unwrap(), "of another shape");
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let pixels: Vec<u8> = (0..PIECE * 2 + 5).map(|index| (index * 7) as u8).collect();
        let dataset = dataset(&pixels, &[]);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Identity::of(&dataset).unwrap())
        };
        assert_eq!(on(1), on(3));
    }
}
