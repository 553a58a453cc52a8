//! What a run remembers of its data: how many images, and a hash of their content, so that it never goes on with others
//! without a word.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::pixel_hash::{OnDecoded, hash_pixels};
use super::{Dataset, ImageSet};

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

/// The number of images of a part, and hashes of them in their order. Each part has one hash at least.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PartIdentity {
    images: u64,
    /// Of shape, pixels and labels. It is not known of pictures that are decoded on demand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// Of the encoded bytes of pictures, and their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoded: Option<String>,
}

impl Identity {
    /// What is known without decoding images. Of sets that are not in encoded pictures, that is all.
    ///
    /// # Errors
    /// Where an image cannot be read.
    pub fn of(dataset: &Dataset) -> Result<Self> {
        Self::of_parts(dataset, PartIdentity::known)
    }

    /// With the hash of the pixels, for which all images are decoded.
    ///
    /// # Errors
    /// Where an image cannot be read or decoded.
    pub fn of_pixels(dataset: &Dataset, on_decoded: OnDecoded) -> Result<Self> {
        let before = AtomicU64::new(0);
        Self::of_parts(dataset, |images| {
            let part = PartIdentity::of_pixels(images, &|done| on_decoded(before.load(Ordering::Relaxed) + done));
            before.fetch_add(images.len() as u64, Ordering::Relaxed);
            part
        })
    }

    fn of_parts(dataset: &Dataset, of: impl Fn(&ImageSet) -> Result<PartIdentity>) -> Result<Self> {
        let validation = of(&dataset.validation)?;
        Ok(Self {
            train: of(&dataset.train)?,
            validation: Some(validation).filter(|part| part.images > 0),
            test: of(&dataset.test)?,
        })
    }

    fn parts(&self) -> [PartIdentity; 3] {
        let none = PartIdentity { images: 0, sha256: None, encoded: None };
        [self.train.clone(), self.validation.clone().unwrap_or(none), self.test.clone()]
    }

    /// Whether `found` is the same set. Each part is told by a hash that both know; where both hashes are known, one that
    /// is equal will do, since pictures may be packed anew without a change of their pixels.
    pub fn is_same(&self, found: &Self) -> bool {
        self.parts().iter().zip(&found.parts()).all(|(then, now)| then.is_same(now))
    }

    /// Whether the pixels of `found` would tell more: this one has their hash, and `found` does not.
    pub fn wants_pixels_of(&self, found: &Self) -> bool {
        let mut parts = self.parts().into_iter().zip(found.parts());
        parts.any(|(then, now)| now.images > 0 && then.sha256.is_some() && now.sha256.is_none())
    }

    /// What is known of the same set by either.
    pub fn with(mut self, other: &Self) -> Self {
        self.train.learn(&other.train);
        self.test.learn(&other.test);
        if let (Some(validation), Some(other)) = (&mut self.validation, &other.validation) {
            validation.learn(other);
        }
        self
    }

    /// What differs in `found`, for an error: "training images: 1500 of sha256 0123456789ab then, 800 of ... now".
    pub fn difference(&self, found: &Self) -> String {
        let named = ["training", "validation", "test"].into_iter().zip(self.parts()).zip(found.parts());
        let differing = named.filter(|((_, then), now)| !then.is_same(now));
        let texts: Vec<_> = differing
            .map(|((name, then), now)| format!("{name} images: {} then, {} now", then.text(&now), now.text(&then)))
            .collect();
        texts.join("; ")
    }
}

impl PartIdentity {
    fn known(images: &ImageSet) -> Result<Self> {
        match images.digests() {
            Some(digests) if !images.is_in_memory() => {
                let encoded = Some(digests.of_part(&images.labels()));
                Ok(Self { images: images.len() as u64, sha256: None, encoded })
            }
            _ => Self::of_pixels(images, &|_| ()),
        }
    }

