//! Adaptive augmentation of what D sees (Karras et al., 2006.06676): as strong as it takes to keep D from learning a small
//! set of images by heart.

use anyhow::Result;
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::data::{Prefetcher, StepPlan};
use crate::image_shape::ImageShape;
use crate::ops::EXTRA_COLUMNS;
use crate::train::augment_pipeline::{ImageDraw, Transformations};
use crate::train::augment_strength::AugmentStrength;
use crate::train::distortions::Distortions;

/// Augmentation whose strength is not fixed: the value of `--augment`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Augment {
    /// None
    #[default]
    None,
    /// Flips, rotations, translations, scalings and colours, each with a probability that follows how sure D is of real
    /// images (Karras et al., 2006.06676)
    Adaptive,
}

/// The random stream that it draws from.
pub const STREAM: &str = "augment";

/// The distortions of the steps of a run, at the strength of each.
pub struct AdaptiveAugmentation {
    draws: Prefetcher<Vec<ImageDraw>>,
    shape: ImageShape,
    device: Device,
    /// How strong it is.
    pub strength: AugmentStrength,
}

impl AdaptiveAugmentation {
    /// For the images of `shape` of a plan's steps, from `first_step` on.
    pub fn start(
        strength: AugmentStrength,
        plan: &StepPlan,
        shape: ImageShape,
        first_step: u64,
        device: &Device,
    ) -> Result<Self> {
        let plan = *plan;
        let make = move |step| Ok(plan.draws(step, STREAM, 3, ImageDraw::new));
        let draws = Prefetcher::start(STREAM, first_step, make, Ok)?;
        Ok(Self { draws, shape, device: device.clone(), strength })
    }

    /// The distortions of the next step.
    pub fn next_step(&mut self) -> Result<Distortions> {
        let (shape, p) = (self.shape, self.strength.p());
        let drawn: Vec<Transformations> = self.draws.next()?.iter().map(|draw| draw.at(p)).collect();
        let transforms: Vec<f32> = drawn.iter().flat_map(|drawn| drawn.transform(shape)).collect();
        let colours: Vec<f32> = drawn.iter().flat_map(|drawn| drawn.colour(shape.channels)).collect();
        let (count, channels) = (drawn.len(), shape.channels);
        Ok(Distortions {
            transforms: Some(Tensor::from_vec(transforms, (count, 2, 3), &self.device)?),
            colours: Some(Tensor::from_vec(colours, (count, channels, channels + EXTRA_COLUMNS), &self.device)?),
            ..Distortions::default()
        })
    }
}
