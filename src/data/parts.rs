//! Parts of a set: its first N images, its validation part.
//!
//! The named and built-in sets are taken in the order in which they are published. Class folders, and files that
//! somebody has sorted, begin with one class: so the places of such a set are those of a fixed shuffle in which every
//! beginning, and every stretch, holds each class in proportion.

use std::ops::Range;

use anyhow::Result;

use super::catalogue::{BUILT_IN, SETS};
use super::{Dataset, ImageSet, ImageShape, ImageSource, Images};
use crate::rng::Stream;

/// A validation part that is split off the training images is a sixth of them, and at most so many.
const MOST_HELD_OUT: usize = 10_000;

/// Changing it changes which images are taken of every set that is not canonical.
const SEED: u64 = 0x70_6172_7473;

/// A fixed pseudo-random order of `len` images. Where they are labelled, every stretch of it holds each class in
/// proportion, to within one image: the j-th of the n images of a class stands at (j + 1/2) / n of the whole, which is
/// how Webster and Sainte-Laguë give out seats.
pub fn order(labels: &[u32], len: usize) -> Vec<u32> {
    let shuffled = Stream::new(SEED, "parts").at(0).permutation(len);
    if labels.len() != len {
        return shuffled;
    }
    let classes = labels.iter().max().map_or(0, |most| *most as usize + 1);
    let mut sizes = vec![0u32; classes];
    labels.iter().for_each(|label| sizes[*label as usize] += 1);
    let mut seen = vec![0u32; classes];
    let mut placed: Vec<(f64, u32)> = shuffled
        .into_iter()
        .map(|index| {
            let class = labels[index as usize] as usize;
            seen[class] += 1;
            (f64::from(2 * seen[class] - 1) / f64::from(2 * sizes[class]), index)
        })
        .collect();
    // Equal places are equal bits, for a division is rounded exactly; the lower class goes first there.
    placed.sort_unstable_by(|left, right| {
        let class = |index: u32| labels[index as usize];
        left.0.total_cmp(&right.0).then(class(left.1).cmp(&class(right.1)))
    });
    placed.into_iter().map(|(_, index)| index).collect()
}

/// The first `count` images of [`order`], or all where there are fewer; their indices in ascending order.
pub fn balanced(labels: &[u32], len: usize, count: usize) -> Vec<u32> {
    let mut chosen = order(labels, len);
    chosen.truncate(count);
    chosen.sort_unstable();
    chosen
}

/// Whether the first tenth of `labels`, and the last, hold each class that there is, at least half its share: not so
/// where somebody has sorted them.
pub fn are_mixed(labels: &[u32]) -> bool {
    let classes = labels.iter().max().map_or(0, |most| *most as usize + 1);
    let count = |labels: &[u32]| {
        let mut sizes = vec![0; classes];
        labels.iter().for_each(|label| sizes[*label as usize] += 1);
        sizes
    };
    let tenth = labels.len().div_ceil(10);
    let all = count(labels);
    [&labels[..tenth], &labels[labels.len() - tenth..]]
        .into_iter()
        .all(|part| count(part).into_iter().zip(&all).all(|(here, all)| here * 20 >= *all))
}

/// The indices of the images at `places` of a set; the order of a set that is not canonical is [`order`].
pub fn at(source: &dyn ImageSource, places: Range<usize>, is_canonical: bool) -> Vec<u32> {
    match is_canonical {
        true => (places.start as u32..places.end as u32).collect(),
        false => order(&source.labels(), source.len())[places].to_vec(),
    }
}

impl Dataset {
    /// The places of the training images that are the validation part: the last ones; none where the set has a
    /// validation part beside them.
    pub fn held_out(&self) -> Range<usize> {
        let all = self.train.len();
        let named = SETS.iter().find(|set| self.is_canonical && set.name == self.name);
        let count = match named {
            _ if !self.validation.is_empty() || self.draws_validation().is_some() => 0,
            Some(set) => set.validation,
            None => (all / 6).min(MOST_HELD_OUT),
        };
        all.saturating_sub(count)..all
    }

    /// What draws the validation part of a built-in set, which takes a moment and is not always wanted.
    fn draws_validation(&self) -> Option<fn(ImageShape) -> Images> {
        let built_in = BUILT_IN.iter().find(|set| self.is_canonical && set.name == self.name);
        built_in.map(|set| set.validation)
    }

    /// The part for choices made during training: the set's own, else training images, in the order of their places.
    pub fn validation_images(&self) -> Result<ImageSet> {
        match self.draws_validation() {
            _ if !self.validation.is_empty() => Ok(self.validation.clone()),
            Some(draw) => {
                let shape = self.train.shape()?;
                ImageSet::from(draw(shape)).fit(shape)
            }
            None => Ok(self.train.select(&self.train.at(self.held_out(), self.is_canonical))),
        }
    }

