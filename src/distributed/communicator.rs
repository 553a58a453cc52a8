//! What processes that train together say to each other.

use candle_core::Result;

/// The processes that train together, as one of them sees them. Every call is made by all of them, in the same order.
pub trait Communicator: Send + Sync {
    /// Which of the processes this one is: 0 to [`size`](Self::size) - 1. 0 is the one that writes and prints.
    fn rank(&self) -> usize;

    /// The number of processes.
    fn size(&self) -> usize;

    /// Hands `parts[r]` to process r, and returns what each process handed to this one, in the order of the ranks.
    /// `lengths[r]` is how many values come from process r.
    fn exchange(&self, parts: &[Vec<f32>], lengths: &[usize]) -> Result<Vec<Vec<f32>>>;

    /// What every process gives, in the order of the ranks, at each of them. `lengths[r]` is how many values process r
    /// gives.
    fn gather(&self, own: &[f32], lengths: &[usize]) -> Result<Vec<Vec<f32>>>;

    /// The text that every process gives, in the order of the ranks, at each of them.
    fn gather_text(&self, own: &str) -> Result<Vec<String>>;

    /// The largest of what the processes give. The others are waited for asleep, however long that is.
    fn max(&self, own: i32) -> Result<i32>;
}

/// One process without any other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Communicator for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn exchange(&self, parts: &[Vec<f32>], _: &[usize]) -> Result<Vec<Vec<f32>>> {
        Ok(parts.to_vec())
    }

    fn gather(&self, own: &[f32], _: &[usize]) -> Result<Vec<Vec<f32>>> {
        Ok(vec![own.to_vec()])
    }

    fn gather_text(&self, own: &str) -> Result<Vec<String>> {
        Ok(vec![own.into()])
    }

    fn max(&self, own: i32) -> Result<i32> {
        Ok(own)
    }
}
