//! Test images held out of those to train on, where a set brings none.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::{Dataset, ImageSet, parts};
use crate::error::{Error, number};

/// The part of the training images that is held out to test on: 0 (none) to below 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct TestPart(f64);

impl TestPart {
    /// Nothing is held out.
    pub const NONE: Self = Self(0.0);
    /// What is held out where nothing is said.
    pub const DEFAULT: Self = Self(0.2);
}

impl TryFrom<f64> for TestPart {
    type Error = String;

    fn try_from(part: f64) -> Result<Self, String> {
        match (0.0..1.0).contains(&part) {
            true => Ok(Self(part)),
            false => Err("expected a part of the images, 0 to below 1".into()),
        }
    }
}

impl From<TestPart> for f64 {
    fn from(part: TestPart) -> Self {
        part.0
    }
}

impl FromStr for TestPart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<f64>().unwrap_or(f64::NAN).try_into()
    }
}

impl fmt::Display for TestPart {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&number(self.0))
    }
}

impl Dataset {
    /// The set with test images. Where it brings none (with `labels`: where it is labelled, but no test image is), its
    /// validation part takes their place, as is usual with ImageNet. Where it has none of those either, or `part` is
    /// given, so many of the training images do: a fixed choice of every class in proportion ([`parts::balanced`]), so
    /// that commands with the same `part` hold out the same images.
    ///
    /// [`Error::Setting`] where `part` is given and the set brings test images, [`Error::Data`] where it has too few
    /// images to divide.
    pub fn with_test_part(self, part: Option<TestPart>, labels: bool) -> Result<Self> {
        let serves = |images: &ImageSet| !images.is_empty() && (!labels || !images.labels().is_empty());
        let is_useless = labels && self.train.labels().is_empty();
        if is_useless || part == Some(TestPart::NONE) || part.is_none() && serves(&self.test) {
            return Ok(self);
        }
        if let (true, Some(part)) = (serves(&self.test), part) {
            let problem = format!("{} has {} test images of its own; leave it out", self.name, self.test.len());
            bail!(Error::setting("test_part", part, problem));
        }
        let unlabelled = self.test.len();
        let mut dataset = match part {
            None if serves(&self.validation) => self.with_validation_as_test(),
            _ => self.split(part.unwrap_or(TestPart::DEFAULT))?,
        };
        if unlabelled > 0 {
            let note = format!("{}: its {unlabelled} test images have no classes and are not used", dataset.name);
            dataset.notes.push(note);
        }
        Ok(dataset)
    }

    /// The set without the images that [`with_test_part`](Self::with_test_part) would hold out for a command that needs
    /// labels: what an encoder is pretrained on that is tested on the others later. Sets without labels are for other
    /// things, and stay as they are, unless `part` is given.
    pub fn without_test_part(self, part: Option<TestPart>) -> Result<Self> {
        match part {
            None if self.train.labels().is_empty() || !self.validation.is_empty() => Ok(self),
            _ => {
                let labels = !self.train.labels().is_empty();
                self.with_test_part(part, labels)
            }
        }
    }

    fn with_validation_as_test(mut self) -> Self {
        let validation = self.train.select(&[]);
        self.test = std::mem::replace(&mut self.validation, validation);
        let (name, count) = (&self.name, self.test.len());
        self.notes.push(format!("{name}: no test part; the {count} images to validate on take its place"));
        self
    }

