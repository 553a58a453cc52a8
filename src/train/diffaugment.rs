//! Differentiable augmentation: what D sees of every image, real and fake, is moved and has a square cut out, so that it
//! cannot learn the images by heart (Zhao et al., 2006.10738). G's gradient comes back through it.

use std::fmt;
use std::str::FromStr;

use anyhow::Result;
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::data::{Prefetcher, StepPlan};
use crate::image_shape::ImageShape;
use crate::ops::{self, DRAWN, Draw};
use crate::rng::Generator;

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

    /// The draws of a plan's steps from `first_step` on, for images of `shape`: (3N, 4) on `device`, for the real images, for
    /// D's fakes and for G's.
    pub fn draws(
        self,
        plan: &StepPlan,
        shape: ImageShape,
        first_step: u64,
        device: &Device,
    ) -> Result<Prefetcher<Tensor>> {
        let (sides, cut) = ([shape.height, shape.width], cut(shape.height, shape.width));
        let draw = move |generator: &mut Generator| -> Draw {
            let [down, right] = sides.map(|side| {
                let farthest = if self.translation { farthest(side) } else { 0 };
                i64::from(generator.below(2 * farthest + 1)) - i64::from(farthest)
            });
            // The middle of the square is anywhere in the image, so that a part of it may be outside.
            let [top, left] = sides.map(|side| i64::from(generator.below(side as u32 + 1)) - cut as i64 / 2);
            [down, right, top, left]
        };
        let (plan, device) = (*plan, device.clone());
        let place = move |draws: Vec<Draw>| {
            let count = draws.len();
            Ok(Tensor::from_vec(draws.into_flattened(), (count, DRAWN), &device)?)
        };
        Prefetcher::start(STREAM, first_step, move |step| Ok(plan.draws(step, STREAM, 3, draw)), place)
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
