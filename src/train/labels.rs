//! How many images of a set may show their labels, and which.

use std::fmt;
use std::str::FromStr;

use anyhow::bail;
use serde::{Deserialize, Serialize};

use crate::data::{Dataset, ImageSet, parts};
use crate::error::{Error, legible};

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
    /// The training images of `dataset` that are used with their labels, in the order of the set. Of a canonical set they
    /// are the first so many, or with `stratified` the first of each class, as many as its share; of any other a fixed
    /// choice that holds every class in proportion. [`Error::TooFewImages`] where there are fewer.
    pub fn choose(self, dataset: &Dataset, stratified: bool) -> anyhow::Result<ImageSet> {
        let (images, labels) = (&dataset.train, dataset.train.labels());
        let all = labels.len();
        let count = match self {
            Self::Part(part) => ((all as f64 * part).round() as usize).max(1),
            Self::Count(count) => count,
        };
        if count > all {
            let problem = format!("the data set has {all} labelled training images");
            bail!(Error::TooFewImages { name: "labels", value: self.to_string(), problem });
        }
        if !dataset.is_canonical {
            return Ok(images.select(&parts::balanced(&labels, all, count)));
        }
        if !stratified {
            return Ok(images.first(count));
        }
        let mut left = shares(&labels, dataset.classes.len(), count);
        let mut chosen = Vec::with_capacity(count);
        for (index, &label) in (0..).zip(labels.iter()) {
            if let Some(rest) = left[label as usize].checked_sub(1) {
                left[label as usize] = rest;
                chosen.push(index);
            }
        }
        Ok(images.select(&chosen))
    }
}

/// What is to be said where `labels` leave out some of the `classes` of a classifier.
pub fn missing_classes(labels: &[u32], classes: &[String]) -> Option<String> {
    let absent = absent_classes(labels, classes)?;
    Some(format!("{absent}: no image among the {} labelled, so none is ever told right", labels.len()))
}

/// Those of the `classes` that none of `labels` is of, in words; `None` where there is no such class.
pub fn absent_classes(labels: &[u32], classes: &[String]) -> Option<String> {
    const NAMED: usize = 5;
    let mut is_absent = vec![true; classes.len()];
    for label in labels {
        if let Some(is_absent) = is_absent.get_mut(*label as usize) {
            *is_absent = false;
        }
    }
    let absent: Vec<&str> =
        (0..classes.len()).filter(|&class| is_absent[class]).map(|class| &*classes[class]).collect();
    let names = absent.iter().take(NAMED).map(|name| legible(name)).collect::<Vec<_>>().join(", ");
    let more = match absent.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let class = if absent.len() == 1 { "class" } else { "classes" };
    (!absent.is_empty()).then(|| format!("{class} {names}{more}"))
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
    use crate::data::Images;

    fn dataset(labels: &[u32], is_canonical: bool) -> Dataset {
        let pixels = (0..labels.len() as u8).collect();
        let images = Images { height: 1, width: 1, channels: 1, pixels, labels: labels.to_vec() };
        let classes = vec![String::new(); 3];
        Dataset { is_canonical, ..Dataset::new("few", classes, images.clone(), images) }
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
        let dataset = dataset(&[0, 0, 0, 1, 0, 2, 1, 2, 2, 1], true);
        let images = dataset.train.to_images().unwrap();
        let choose = |labels: Labels, stratified| labels.choose(&dataset, stratified).unwrap().to_images().unwrap();
        assert_eq!(choose(Labels::Part(0.3), false).pixels, [0, 1, 2]);
        let even = choose(Labels::Count(5), true);
        assert_eq!((even.pixels, even.labels), (vec![0, 1, 3, 5, 6], vec![0, 0, 1, 2, 1]));
        assert_eq!(shares(&images.labels, 3, 5), [2, 2, 1], "of 2, 1.5 and 1.5 the lower class takes what is left");
        assert_eq!(shares(&images.labels, 3, 7), [3, 2, 2]);
        assert_eq!(shares(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 3], 4, 5), [5, 0, 0, 0]);
        assert_eq!(shares(&images.labels, 3, 10), [4, 3, 3]);
        assert!(Labels::Count(11).choose(&dataset, true).is_err());
        assert_eq!(choose(Labels::Part(1.0), false), images);
    }

    #[test]
    fn of_a_sorted_set_every_class_is_taken() {
        let labels: Vec<u32> = (0..60).map(|index| index / 20).collect();
        for stratified in [false, true] {
            let chosen = Labels::Part(0.1).choose(&dataset(&labels, false), stratified).unwrap();
            assert_eq!(*chosen.labels(), [0, 0, 1, 1, 2, 2]);
        }
        let all = Labels::Part(1.0).choose(&dataset(&labels, false), false).unwrap();
        assert_eq!(all.to_images().unwrap(), dataset(&labels, false).train.to_images().unwrap());
    }

    #[test]
    fn missing_classes_are_named() {
        let classes: Vec<String> = (0..9).map(|class| format!("c{class}")).collect();
        assert_eq!(missing_classes(&(0..9).collect::<Vec<u32>>(), &classes), None);
        let text = missing_classes(&[0, 2, 2], &classes).unwrap();
        assert!(text.starts_with("classes c1, c3, c4, c5, c6 and 2 more: no image among the 3 labelled"), "{text}");
    }
}
