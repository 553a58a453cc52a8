//! Batches: cut from a set of images and turned into floats on a thread of their own, ahead of training.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use anyhow::{Result, anyhow, bail};

use super::Images;
use crate::error::Failure;
use crate::rng::Stream;

/// Finished batches that wait, at most; one more is in the making.
const AHEAD: usize = 2;

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
pub struct Batches {
    // Options so that drop can close the channels before it waits for the thread.
    ready: Option<Receiver<Batch>>,
    spent: Option<Sender<Vec<f32>>>,
    thread: Option<JoinHandle<()>>,
}

impl Batches {
    /// Starts assembling batches of `images` at `plan.first_step`. [`Failure::Input`] where a batch is larger than the
    /// set, [`Failure::Usage`] where it is empty.
    pub fn start(images: Arc<Images>, plan: BatchPlan) -> Result<Self> {
        if plan.batch_size == 0 {
            bail!(Failure::Usage("--batch-size 0: a batch holds at least one image".to_string()));
        }
        if Self::steps_per_epoch(&images, plan.batch_size) == 0 {
            bail!(Failure::Input(format!(
                "--batch-size {}: the data set has {} images, fewer than a batch; give a smaller --batch-size or more data",
                plan.batch_size,
                images.len()
            )));
        }
        let (ready_sender, ready) = sync_channel(AHEAD);
        let (spent, spent_receiver) = channel();
        let thread = thread::Builder::new()
            .name("batches".to_string())
            .spawn(move || assemble(&images, &plan, &ready_sender, &spent_receiver))?;
        Ok(Self { ready: Some(ready), spent: Some(spent), thread: Some(thread) })
    }

    /// The next step's batch; waits for it if training is ahead. An error means that the thread has died.
    #[expect(
        clippy::should_implement_trait,
        reason = "endless and fallible: `?` reads better than an iterator's Option"
    )]
    pub fn next(&mut self) -> Result<Batch> {
        let batch = self.ready.as_ref().and_then(|ready| ready.recv().ok());
        batch.ok_or_else(|| anyhow!("the thread that assembles batches has ended"))
    }

    /// Gives a batch's memory back for a later one. Optional.
    pub fn recycle(&mut self, pixels: Vec<f32>) {
        if let Some(spent) = &self.spent {
            // Without a thread to take it, the memory is simply freed.
            let _ = spent.send(pixels);
        }
    }

    /// Whole batches in `images`.
    pub fn steps_per_epoch(images: &Images, batch_size: usize) -> u64 {
        (images.len() / batch_size.max(1)) as u64
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        drop(self.ready.take());
        drop(self.spent.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// 2 * pixel / 255 - 1 for every value of a pixel.
fn normalised() -> [f32; 256] {
    std::array::from_fn(|pixel| 2.0 * pixel as f32 / 255.0 - 1.0)
}

/// The order of the images in an epoch.
fn order(plan: &BatchPlan, len: usize, epoch: u64) -> Vec<u32> {
    if plan.shuffle { Stream::new(plan.seed, "shuffle").at(epoch).permutation(len) } else { (0..len as u32).collect() }
}

fn assemble(images: &Images, plan: &BatchPlan, ready: &SyncSender<Batch>, spent: &Receiver<Vec<f32>>) {
    let per_epoch = Batches::steps_per_epoch(images, plan.batch_size);
    let stride = images.stride();
    let table = normalised();
    let mut epoch = plan.first_step / per_epoch;
    let mut indices = order(plan, images.len(), epoch);
    for step in plan.first_step.. {
        if step / per_epoch != epoch {
            epoch = step / per_epoch;
            indices = order(plan, images.len(), epoch);
        }
        let begin = (step % per_epoch) as usize * plan.batch_size;
        let mut pixels = spent.try_recv().unwrap_or_default();
        pixels.clear();
        pixels.reserve_exact(plan.batch_size * stride);
        for index in &indices[begin..begin + plan.batch_size] {
            let image = &images.pixels[*index as usize * stride..][..stride];
            pixels.extend(image.iter().map(|pixel| table[usize::from(*pixel)]));
        }
        // Fails only when the receiver is gone: nobody wants more.
        if ready.send(Batch { step, epoch, pixels }).is_err() {
            return;
        }
    }
}
