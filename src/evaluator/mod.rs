//! How good a generator is: its samples held against real images.

pub mod classifier;
mod judge;

pub use classifier::{Classifier, Judged};
pub use judge::{Judge, Measured};

/// The data set where neither a flag nor the weights name one.
pub const DEFAULT_DATA: &str = "mnist";
