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
    /// `stratified` the first of each class, as many as its share of the set; in the order of the set.
    /// [`Failure::Input`] where there are fewer.
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
        let mut left = shares(&images.labels, classes, count);
        let mut chosen = Images::empty(images.shape());
        for (&label, pixels) in images.labels.iter().zip(images.pixels.chunks_exact(images.stride())) {
            if let Some(rest) = left[label as usize].checked_sub(1) {
                left[label as usize] = rest;
                chosen.labels.push(label);
                chosen.pixels.extend_from_slice(pixels);
            }
        }
        Ok(chosen)
    }
}

/// How many of `count` each class gets, in proportion to its labels: whole parts first, and what is left to the largest
/// remainders, the lower class first where they are equal.
fn shares(labels: &[u32], classes: usize, count: usize) -> Vec<usize> {
    let mut of_class = vec![0; classes];
    labels.iter().for_each(|label| of_class[*label as usize] += 1);
    let mut shares: Vec<usize> = of_class.iter().map(|size| size * count / labels.len()).collect();
    let mut by_remainder: Vec<usize> = (0..classes).collect();
    by_remainder.sort_by_key(|&class| std::cmp::Reverse(of_class[class] * count % labels.len())); // stable
    let left = count - shares.iter().sum::<usize>();
    by_remainder.into_iter().take(left).for_each(|class| shares[class] += 1);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(labels: &[u32]) -> Images {
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
    fn the_first_or_the_same_part_of_each_class() {
        let images = images(&[0, 0, 0, 1, 0, 2, 1, 2, 2, 1]);
        assert_eq!(Labels::Part(0.3).choose(&images, 3, false).unwrap().pixels, [0, 1, 2]);
        let even = Labels::Count(5).choose(&images, 3, true).unwrap();
        assert_eq!((even.pixels, even.labels), (vec![0, 1, 3, 5, 6], vec![0, 0, 1, 2, 1]));
        assert_eq!(shares(&images.labels, 3, 5), [2, 2, 1], "of 2, 1.5 and 1.5 the lower class takes what is left");
        assert_eq!(shares(&images.labels, 3, 7), [3, 2, 2]);
        assert_eq!(shares(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 3], 4, 5), [5, 0, 0, 0]);
        assert_eq!(shares(&images.labels, 3, 10), [4, 3, 3]);
        assert!(Labels::Count(11).choose(&images, 3, true).is_err());
        assert_eq!(Labels::Part(1.0).choose(&images, 3, false).unwrap(), images);
    }
}
