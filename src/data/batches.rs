//! Batches: cut from a set of images and turned into floats on a thread of their own, ahead of training.

use std::sync::Arc;

use anyhow::Result;

use super::Images;
use super::supply;
use crate::data::supply::{Order, Supply};

/// Which images make which batch: a function of this plan, the images and the step alone.
#[derive(Clone, Debug)]
pub struct BatchPlan {
    pub batch_size: usize,
    /// A new order every epoch, drawn from `seed`; else the order of the set, every epoch the same (the course's).
    pub shuffle: bool,
    pub seed: u64,
    /// The step to begin at: step s is batch s % per_epoch of epoch s / per_epoch.
    pub first_step: u64,
}

/// What one step trains on.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub step: u64,
    pub epoch: u64,
    /// (batch_size, height, width, channels) in [-1, 1]: 2 * pixel / 255 - 1
    pub pixels: Vec<f32>,
}

/// An endless supply of batches, epoch after epoch; the last, partial batch of an epoch is dropped. Its thread ends
/// when this is dropped.
pub struct Batches(Supply<Batch>);

impl Batches {
    /// Starts assembling batches of `images` at `plan.first_step`. [`Failure::Input`](crate::error::Failure::Input)
    /// where a batch is larger than the set, [`Failure::Usage`](crate::error::Failure::Usage) where it is empty.
    pub fn start(images: Arc<Images>, plan: BatchPlan) -> Result<Self> {
        let mut order = Order::new(&images, plan.batch_size, plan.shuffle.then_some(plan.seed))?;
        let stride = images.stride();
        let table = normalised();
        let assemble = move |step, mut pixels: Vec<f32>| {
            let (epoch, indices) = order.batch(step);
            pixels.clear();
            pixels.reserve_exact(indices.len() * stride);
            for index in indices {
                let image = &images.pixels[*index as usize * stride..][..stride];
                pixels.extend(image.iter().map(|pixel| table[usize::from(*pixel)]));
            }
            Batch { step, epoch, pixels }
        };
        Ok(Self(Supply::start("batches", plan.first_step, assemble)?))
    }

    /// The next step's batch; waits for it if training is ahead. An error means that the thread has died.
    #[expect(
        clippy::should_implement_trait,
        reason = "endless and fallible: `?` reads better than an iterator's Option"
    )]
    pub fn next(&mut self) -> Result<Batch> {
        self.0.take()
    }

    /// Gives a batch's memory back for a later one. Optional.
    pub fn recycle(&mut self, pixels: Vec<f32>) {
        self.0.recycle(pixels);
    }

    /// Whole batches in `images`.
    pub fn steps_per_epoch(images: &Images, batch_size: usize) -> u64 {
        supply::steps_per_epoch(images, batch_size)
    }
}

/// 2 * pixel / 255 - 1 for every value of a pixel.
pub fn normalised() -> [f32; 256] {
    std::array::from_fn(|pixel| 2.0 * pixel as f32 / 255.0 - 1.0)
}
