//! Differentiable augmentation: what D sees of every image, real and fake, is moved and has a square cut out, so that it
//! cannot learn the images by heart (Zhao et al., 2006.10738). G's gradient comes back through it.

use std::fmt;
use std::str::FromStr;

use anyhow::Result;
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::data::supply::Supply;
use crate::image_shape::ImageShape;
use crate::ops::{self, DRAWN};
use crate::rng::Stream;

/// Which augmentations there are: the value of `--diffaugment`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DiffAugment {
    pub translation: bool,
    pub cutout: bool,
}

/// How far an image moves at most along a side of `length`: an eighth of it, the paper's.
fn farthest(length: usize) -> u32 {
    (length as u32 + 4) / 8
}

/// The side of the square that is cut out of an image: half of its shorter side, the paper's.
fn cut(height: usize, width: usize) -> usize {
    height.min(width) / 2
}

/// What comes in from outside of an image and what is left of a square that is cut out: black, the background. (The
/// paper's images are padded with 0, the mean of theirs.)
const FILL: f32 = -1.0;

/// The random stream that it draws from.
pub const STREAM: &str = "diffaugment";

impl DiffAugment {
    pub fn is_on(self) -> bool {
        self.translation || self.cutout
    }

    /// Images (N, H, W, C) as D is to see them, each by its row of `draws`, (N, 4).
    pub fn apply(self, images: &Tensor, draws: &Tensor) -> candle_core::Result<Tensor> {
        let side = if self.cutout { cut(images.dim(1)?, images.dim(2)?) } else { 0 };
        ops::diffaugment(images, draws, side, FILL)
    }
}

impl fmt::Display for DiffAugment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.translation, self.cutout) {
            (false, false) => "none",
            (true, false) => "translation",
            (false, true) => "cutout",
            (true, true) => "translation,cutout",
        })
    }
}

impl FromStr for DiffAugment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut chosen = Self::default();
        for name in text.split(',') {
            match name {
                "translation" => chosen.translation = true,
                "cutout" => chosen.cutout = true,
                "none" if text == name => {}
                other => return Err(format!("{other:?}: expected none, translation, cutout or translation,cutout")),
            }
        }
        Ok(chosen)
    }
}

impl From<DiffAugment> for String {
    fn from(chosen: DiffAugment) -> Self {
        chosen.to_string()
    }
}

impl TryFrom<String> for DiffAugment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// An endless supply of draws, a function of the seed and the step alone, made by a thread of their own.
pub struct StepDraws {
    drawn: Supply<Vec<i64>>,
    batch_size: usize,
    device: Device,
}

impl StepDraws {
    /// Starts drawing for batches of `batch_size` images of `shape` at `first_step`.
    pub fn start(
        chosen: DiffAugment,
        shape: ImageShape,
        seed: u64,
        batch_size: usize,
        first_step: u64,
        device: &Device,
    ) -> Result<Self> {
        let (sides, cut) = ([shape.height, shape.width], cut(shape.height, shape.width));
        let stream = Stream::new(seed, STREAM);
        let draw = move |step, _| {
            let mut generator = stream.at(step);
            let mut draws = Vec::with_capacity(3 * batch_size * DRAWN);
            for _ in 0..3 * batch_size {
                let moves = sides.map(|side| {
                    let farthest = if chosen.translation { farthest(side) } else { 0 };
                    i64::from(generator.below(2 * farthest + 1)) - i64::from(farthest)
                });
                // The middle of the square is anywhere in the image, so that a part of it may be outside.
                let corner = sides.map(|side| i64::from(generator.below(side as u32 + 1)) - cut as i64 / 2);
                draws.extend([moves, corner].concat());
            }
            draws
        };
        Ok(Self { drawn: Supply::start(STREAM, first_step, draw)?, batch_size, device: device.clone() })
    }

    /// The next step's, (3N, 4): for the real images, for D's fakes and for G's.
    pub fn take(&mut self) -> Result<Tensor> {
        Ok(Tensor::from_vec(self.drawn.take()?, (3 * self.batch_size, DRAWN), &self.device)?)
    }
}
