//! Differentiable augmentation: what D sees of every image, real and fake, is recoloured, moved and has a square cut out,
//! so that it cannot learn the images by heart (Zhao et al., 2006.10738). G's gradient comes back through it.

use std::fmt;
use std::str::FromStr;

use anyhow::Result;
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::data::{Prefetcher, StepPlan};
use crate::image_shape::ImageShape;
use crate::ops::{DRAWN, Draw, EXTRA_COLUMNS};
use crate::rng::Generator;
use crate::train::distortions::Distortions;

/// Which augmentations there are: the value of `--diffaugment`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DiffAugment {
    pub color: bool,
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

/// The random stream of moves and cuts.
const MOVES: &str = "diffaugment";
/// The random stream of colours.
const COLOURS: &str = "diffaugment.color";

/// Brightness, saturation and contrast in the reference's definitions and order: b in (-1/2, 1/2) is added; each pixel's
/// distance from its mean over the channels is multiplied by s in (0, 2); each value's distance from the image's mean by c
/// in (1/2, 3/2). All three are one change of colour: c s x + c (1 - s) (pixel's mean) + b + (1 - c) (image's mean).
/// Returned is the matrix of [`crate::ops::recolour`], row by row, for images of `channels`.
pub fn colour([brightness, saturation, contrast]: [f32; 3], channels: usize) -> Vec<f32> {
    let of_mean = contrast * (1.0 - saturation) / channels as f32;
    let weight = |own: bool| if own { contrast * saturation + of_mean } else { of_mean };
    let row = |channel: usize| {
        let mixed = (0..channels).map(move |other| weight(other == channel));
        mixed.chain([brightness, 1.0 - contrast])
    };
    (0..channels).flat_map(row).collect()
}

impl DiffAugment {
    pub fn is_on(self) -> bool {
        self.color || self.moves()
    }

    fn moves(self) -> bool {
        self.translation || self.cutout
    }

    /// The random streams that it draws from.
    pub fn streams(self) -> impl Iterator<Item = &'static str> {
        [(self.color, COLOURS), (self.moves(), MOVES)].into_iter().filter(|(is_on, _)| *is_on).map(|(_, name)| name)
    }

    /// The distortions of a plan's steps from `first_step` on, for images of `shape`, on `device`.
    pub fn distortions(
        self,
        plan: &StepPlan,
        shape: ImageShape,
        first_step: u64,
        device: &Device,
    ) -> Result<Prefetcher<Distortions>> {
        let ImageShape { height, width, channels } = shape;
        let (sides, side) = ([height, width], cut(height, width));
        let draw_move = move |generator: &mut Generator| -> Draw {
            let [down, right] = sides.map(|side| {
                let farthest = if self.translation { farthest(side) } else { 0 };
                i64::from(generator.below(2 * farthest + 1)) - i64::from(farthest)
            });
            // The middle of the square is anywhere in the image, so that a part of it may be outside.
            let [top, left] = sides.map(|length| i64::from(generator.below(length as u32 + 1)) - side as i64 / 2);
            [down, right, top, left]
        };
        let draw_colour = move |generator: &mut Generator| {
            let [brightness, saturation, contrast] = [(); 3].map(|()| generator.unit());
            colour([brightness - 0.5, 2.0 * saturation, contrast + 0.5], channels)
        };
        let (plan, device) = (*plan, device.clone());
        let make = move |step| {
            let moves = self.moves().then(|| plan.draws(step, MOVES, 3, draw_move));
            let colours = self.color.then(|| plan.draws(step, COLOURS, 3, draw_colour));
            Ok((moves, colours))
        };
        let place = move |(moves, colours): (Option<Vec<Draw>>, Option<Vec<Vec<f32>>>)| {
            let of_moves = |draws: Vec<Draw>| {
                let count = draws.len();
                Tensor::from_vec(draws.into_flattened(), (count, DRAWN), &device)
            };
            let of_colours = |drawn: Vec<Vec<f32>>| {
                Tensor::from_vec(drawn.concat(), (drawn.len(), channels, channels + EXTRA_COLUMNS), &device)
            };
            Ok(Distortions {
                transforms: None,
                colours: colours.map(of_colours).transpose()?,
                moves: moves.map(of_moves).transpose()?,
                cut: if self.cutout { side } else { 0 },
            })
        };
        Prefetcher::start(MOVES, first_step, make, place)
    }

    fn parts(self) -> [(&'static str, bool); 3] {
        [("color", self.color), ("translation", self.translation), ("cutout", self.cutout)]
    }
}

impl fmt::Display for DiffAugment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.parts().into_iter().filter(|(_, is_on)| *is_on).map(|(name, _)| name).collect();
        f.write_str(if names.is_empty() { "none".into() } else { names.join(",") }.as_str())
    }
}

impl FromStr for DiffAugment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut chosen = Self::default();
        for name in text.split(',') {
            match name {
                "color" => chosen.color = true,
                "translation" => chosen.translation = true,
                "cutout" => chosen.cutout = true,
                "none" if text == name => {}
                other => return Err(format!("{other:?}: expected none, or one or more of color, translation, cutout")),
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
