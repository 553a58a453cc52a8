//! How good a generator is: its samples held against real images.

pub mod classifier;
mod judge;
mod reference;

pub use classifier::{Classifier, Judged};
pub use judge::{Judge, Measured};
pub use reference::Reference;

/// The data set where neither a flag nor the weights name one.
pub const DEFAULT_DATA: &str = "mnist";

/// More samples than this take more memory than their scores are worth.
pub const MAX_SAMPLES: usize = 100_000;