    /// The set with the training images at the `first` so many places, or at all, in the order in which they lie. Where it
    /// `validates`, it comes with its validation part, and those images are not among them.
    pub fn cut(mut self, first: Option<usize>, validates: bool) -> Result<Self> {
        let all = self.train.len();
        let mut end = first.map_or(all, |first| first.min(all));
        if validates {
            end = end.min(self.held_out().start);
            self.validation = self.validation_images()?;
        }
        if end < all {
            let mut chosen = self.train.at(0..end, self.is_canonical);
            chosen.sort_unstable();
            self.train = self.train.select(&chosen);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(labels: &[u32], chosen: &[u32]) -> Vec<usize> {
        let mut counts = vec![0; labels.iter().max().map_or(0, |most| *most as usize + 1)];
        chosen.iter().for_each(|index| counts[labels[*index as usize] as usize] += 1);
        counts
    }

    #[test]
    fn every_stretch_holds_each_class_in_proportion() {
        let labels: Vec<u32> = [(0, 600), (1, 300), (2, 0), (3, 100)]
            .into_iter()
            .flat_map(|(class, size)| std::iter::repeat_n(class, size))
            .collect();
        let order = order(&labels, labels.len());
        for (from, to) in [(0, 10), (0, 100), (37, 137), (500, 1000), (990, 1000)] {
            for (class, count) in counts(&labels, &order[from..to]).into_iter().enumerate() {
                let fair = (to - from) as f64 * [0.6, 0.3, 0.0, 0.1][class];
                assert!((count as f64 - fair).abs() <= 1.0, "{from}..{to}: {count} of class {class}, {fair} are fair");
            }
        }
        let mut all = order;
        all.sort_unstable();
        assert!(all.iter().enumerate().all(|(place, &index)| place == index as usize));
    }

    fn images(set: &ImageSet) -> Images {
        set.to_images().unwrap()
    }

    fn sorted(count: u32, is_canonical: bool) -> Dataset {
        let images = |count: u32| Images {
            height: 1,
            width: 1,
            channels: 1,
            pixels: (0..count).map(|index| index as u8).collect(),
            labels: (0..count).map(|index| index * 3 / count).collect(),
        };
        Dataset { is_canonical, ..Dataset::new("some", vec![String::new(); 3], images(count), images(0)) }
    }

    #[test]
    fn what_is_held_out_is_not_trained_on() {
        for is_canonical in [true, false] {
            let whole = sorted(60, is_canonical);
            assert_eq!(whole.held_out(), 50..60);
            for (first, count) in [(None, 50), (Some(50), 50), (Some(30), 30), (Some(57), 50)] {
                let cut = whole.clone().cut(first, true).unwrap();
                assert_eq!((cut.train.len(), cut.validation.len()), (count, 10), "{first:?}");
                assert!(cut.train.to_images().unwrap().pixels.is_sorted(), "in the order in which they lie");
                assert!(
                    !cut.validation.to_images().unwrap().pixels.iter().any(|pixel| cut
                        .train
                        .to_images()
                        .unwrap()
                        .pixels
                        .contains(pixel))
                );
            }
            assert_eq!(whole.clone().cut(Some(55), false).unwrap().train.len(), 55);
            assert_eq!(images(&whole.clone().cut(None, false).unwrap().train), images(&whole.train));
        }
        let canonical = sorted(60, true).cut(Some(20), true).unwrap();
        assert_eq!(images(&canonical.train), images(&sorted(60, true).train.first(20)));
        let mixed = sorted(60, false).cut(Some(30), true).unwrap();
        assert_eq!(counts(&mixed.train.to_images().unwrap().labels, &(0..30).collect::<Vec<u32>>()), [10, 10, 10]);
    }

    #[test]
    fn a_validation_part_of_its_own_is_taken_and_nothing_held_out() {
        let own = Dataset { validation: sorted(6, true).train, ..sorted(60, false) };
        assert!(own.held_out().is_empty());
        let cut = own.clone().cut(None, true).unwrap();
        assert_eq!((images(&cut.train), images(&cut.validation)), (images(&own.train), images(&own.validation)));
    }

    #[test]
    fn sorted_labels_are_told_from_mixed_ones() {
        let mut labels: Vec<u32> = (0..5000).map(|index| index / 500).collect();
        assert!(!are_mixed(&labels));
        let mixed: Vec<u32> = Stream::new(0, "test").at(0).permutation(5000).into_iter().map(|at| at % 10).collect();
        assert!(are_mixed(&mixed) && are_mixed(&[]));
        labels[..4000].copy_from_slice(&mixed[..4000]);
        assert!(!are_mixed(&labels), "sorted at the end");
    }

    #[test]
    fn a_choice_is_fixed_ascending_and_mixed() {
        let labels: Vec<u32> = (0..1000).map(|index| index / 100).collect();
        let chosen = balanced(&labels, 1000, 50);
        assert_eq!((chosen.len(), counts(&labels, &chosen)), (50, vec![5; 10]));
        assert!(chosen.is_sorted() && chosen == balanced(&labels, 1000, 50));
        assert_ne!(chosen, (0..1000).step_by(20).collect::<Vec<u32>>());
        let unlabelled = balanced(&[], 1000, 100);
        assert!(unlabelled.is_sorted() && unlabelled.len() == 100);
        let mean = unlabelled.iter().sum::<u32>() as f64 / 100.0;
        assert!((mean - 500.0).abs() < 100.0, "of all places: {mean}");
        assert_eq!(balanced(&labels, 1000, 5000).len(), 1000);
        assert_eq!(balanced(&[], 0, 5), [] as [u32; 0]);
    }
}