    fn split(mut self, held_out: TestPart) -> Result<Self> {
        let (part, TestPart(fraction)) = (held_out, held_out);
        self.held_out_to_test = Some(held_out);
        let (name, all) = (self.name.clone(), self.train.len());
        let count = ((all as f64 * fraction).round() as usize).max(1);
        if count >= all {
            let problem =
                format!("{all} training images and no test part; there are too few to hold {part} of them out");
            bail!(Error::data(name, problem));
        }
        let chosen = parts::balanced(&self.train.labels(), all, count);
        let mut is_chosen = vec![false; all];
        chosen.iter().for_each(|index| is_chosen[*index as usize] = true);
        let rest: Vec<u32> = (0..all as u32).filter(|index| !is_chosen[*index as usize]).collect();
        self.test = self.train.select(&chosen);
        self.train = self.train.select(&rest);
        let which = if self.train.labels().is_empty() { "a fixed choice" } else { "a fixed choice of every class" };
        let mut note = format!(
            "{name}: no test part; {count} of its {all} images are held out to test on, {which} (a test part of {part})"
        );
        let classes: HashSet<u32> = self.train.labels().iter().copied().collect();
        let tested: HashSet<u32> = self.test.labels().iter().copied().collect();
        match classes.difference(&tested).count() {
            0 => {}
            untested => note += &format!("; of {untested} of {} classes there is none", classes.len()),
        }
        self.notes.push(note);
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Images;

    /// `count` images of a pixel that is their number, of three classes, or without labels.
    fn images(count: u8, labelled: bool) -> Images {
        let labels = (0..count).filter(|_| labelled).map(|index| u32::from(index) * 3 / u32::from(count)).collect();
        Images { height: 1, width: 1, channels: 1, pixels: (0..count).collect(), labels }
    }

    fn dataset(train: Images, test: Images) -> Dataset {
        Dataset::new("some", ["a", "b", "c"].map(str::to_string).to_vec(), train, test)
    }

    #[test]
    fn every_command_holds_out_the_same_images_of_every_class() {
        let whole = dataset(images(60, true), images(0, true));
        let split = whole.clone().with_test_part(None, true).unwrap();
        assert_eq!((split.train.len(), split.test.len()), (48, 12));
        for class in 0..3 {
            assert_eq!(split.test.to_images().unwrap().labels.iter().filter(|label| **label == class).count(), 4);
        }
        let mut all =
            [split.train.to_images().unwrap().pixels.clone(), split.test.to_images().unwrap().pixels.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, whole.train.to_images().unwrap().pixels);
        assert!(split.train.to_images().unwrap().pixels.is_sorted());
        assert_eq!((split.held_out_to_test, whole.held_out_to_test), (Some(TestPart::DEFAULT), None));
        assert!(split.notes[0].contains("12 of its 60 images are held out"), "{:?}", split.notes);
        let pretraining = whole.clone().without_test_part(None).unwrap();
        let unlabelled = whole.clone().with_test_part(None, false).unwrap();
        let images = |set: &ImageSet| set.to_images().unwrap();
        assert_eq!(images(&pretraining.train), images(&split.train));
        assert_eq!(images(&unlabelled.test), images(&split.test));
        let third = whole.clone().without_test_part("0.3".parse().ok()).unwrap();
        let same = whole.clone().with_test_part("0.3".parse().ok(), true).unwrap();
        assert_eq!(images(&third.train), images(&same.train));
        assert_eq!((third.train.len(), third.test.len()), (42, 18));
        let none = whole.clone().without_test_part(Some(TestPart::NONE)).unwrap();
        assert_eq!(images(&none.train), images(&whole.train));
    }

    #[test]
    fn what_a_set_brings_is_taken_first() {
        let own = dataset(images(9, true), images(3, true));
        assert_eq!(own.clone().with_test_part(None, true).unwrap().test.to_images().unwrap(), images(3, true));
        let error = own.with_test_part("0.5".parse().ok(), true).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(Error::Setting { .. })));
        let validated = Dataset { validation: images(6, true).into(), ..dataset(images(9, true), images(0, true)) };
        let as_test = validated.clone().with_test_part(None, true).unwrap();
        assert_eq!(
            (as_test.test.to_images().unwrap(), as_test.validation.len(), as_test.train.len()),
            (images(6, true), 0, 9)
        );
        assert_eq!(validated.clone().with_test_part("0.3".parse().ok(), true).unwrap().validation.len(), 6);
        assert_eq!(validated.without_test_part(None).unwrap().validation.len(), 6);
        // Without labels a test part is of no use to an encoder, but it is to a generator.
        let kaggle = dataset(images(10, true), images(7, false));
        assert_eq!(kaggle.clone().with_test_part(None, true).unwrap().test.to_images().unwrap().labels.len(), 2);
        assert_eq!(kaggle.with_test_part(None, false).unwrap().test.len(), 7);
        let flat = dataset(images(10, false), images(0, false));
        assert_eq!(flat.clone().with_test_part(None, false).unwrap().test.len(), 2);
        assert_eq!(flat.without_test_part(None).unwrap().test.len(), 0);
        assert!(dataset(images(1, true), images(0, true)).with_test_part(None, true).is_err());
    }

    #[test]
    fn a_part_is_a_number_below_one() {
        for (text, part) in [("0", 0.0), ("0.25", 0.25)] {
            assert_eq!(text.parse(), Ok(TestPart(part)));
        }
        for wrong in ["1", "-0.1", "20", "nan", "half", ""] {
            assert!(wrong.parse::<TestPart>().is_err(), "{wrong}");
        }
    }
}
