use std::fmt;
use std::str::FromStr;

use anyhow::bail;
use serde::{Deserialize, Serialize};

use crate::data::{Dataset, Images};
use crate::error::Failure;

/// Real images beyond this are left out: figures of different sets stay comparable, and time bounded.
const MOST: usize = 10_000;

/// Which real images samples are held against.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Reference {
    /// The test images, the first 10,000.
    #[default]
    Test,
    /// Training images from the first number to below the second.
    Train(usize, usize),
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "test" {
            return Ok(Self::Test);
        }
        let range = text.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
        match range {
            Some((from, to)) if from < to && to - from <= MOST => Ok(Self::Train(from, to)),
            _ => Err(format!("expected `test`, or training images as A..B, such as 50000..60000, at most {MOST}")),
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
            Self::Train(from, to) => write!(f, "{from}..{to}"),
        }
    }
}

impl Reference {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Test => "test images".into(),
            Self::Train(from, to) => format!("training images {from} to {}", to - 1),
        }
    }

    /// The images that it means, and the first `floor` training images that are none of them. [`Failure::Input`] where
    /// there are none.
    pub fn choose(&self, dataset: &Dataset, floor: usize) -> anyhow::Result<(Images, Images)> {
        let name = &dataset.name;
        match self {
            Self::Test if dataset.test.is_empty() => bail!(Failure::Input(format!(
                "--data {name}: it has no test images to hold samples against\n--reference A..B takes training images in \
                 their place; there are {}",
                dataset.train.len()
            ))),
            Self::Test => Ok((dataset.test.first(MOST), dataset.train.first(floor))),
            Self::Train(_, to) if *to > dataset.train.len() => {
                bail!(Failure::Input(format!("--reference {self}: {name} has {} training images", dataset.train.len())))
            }
            &Self::Train(from, to) => {
                let mut rest = part(&dataset.train, 0, from.min(floor));
                let after = part(&dataset.train, to, dataset.train.len().min(to + floor - rest.len()));
                rest.pixels.extend(after.pixels);
                rest.labels.extend(after.labels);
                Ok((part(&dataset.train, from, to), rest))
            }
        }
    }
}

/// The images from number `from` to below `to`.
fn part(images: &Images, from: usize, to: usize) -> Images {
    let pixels = images.pixels[from * images.stride()..to * images.stride()].to_vec();
    let labels = if images.labels.is_empty() { Vec::new() } else { images.labels[from..to].to_vec() };
    Images { pixels, labels, ..Images::empty(images.shape()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(train: u8, test: u8) -> Dataset {
        let images = |from: u8, count: u8| Images {
            height: 1,
            width: 1,
            channels: 1,
            pixels: (from..from + count).collect(),
            labels: (from..from + count).map(u32::from).collect(),
        };
        Dataset::new("few", Vec::new(), images(0, train), images(100, test))
    }

    #[test]
    fn a_reference_and_its_floor_share_no_image() {
        let (reference, floor) = Reference::Test.choose(&dataset(6, 3), 4).unwrap();
        assert_eq!((reference.pixels, floor.pixels), (vec![100, 101, 102], vec![0, 1, 2, 3]));
        let (reference, floor) = Reference::Train(2, 4).choose(&dataset(8, 0), 4).unwrap();
        assert_eq!((reference.pixels, floor.pixels), (vec![2, 3], vec![0, 1, 4, 5]));
        assert_eq!(floor.labels, [0, 1, 4, 5]);
        let (_, floor) = Reference::Train(2, 4).choose(&dataset(5, 0), 100).unwrap();
        assert_eq!(floor.pixels, [0, 1, 4], "as many as there are");
        assert!(Reference::Train(2, 9).choose(&dataset(8, 0), 4).is_err());
        assert!(Reference::Test.choose(&dataset(8, 0), 4).is_err());
    }

    #[test]
    fn references_are_written_as_they_are_read() {
        for text in ["test", "50000..60000", "0..10"] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
        for wrong in ["train", "5", "7..7", "9..3", "-1..4", "0..10001", ".."] {
            assert!(wrong.parse::<Reference>().is_err(), "{wrong}");
        }
    }
}
