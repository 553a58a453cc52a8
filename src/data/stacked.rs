//! The set `stacked-mnist`: three digits of MNIST as red, green and blue, so that each of the 1,000 numbers from 000 to 999 is
//! a mode whose images can be told by a classifier of digits. A generator that leaves out modes is found out by counting
//! (Metz et al., [1611.02163](https://arxiv.org/abs/1611.02163); the tables of PacGAN, 1712.04086, and R3GAN, 2501.05441).
//!
//! The digits lie in the middle of 32x32 pixels, black around them, as in Karras et al.'s `create_mnistrgb`
//! ([1710.10196](https://arxiv.org/abs/1710.10196)). Which digits make an image is drawn from the number of the image alone. No
//! digit is in two parts: the parts are of MNIST's first 50,000 training images, of its last 10,000, and of its test images.

use std::borrow::Cow;
use std::ops::Range;

use anyhow::{Result, ensure};

use super::{Dataset, ImageSet, ImageShape, ImageSource, TargetShape};
use crate::rng::Stream;

/// What `--data` calls it.
pub const NAME: &str = "stacked-mnist";

/// Of the images, where no other is asked for.
pub const SHAPE: ImageShape = ImageShape::new(32, 32, 3);

/// Three digits.
pub const MODES: usize = 1000;

/// Changing it makes another data set.
const SEED: u64 = 0x0073_7461_636b_6564;

/// Images of the parts.
const TRAIN: usize = 240_000;
const VALIDATION: usize = 10_000;
const TEST: usize = 26_000;

/// MNIST's training images from here on are for validation.
const FIRST_OF_VALIDATION: usize = 50_000;

/// The set of the digits of `mnist`, whose images are grey, as `target` says: its middle where that is no larger than they
/// are, else as [`ImageSet::fit`] says.
///
/// # Errors
/// Where `mnist` has too few images or other shapes.
pub fn of(mnist: &Dataset, target: TargetShape) -> Result<Dataset> {
    let (digit, all) = (mnist.train.shape()?, mnist.train.len());
    ensure!(all > FIRST_OF_VALIDATION && digit.channels == 1, "{} grey images of {digit} are not MNIST's", all);
    let shape = if target.shape == (ImageShape { channels: 3, ..digit }) { target.shape } else { SHAPE };
    let part = |name: &str, digits: &ImageSet, range: Range<usize>, count| {
        ImageSet::from(Stacked::new(name, digits, range, shape, count)).fit(target)
    };
    let train = part("train", &mnist.train, 0..FIRST_OF_VALIDATION, TRAIN)?;
    let validation = part("validation", &mnist.train, FIRST_OF_VALIDATION..all, VALIDATION)?;
    let test = part("test", &mnist.test, 0..mnist.test.len(), TEST)?;
    let classes = (0..MODES).map(|mode| format!("{mode:03}")).collect();
    Ok(Dataset { validation, ..Dataset::canonical(NAME, classes, train, test) })
}

/// Images that are put together when they are asked for.
struct Stacked {
    digits: ImageSet,
    /// Which digits are red, green and blue.
    triples: Vec<[u32; 3]>,
    labels: Vec<u32>,
    shape: ImageShape,
}

impl Stacked {
    /// `count` images of the `digits` in `range`.
    fn new(part: &str, digits: &ImageSet, range: Range<usize>, shape: ImageShape, count: usize) -> Self {
        let (stream, labels) = (Stream::new(SEED, &format!("stacked.{part}")), digits.labels().into_owned());
        let triple = |index: usize| {
            let mut generator = stream.at(index as u64);
            [(); 3].map(|()| range.start as u32 + generator.below((range.len() as u32).max(1)))
        };
        let triples: Vec<[u32; 3]> = (0..count).map(triple).collect();
        let digit = |index: u32| labels.get(index as usize).copied().unwrap_or(0);
        let labels = triples.iter().map(|triple| triple.iter().fold(0, |mode, index| 10 * mode + digit(*index)));
        Self { digits: digits.clone(), labels: labels.collect(), triples, shape }
    }
}

impl ImageSource for Stacked {
    fn len(&self) -> usize {
        self.triples.len()
    }

    fn shape_of(&self, _: usize) -> ImageShape {
        self.shape
    }

    fn uniform_shape(&self) -> Option<ImageShape> {
        Some(self.shape)
    }

    fn label_of(&self, index: usize) -> Option<u32> {
        self.labels.get(index).copied()
    }

    fn labels(&self) -> Cow<'_, [u32]> {
        Cow::Borrowed(&self.labels)
    }

    fn bytes_of(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        let mut pixels = vec![0; self.shape.stride()];
        for (channel, digit) in self.triples[index].into_iter().enumerate() {
            let (shape, ink) = (self.digits.shape_of(digit as usize), self.digits.bytes_of(digit as usize)?);
            let (top, left) = ((self.shape.height - shape.height) / 2, (self.shape.width - shape.width) / 2);
            for (row, line) in ink.chunks_exact(shape.width).enumerate() {
                let start = ((top + row) * self.shape.width + left) * 3 + channel;
                line.iter().enumerate().for_each(|(column, ink)| pixels[start + 3 * column] = *ink);
            }
        }
        Ok(Cow::Owned(pixels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Images;

    /// Digits of one pixel row each: image i has the label i % 10 and the shade i % 251.
    fn mnist(train: usize, test: usize) -> Dataset {
        let images = |count: usize| Images {
            height: 28,
            width: 28,
            channels: 1,
            pixels: (0..count).flat_map(|index| [(index % 251) as u8; 784]).collect(),
            labels: (0..count as u32).map(|index| index % 10).collect(),
        };
        Dataset::new("mnist", Vec::new(), images(train), images(test))
    }

    #[test]
    fn three_digits_are_red_green_and_blue() {
        let set = of(&mnist(50_100, 60), SHAPE.into()).unwrap();
        assert_eq!((set.train.len(), set.validation.len(), set.test.len()), (TRAIN, VALIDATION, TEST));
        assert_eq!((set.classes.len(), &*set.classes[42], set.held_out()), (MODES, "042", TRAIN..TRAIN));
        for index in [0, 1, 25_999] {
            let (image, label) = (set.test.bytes_of(index).unwrap(), set.test.label_of(index).unwrap());
            let middle = &image[(16 * 32 + 16) * 3..][..3];
            // Of 60 digits the shade is the number.
            let digits: Vec<u32> = middle.iter().map(|shade| u32::from(*shade) % 10).collect();
            assert_eq!(digits[0] * 100 + digits[1] * 10 + digits[2], label);
            let ink = image.iter().filter(|pixel| **pixel > 0).count();
            assert_eq!(ink, 784 * middle.iter().filter(|shade| **shade > 0).count(), "the border is black");
        }
        let counts = set.train.labels().iter().fold(vec![0; MODES], |mut counts, mode| {
            counts[*mode as usize] += 1;
            counts
        });
        assert!(counts.iter().all(|count| (150..350).contains(count)), "about 240 of each");
        // No shade of what is held out for validation in the small set above: the digits are others.
        let small = of(&mnist(50_100, 60), ImageShape::new(28, 28, 3).into()).unwrap();
        assert_eq!(small.train.shape().unwrap(), ImageShape::new(28, 28, 3));
        assert_eq!(small.train.labels(), set.train.labels());
        assert!(of(&mnist(500, 60), SHAPE.into()).is_err());
    }
}
