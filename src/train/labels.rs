//! How many images of a set may show their labels, and which.

use std::fmt;
use std::str::FromStr;

use anyhow::bail;
use serde::{Deserialize, Serialize};

use crate::data::Images;
use crate::error::Failure;

/// A part of the training images, or a number of them: `0.1`, `1.0`, `5000`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Labels {
    Part(f64),
    Count(usize),
}

impl FromStr for Labels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(count) = text.parse().ok().filter(|count| *count > 0) {
            return Ok(Self::Count(count));
        }
        match text.parse() {
            Ok(part) if part > 0.0 && part <= 1.0 => Ok(Self::Part(part)),
            _ => Err("expected a part of the images, above 0 to 1.0, or a number of them, from 1".into()),
        }
    }
}

impl TryFrom<String> for Labels {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Labels> for String {
    fn from(labels: Labels) -> Self {
        labels.to_string()
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Part(part) => write!(f, "{part:?}"), // 1.0, not 1
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

impl Labels {
    /// The images of `images` (which has `classes` classes) that are used with their labels: the first so many, or with
    /// `stratified` the first so many of each class, in the order of the set; where the number is no multiple of the
    /// classes, the first classes have one more. [`Failure::Input`] where there are fewer.
    pub fn choose(self, images: &Images, classes: usize, stratified: bool) -> anyhow::Result<Images> {
        let all = images.labels.len();
        let count = match self {
            Self::Part(part) => ((all as f64 * part).round() as usize).max(1),
            Self::Count(count) => count,
        };
        if count > all {
            bail!(Failure::Input(format!("--labels {self}: the data set has {all} labelled training images")));
        }
        if !stratified {
            return Ok(images.first(count));
        }
        let share = |class: usize| count / classes + usize::from(class < count % classes);
        let mut taken = vec![0; classes];
        let mut chosen = Images::empty(images.shape());
        for (&label, pixels) in images.labels.iter().zip(images.pixels.chunks_exact(images.stride())) {
            let class = usize::from(label);
            if taken[class] < share(class) {
                taken[class] += 1;
                chosen.labels.push(label);
                chosen.pixels.extend_from_slice(pixels);
            }
        }
        if let Some(class) = (0..classes).find(|&class| taken[class] < share(class)) {
            bail!(Failure::Input(format!(
                "--labels {self} --stratified: class {class} has {} images, {} are needed; give a smaller --labels",
                taken[class],
                share(class)
            )));
        }
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(labels: &[u8]) -> Images {
        let pixels = (0..labels.len() as u8).collect();
        Images { height: 1, width: 1, channels: 1, pixels, labels: labels.to_vec() }
    }

    #[test]
    fn a_point_makes_a_part_and_none_a_number() {
        assert_eq!("0.1".parse(), Ok(Labels::Part(0.1)));
        assert_eq!("1.0".parse(), Ok(Labels::Part(1.0)));
        assert_eq!("1".parse(), Ok(Labels::Count(1)));
        assert_eq!("5000".parse(), Ok(Labels::Count(5000)));
        for wrong in ["0", "0.0", "1.5", "-1", "nan", "ten", ""] {
            assert!(wrong.parse::<Labels>().is_err(), "{wrong}");
        }
        for text in ["0.1", "1.0", "1", "5000"] {
            assert_eq!(text.parse::<Labels>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_first_or_as_many_of_each_class() {
        let images = images(&[0, 0, 0, 1, 0, 2, 1, 2, 2, 1]);
        assert_eq!(Labels::Part(0.3).choose(&images, 3, false).unwrap().pixels, [0, 1, 2]);
        let even = Labels::Count(6).choose(&images, 3, true).unwrap();
        assert_eq!((even.pixels, even.labels), (vec![0, 1, 3, 5, 6, 7], vec![0, 0, 1, 2, 1, 2]));
        assert_eq!(Labels::Count(4).choose(&images, 3, true).unwrap().labels, [0, 0, 1, 2]);
        assert!(Labels::Count(11).choose(&images, 3, false).is_err());
        assert!(Labels::Count(10).choose(&images, 3, true).is_err(), "only three of class 1");
        assert_eq!(Labels::Part(1.0).choose(&images, 3, false).unwrap(), images);
    }
}
