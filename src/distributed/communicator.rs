//! What processes that train together say to each other.

use candle_core::{Result, Tensor};

use super::Parts;

/// The processes that train together, as one of them sees them. Every call is made by all of them, in the same order.
pub trait Communicator: Send + Sync {
    /// Which of the processes this one is: 0 to [`size`](Self::size) - 1. 0 is the one that writes and prints.
    fn rank(&self) -> usize;

    /// The number of processes.
    fn size(&self) -> usize;

    /// Hands `parts[r]` to process r, and returns what each process handed to this one, in the order of the ranks.
    /// `lengths[r]` is how many values come from process r.
    fn exchange(&self, parts: &[Vec<f32>], lengths: &[usize]) -> Result<Vec<Vec<f32>>>;

    /// Begins to hand each other process its part of some lists of tensors. Process r gives `counts[r]` lists, each of the
    /// lengths that `parts` are of. Until it has ended, no other is begun.
    fn scatter(&self, counts: &[usize], parts: &Parts) -> Result<Box<dyn Scatter>>;

    /// Gives all processes this process's part of the tensors, contiguous, apart from each other and on the CPU, and puts the
    /// parts of the others in their place. To be called outside of steps: it changes tensors.
    fn share(&self, tensors: Vec<Tensor>, parts: &Parts) -> Result<()>;

    /// What every process gives, in the order of the ranks, at each of them. `lengths[r]` is how many values process r
    /// gives.
    fn gather(&self, own: &[f32], lengths: &[usize]) -> Result<Vec<Vec<f32>>>;

    /// The text that every process gives, in the order of the ranks, at each of them.
    fn gather_text(&self, own: &str) -> Result<Vec<String>>;

    /// The largest of what the processes give. The others are waited for asleep, however long that is.
    fn max(&self, own: i32) -> Result<i32>;

    /// What this process has sent and waited for until now.
    fn traffic(&self) -> Traffic {
        Traffic::default()
    }
}

/// Lists of tensors on their way, of which each process gets its part.
///
/// If it is dropped before it has ended, this process has failed, and the others wait for it until they are ended.
pub trait Scatter: Send {
    /// Sends each other process its part of tensor number `place` of list `list`, contiguous, in f32 and on the CPU, and does
    /// not wait for it: nothing may change the tensor from here on. Each tensor of each list is given once, in any order.
    fn give(&mut self, list: usize, place: usize, tensor: &Tensor) -> Result<()>;

    /// The lists' values in this process's part that each process gave, in the order of the ranks; none from itself. Waits for
    /// what is still on its way.
    fn finish(self: Box<Self>) -> Result<Vec<Vec<Vec<f32>>>>;
}

/// What communication costs a process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Sent to other processes.
    pub bytes: u64,
    /// In which it did nothing else than send and wait for others.
    pub seconds: f64,
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

    fn scatter(&self, _: &[usize], _: &Parts) -> Result<Box<dyn Scatter>> {
        Ok(Box::new(*self))
    }

    fn share(&self, _: Vec<Tensor>, _: &Parts) -> Result<()> {
        Ok(())
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

/// To nobody.
impl Scatter for Alone {
    fn give(&mut self, _: usize, _: usize, _: &Tensor) -> Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Vec<Vec<Vec<f32>>>> {
        Ok(vec![Vec::new()])
    }
}
