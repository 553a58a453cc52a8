//! What a thread of its own makes ahead of training: batches, and batches of views.

use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use anyhow::{Result, anyhow, bail};

use super::Images;
use crate::error::Failure;
use crate::rng::Stream;

/// Finished items that wait, at most; one more is in the making.
const AHEAD: usize = 2;

/// An endless supply of items, one a step. Its thread ends when this is dropped.
pub struct Supply<T> {
    // Options so that drop can close the channels before it waits for the thread.
    ready: Option<Receiver<T>>,
    spent: Option<Sender<Vec<f32>>>,
    thread: Option<JoinHandle<()>>,
    name: &'static str,
}

impl<T: Send + 'static> Supply<T> {
    /// Starts a thread called `name` that makes one item after another, from step `first_step` on. `make` gets the step
    /// and memory, of any content and size, to make the item in.
    pub fn start(
        name: &'static str,
        first_step: u64,
        mut make: impl FnMut(u64, Vec<f32>) -> T + Send + 'static,
    ) -> Result<Self> {
        let (ready_sender, ready) = sync_channel(AHEAD);
        let (spent, spent_receiver) = channel::<Vec<f32>>();
        let thread = thread::Builder::new().name(name.to_string()).spawn(move || {
            for step in first_step.. {
                let item = make(step, spent_receiver.try_recv().unwrap_or_default());
                // Fails only when the receiver is gone: nobody wants more.
                if ready_sender.send(item).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { ready: Some(ready), spent: Some(spent), thread: Some(thread), name })
    }

    /// The next item; waits for it if training is ahead. An error means that the thread has died.
    pub fn take(&mut self) -> Result<T> {
        let item = self.ready.as_ref().and_then(|ready| ready.recv().ok());
        item.ok_or_else(|| anyhow!("the thread that makes {} has ended", self.name))
    }

    /// Gives an item's memory back for a later one. Optional.
    pub fn recycle(&mut self, memory: Vec<f32>) {
        if let Some(spent) = &self.spent {
            // Without a thread to take it, the memory is simply freed.
            let _ = spent.send(memory);
        }
    }
}

impl<T> Drop for Supply<T> {
    fn drop(&mut self) {
        drop(self.ready.take());
        drop(self.spent.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Which images make the batch of a step: whole batches, epoch after epoch, the rest of an epoch left out.
pub struct Order {
    len: usize,
    batch_size: usize,
    /// The seed of a new order every epoch; `None`: the order of the set, every epoch the same (the course's).
    shuffle: Option<u64>,
    /// The epoch that `indices` is the order of.
    epoch: Option<u64>,
    indices: Vec<u32>,
}

impl Order {
    /// [`Failure::Input`] where a batch is larger than the set, [`Failure::Usage`] where it is empty.
    pub fn new(images: &Images, batch_size: usize, shuffle: Option<u64>) -> Result<Self> {
        if batch_size == 0 {
            bail!(Failure::Usage("--batch-size 0: a batch holds at least one image".to_string()));
        }
        if steps_per_epoch(images, batch_size) == 0 {
            bail!(Failure::Input(format!(
                "--batch-size {batch_size}: the data set has {} images, fewer than a batch; give a smaller --batch-size or more data",
                images.len()
            )));
        }
        Ok(Self { len: images.len(), batch_size, shuffle, epoch: None, indices: Vec::new() })
    }

    /// The epoch of `step`, and the images of its batch.
    pub fn batch(&mut self, step: u64) -> (u64, &[u32]) {
        let per_epoch = (self.len / self.batch_size) as u64;
        let epoch = step / per_epoch;
        if self.epoch != Some(epoch) {
            self.epoch = Some(epoch);
            self.indices = match self.shuffle {
                Some(seed) => Stream::new(seed, "shuffle").at(epoch).permutation(self.len),
                None => (0..self.len as u32).collect(),
            };
        }
        let begin = (step % per_epoch) as usize * self.batch_size;
        (epoch, &self.indices[begin..begin + self.batch_size])
    }
}

/// Whole batches in `images`.
pub fn steps_per_epoch(images: &Images, batch_size: usize) -> u64 {
    (images.len() / batch_size.max(1)) as u64
}
