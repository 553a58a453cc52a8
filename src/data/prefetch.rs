//! What a thread of its own makes ahead of training, step after step: batches, views, latents, random draws.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use anyhow::{Result, anyhow};

/// Finished items that wait, at most; one more is in the making.
const DEPTH: usize = 2;

/// Makes what each step takes, ahead of training and without an end. Its thread ends when this is dropped.
pub struct Prefetcher<T> {
    next: Box<dyn FnMut() -> Result<T> + Send>,
}

impl<T> Prefetcher<T> {
    /// Starts a thread called `name` that makes one item after the other, from `first_step` on. [`next`](Self::next) turns
    /// each, by `place`, into what a step takes: there it is uploaded, on the thread that trains.
    pub fn start<H: Send + 'static>(
        name: &'static str,
        first_step: u64,
        mut make: impl FnMut(u64) -> Result<H> + Send + 'static,
        mut place: impl FnMut(H) -> Result<T> + Send + 'static,
    ) -> Result<Self> {
        let (sender, ready) = sync_channel(DEPTH);
        let thread = thread::Builder::new().name(name.to_string()).spawn(move || {
            // Sending fails only when the receiver is gone: nobody wants more.
            (first_step..).all(|step| sender.send(make(step)).is_ok());
        })?;
        let worker = Worker { ready: Some(ready), thread: Some(thread), name };
        Ok(Self { next: Box::new(move || place(worker.receive()?)) })
    }

    /// The next step's item; waits for it if training is ahead. An error is one of making it, or means that the thread has
    /// died.
    #[expect(
        clippy::should_implement_trait,
        reason = "endless and fallible: `?` reads better than an iterator's Option"
    )]
    pub fn next(&mut self) -> Result<T> {
        (self.next)()
    }
}

/// The thread and what it has made.
struct Worker<H> {
    // Options so that drop can close the channel before it waits for the thread.
    ready: Option<Receiver<Result<H>>>,
    thread: Option<JoinHandle<()>>,
    name: &'static str,
}

impl<H> Worker<H> {
    fn receive(&self) -> Result<H> {
        let item = self.ready.as_ref().and_then(|ready| ready.recv().ok());
        item.unwrap_or_else(|| Err(anyhow!("the thread that makes {} has ended", self.name)))
    }
}

impl<H> Drop for Worker<H> {
    fn drop(&mut self) {
        drop(self.ready.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn items_come_in_order_and_never_more_than_the_depth_ahead() {
        let made = Arc::new(AtomicU64::new(0));
        let counter = made.clone();
        let make = move |step| {
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(step)
        };
        let mut items = Prefetcher::start("numbers", 5, make, |step| Ok(step * 2)).unwrap();
        for step in 5..50 {
            assert_eq!(items.next().unwrap(), step * 2);
            // Those that were taken, those that wait, and the one that waits to be sent.
            assert!(made.load(Ordering::SeqCst) <= step - 5 + 1 + DEPTH as u64 + 1);
        }
        drop(items);
        assert_eq!(Arc::strong_count(&made), 1, "the thread has ended");
    }

    #[test]
    fn an_error_of_making_an_item_is_handed_on() {
        let make = |step| if step == 1 { Err(anyhow!("no picture")) } else { Ok(step) };
        let mut items = Prefetcher::start("pictures", 0, make, Ok).unwrap();
        assert_eq!(items.next().unwrap(), 0);
        assert_eq!(items.next().unwrap_err().to_string(), "no picture");
        assert_eq!(items.next().unwrap(), 2);
    }
}
