//! What a run remembers of its data: how many images, and a hash of their content, so that it never goes on with others
//! without a word.

use std::fmt;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Dataset, Images};

/// Bytes that are hashed in one piece; the pieces' hashes are hashed in turn, so that all threads have work.
const PIECE: usize = 8 << 20;

/// The content of a data set as it was read, in the shape of the run, whatever is cut from it. Where it lies is no part
/// of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    train: Part,
    /// Of a set that has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    validation: Option<Part>,
    test: Part,
}

/// The number of images of a part, and the hash of their shape, pixels and labels, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    images: u64,
    sha256: String,
}

impl Identity {
    pub fn of(dataset: &Dataset) -> Self {
        let own = Some(&dataset.validation).filter(|images| !images.is_empty());
        Self { train: Part::of(&dataset.train), validation: own.map(Part::of), test: Part::of(&dataset.test) }
    }

    /// What differs in `found`, for an error: "training images: 1500 of sha256 0123456789ab then, 800 of ... now".
    pub fn difference(&self, found: &Self) -> String {
        let none = Part { images: 0, sha256: String::new() };
        let parts = |of: &Self| [of.train.clone(), of.validation.clone().unwrap_or(none.clone()), of.test.clone()];
        let named = ["training", "validation", "test"].into_iter().zip(parts(self)).zip(parts(found));
        let differing = named.filter(|((_, then), now)| then != now);
        let texts: Vec<_> =
            differing.map(|((name, then), now)| format!("{name} images: {then} then, {now} now")).collect();
        texts.join("; ")
    }
}

impl Part {
    fn of(images: &Images) -> Self {
        let Images { height, width, channels, pixels, labels } = images;
        let mut hasher = Sha256::new();
        hasher.update(format!("{height} {width} {channels} {} {}\n", pixels.len(), labels.len()));
        let of_pixels: Vec<_> = pixels.par_chunks(PIECE).map(Sha256::digest).collect();
        let of_labels: Vec<_> = labels.par_chunks(PIECE / 4).map(hash_labels).collect();
        of_pixels.iter().chain(&of_labels).for_each(|digest| hasher.update(digest));
        let sha256 = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { images: images.len() as u64, sha256 }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.images {
            0 => f.write_str("none"),
            images => write!(f, "{images} of sha256 {}", self.sha256.get(..12).unwrap_or(&self.sha256)),
        }
    }
}

/// Of the labels in 32 bits, the low byte first.
fn hash_labels(labels: &[u32]) -> sha2::digest::Output<Sha256> {
    let bytes: Vec<u8> = labels.iter().flat_map(|label| label.to_le_bytes()).collect();
    Sha256::digest(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        .map(|dataset| Identity::of(&dataset));
        for (index, identity) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|other| other != identity), "{index}");
        }
        let moved = Dataset { name: "elsewhere".into(), ..dataset(&[1, 2, 3], &[0, 1, 0]) };
        assert_eq!(Identity::of(&moved), all[0]);
        let text = all[0].difference(&all[6]);
        assert!(text.starts_with("training images: 3 of sha256 ") && text.contains(", 2 of sha256 "), "{text}");
        assert!(!text.contains("test"), "{text}");
        let empty = Dataset::new("set", Vec::new(), Images::empty(moved.train.shape()), moved.test.clone());
        assert!(all[0].difference(&Identity::of(&empty)).ends_with("none now"));
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let pixels: Vec<u8> = (0..PIECE * 2 + 5).map(|index| (index * 7) as u8).collect();
        let dataset = dataset(&pixels, &[]);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Identity::of(&dataset))
        };
        assert_eq!(on(1), on(3));
    }
}