    fn of_pixels(images: &ImageSet, on_decoded: OnDecoded) -> Result<Self> {
        let encoded = images.digests().map(|digests| digests.of_part(&images.labels()));
        Ok(Self { images: images.len() as u64, sha256: Some(hash_pixels(&**images, on_decoded)?), encoded })
    }

    fn is_same(&self, found: &Self) -> bool {
        let is_equal = |then: &Option<String>, now: &Option<String>| then.is_some() && then == now;
        let has_equal = is_equal(&self.sha256, &found.sha256) || is_equal(&self.encoded, &found.encoded);
        self.images == found.images && (self.images == 0 || has_equal)
    }

    fn learn(&mut self, other: &Self) {
        self.sha256 = self.sha256.take().or_else(|| other.sha256.clone());
        self.encoded = self.encoded.take().or_else(|| other.encoded.clone());
    }

    /// In words, with a hash that `other` has too, if there is one.
    fn text(&self, other: &Self) -> String {
        let is_shared = self.sha256.is_some() && (other.sha256.is_some() || self.encoded.is_none());
        let hash = if is_shared { &self.sha256 } else { &self.encoded };
        match (self.images, hash) {
            (0, _) => "none".to_string(),
            (images, Some(hash)) => format!("{images} of sha256 {}", hash.get(..12).unwrap_or(hash)),
            (images, None) => format!("{images}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Images;
    use crate::data::digests::{PictureDigests, digest};
    use crate::data::source::tests::OneByOne;

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
    fn the_number_of_threads_does_not_matter() {
        let pixels: Vec<u8> = (0..(8 << 20) * 2 + 5).map(|index| (index * 7) as u8).collect();
        let dataset = dataset(&pixels, &[]);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Identity::of(&dataset).unwrap())
        };
        assert_eq!(on(1), on(3));
    }

    #[test]
    fn a_set_is_known_by_either_hash() {
        let pictures = |content: [u8; 3], pixels: &[u8], is_decoded: bool| {
            let digests: PictureDigests = content.iter().map(|byte| digest(&[*byte])).collect();
            let images = dataset(pixels, &[0, 1, 0]).train.to_images().unwrap();
            let set = if is_decoded { ImageSet::from(images) } else { ImageSet::from(OneByOne(images)) };
            let mut dataset = dataset(pixels, &[0, 1, 0]);
            dataset.train = set.of_pictures(digests);
            dataset
        };
        let identity = |dataset: &Dataset| Identity::of(dataset).unwrap();
        let in_memory = identity(&pictures([1, 2, 3], &[1, 2, 3], true));
        let on_demand = identity(&pictures([1, 2, 3], &[1, 2, 3], false));
        let older = identity(&dataset(&[1, 2, 3], &[0, 1, 0]));
        assert!(in_memory.is_same(&on_demand) && on_demand.is_same(&in_memory));
        assert!(in_memory.is_same(&older) && older.is_same(&in_memory));
        assert_eq!(on_demand.clone().with(&in_memory), in_memory);
        // Of a run from before there is nothing to compare with, until the pixels are hashed.
        assert!(!older.is_same(&on_demand) && older.wants_pixels_of(&on_demand) && !on_demand.wants_pixels_of(&older));
        let decoded = Identity::of_pixels(&pictures([1, 2, 3], &[1, 2, 3], false), &|_| ()).unwrap();
        assert!(older.is_same(&decoded) && decoded == in_memory);
        // Packed anew, with the same pixels.
        let packed = identity(&pictures([4, 5, 6], &[1, 2, 3], true));
        assert!(in_memory.is_same(&packed) && !on_demand.is_same(&packed));
        // Others.
        let other = identity(&pictures([1, 2, 4], &[1, 2, 4], false));
        for known in [&in_memory, &on_demand] {
            let text = known.difference(&other);
            assert!(!known.is_same(&other) && text.starts_with("training images: 3 of sha256 "), "{text}");
        }
    }
}
