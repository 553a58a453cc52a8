//! Batches of augmented views, for SimCLR (two of each image) and for a linear probe (one), made on a thread of their
//! own, ahead of training. One thread makes tens of thousands of views a second: far more than an encoder takes.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::{Result, bail};

use super::Images;
use super::supply;
use crate::data::augment::Augmentation;
use crate::data::supply::{Order, Supply};
use crate::error::Failure;

/// Height and width of a view.
pub const SIDE: usize = 32;

/// Which views make which batch: a function of this plan, the images and the step alone.
#[derive(Clone, Debug)]
pub struct ViewPlan {
    /// Images a batch.
    pub batch_size: usize,
    /// Views of each image: 2 for SimCLR, 1 for a linear probe.
    pub branches: usize,
    /// A new order every epoch, drawn from `seed`; else the order of the set, every epoch the same (the course's).
    pub shuffle: bool,
    pub seed: u64,
    /// The step to begin at: step s is batch s % per_epoch of epoch s / per_epoch.
    pub first_step: u64,
    pub augmentation: Augmentation,
}

/// What one step trains on.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewBatch {
    pub step: u64,
    pub epoch: u64,
    /// The images that are seen, by their number in the set: (N).
    pub indices: Vec<u32>,
    /// (branches * N, 32, 32, 3), normalised: a view of each image by branch 0, then one of each by branch 1.
    pub pixels: Vec<f32>,
}

/// Has an image in the cache. Images lie all over memory, and each of the rows of a crop would wait for it; so many loads
/// that do not depend on each other wait together.
fn bring_near(image: &[u8]) {
    const LINE: usize = 64; // bytes
    black_box(image.iter().step_by(LINE).fold(0, |sum, byte| sum ^ byte));
}

/// An endless supply of views, epoch after epoch; the last, partial batch of an epoch is dropped. Its thread ends when
/// this is dropped.
pub struct Views(Supply<ViewBatch>);

impl Views {
    /// Starts making views of `images`, which must have three channels, at `plan.first_step`.
    ///
    /// [`Failure::Input`] where a batch is larger than the set or the images are grey, [`Failure::Usage`] where a batch
    /// is empty.
    pub fn start(images: Arc<Images>, plan: ViewPlan) -> Result<Self> {
        Self::check(&images)?;
        let mut order = Order::new(&images, plan.batch_size, plan.shuffle.then_some(plan.seed))?;
        let ViewPlan { branches, seed, augmentation, .. } = plan;
        let (shape, stride) = (images.shape(), images.stride());
        let make = move |step, mut pixels: Vec<f32>| {
            let (epoch, indices) = order.batch(step);
            pixels.resize(branches * indices.len() * SIDE * SIDE * 3, 0.0);
            let image = |index: u32| &images.pixels[index as usize * stride..][..stride];
            indices.iter().for_each(|index| bring_near(image(*index)));
            let places = (0..branches).flat_map(|branch| indices.iter().map(move |index| (branch, *index)));
            for (view, (branch, index)) in pixels.chunks_exact_mut(SIDE * SIDE * 3).zip(places) {
                augmentation.view(seed, epoch, index, branch, shape).apply(image(index), shape, SIDE, view);
            }
            ViewBatch { step, epoch, indices: indices.to_vec(), pixels }
        };
        Ok(Self(Supply::start("views", plan.first_step, make)?))
    }

    /// [`Failure::Input`] where the images are grey.
    pub(super) fn check(images: &Images) -> Result<()> {
        if images.channels != 3 {
            bail!(Failure::Input(format!(
                "--data: images of {} channel(s), where views are taken of red, green and blue; convert them first",
                images.channels
            )));
        }
        Ok(())
    }

    /// The next step's views; waits for them if training is ahead. An error means that the thread has died.
    #[expect(
        clippy::should_implement_trait,
        reason = "endless and fallible: `?` reads better than an iterator's Option"
    )]
    pub fn next(&mut self) -> Result<ViewBatch> {
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
