//! Which real images a trained network is judged by.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use anyhow::bail;
use serde::{Deserialize, Serialize};

use crate::data::{Dataset, ImageSet};
use crate::error::Error;
use crate::pretrained::trained_on::TrainedOn;

/// More samples than this take more memory than their scores are worth.
pub const MAX_SAMPLES: usize = 100_000;

/// Test and validation images beyond this are left out: figures of different sets stay comparable, and time bounded.
const MOST: usize = 10_000;

/// Which real images samples are held against.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Reference {
    /// The test images, at most 10,000.
    #[default]
    Test,
    /// The validation images, at most 10,000; see [`Dataset::held_out`].
    Validation,
    /// Training images from the first place of the set to below the second; see [`crate::data::parts`].
    Train(usize, usize),
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "test" => return Ok(Self::Test),
            "validation" => return Ok(Self::Validation),
            _ => (),
        }
        let range = text.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
        match range {
            Some((from, to)) if from < to && to - from <= MAX_SAMPLES => Ok(Self::Train(from, to)),
            _ => Err(format!(
                "expected `test`, `validation`, or training images as A..B, such as 50000..60000, at most \
                 {MAX_SAMPLES}"
            )),
        }
    }
}

impl TryFrom<String> for Reference {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Test => write!(f, "test"),
            Self::Validation => write!(f, "validation"),
            Self::Train(from, to) => write!(f, "{from}..{to}"),
        }
    }
}

impl Reference {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Test => "test images".into(),
            Self::Validation => "validation images".into(),
            Self::Train(from, to) => format!("training images {from} to {}", to - 1),
        }
    }

    /// The name of the part.
    pub fn part(&self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Validation => "validation",
            Self::Train(..) => "reference",
        }
    }

    /// The places of the training images that it means: none where it means others.
    pub fn places(&self, dataset: &Dataset) -> Range<usize> {
        match *self {
            Self::Test => 0..0,
            Self::Validation => dataset.held_out(),
            Self::Train(from, to) => from..to,
        }
    }

    /// How many of its images a network was trained on, of the same set as `dataset`.
    pub fn seen_by(&self, network: &TrainedOn, dataset: &Dataset) -> usize {
        let (of_reference, of_training) = (self.places(dataset), network.places(dataset));
        of_reference.end.min(of_training.end).saturating_sub(of_reference.start.max(of_training.start))
    }

    /// The images that it means, of test and validation images at most 10,000, and `floor` training images that are none of them. Both are a fair part of
    /// what they come from, and in an order whose every beginning is one ([`crate::data::parts::order`]): of the named sets
    /// too, whose first images need not be like the rest. [`Error::Data`] where there are no test images,
    /// [`Error::TooFewImages`] where there are not so many.
    pub fn choose(&self, dataset: &Dataset, floor: usize) -> anyhow::Result<(ImageSet, ImageSet)> {
        let (name, all, places) = (&dataset.name, dataset.train.len(), self.places(dataset));
        let fair = |images: &ImageSet, most: usize| images.select(&images.at(0..most.min(images.len()), false));
        let mut taken = Vec::new();
        let real = match self {
            Self::Test if dataset.test.is_empty() => {
                let problem = format!(
                    "it has no test images to hold samples against\nthe reference validation or A..B takes training \
                     images in their place; there are {all}"
                );
                bail!(Error::data(name, problem))
            }
            Self::Test => fair(&dataset.test, MOST),
            Self::Train(_, to) if *to > all => {
                let problem = format!("{name} has {all} training images");
                bail!(Error::TooFewImages { name: "reference", value: self.to_string(), problem })
            }
            Self::Validation if places.is_empty() => fair(&dataset.validation_images()?, MOST),
            Self::Validation | Self::Train(..) => {
                taken = dataset.train.at(places, dataset.is_canonical);
                fair(&dataset.train.select(&taken), MAX_SAMPLES)
            }
        };
        let taken: HashSet<u32> = taken.into_iter().collect();
        let rest = dataset.train.at(0..all, false).into_iter().filter(|index| !taken.contains(index));
        Ok((real, dataset.train.select(&rest.take(floor).collect::<Vec<u32>>())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{ImageShape, Images};

    fn dataset(train: u8, test: u8) -> Dataset {
        let images = |from: u8, count: u8| Images {
            height: 1,
            width: 1,
            channels: 1,
            pixels: (from..from + count).collect(),
            labels: (from..from + count).map(u32::from).collect(),
        };
        let dataset = Dataset::new("few", Vec::new(), images(0, train), images(100, test));
        Dataset { is_canonical: true, ..dataset }
    }

    #[test]
    fn a_reference_and_its_floor_share_no_image() {
        let choose = |reference: Reference, dataset: Dataset, floor: usize| {
            let (real, rest) = reference.choose(&dataset, floor).unwrap();
            let (mut real, mut rest) = (real.to_images().unwrap(), rest.to_images().unwrap());
            assert!(rest.pixels.iter().zip(&rest.labels).all(|(pixel, label)| u32::from(*pixel) == *label));
            real.pixels.sort_unstable();
            rest.pixels.sort_unstable();
            (real.pixels, rest.pixels)
        };
        let (real, floor) = choose(Reference::Test, dataset(6, 3), 4);
        assert_eq!((real, floor.len()), (vec![100, 101, 102], 4));
        assert_eq!(choose(Reference::Train(2, 4), dataset(8, 0), 6), (vec![2, 3], vec![0, 1, 4, 5, 6, 7]));
        assert_eq!(choose(Reference::Train(2, 4), dataset(5, 0), 100).1, [0, 1, 4], "as many as there are");
        let (real, floor) = choose(Reference::Validation, dataset(12, 0), 4);
        assert_eq!(real, [10, 11]);
        assert!(floor.len() == 4 && floor.iter().all(|image| *image < 10), "{floor:?}");
        assert!(Reference::Train(2, 9).choose(&dataset(8, 0), 4).is_err());
        assert!(Reference::Test.choose(&dataset(8, 0), 4).is_err());
    }

    #[test]
    fn of_a_sorted_set_every_reference_holds_every_class() {
        let images = |count: u32| Images {
            labels: (0..count).map(|index| index * 4 / count).collect(),
            pixels: vec![0; count as usize],
            ..Images::empty(ImageShape { height: 1, width: 1, channels: 1 })
        };
        let dataset = Dataset::new("sorted", Vec::new(), images(240), images(80));
        for reference in [Reference::Test, Reference::Validation, Reference::Train(100, 140)] {
            let (reference, floor) = reference.choose(&dataset, 40).unwrap();
            for images in [reference.first(20), floor.first(20)] {
                let of = |class| images.labels().iter().filter(|label| **label == class).count();
                assert_eq!([of(0), of(1), of(2), of(3)], [5; 4]);
            }
        }
    }

    #[test]
    fn references_are_written_as_they_are_read() {
        for text in ["test", "validation", "50000..60000", "0..10"] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
        for wrong in ["train", "5", "7..7", "9..3", "-1..4", "0..100001", ".."] {
            assert!(wrong.parse::<Reference>().is_err(), "{wrong}");
        }
    }
}
