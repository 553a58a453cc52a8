//! How good a generator is: its samples held against real images.

mod class_scores;
pub mod classifier;
mod generator_evaluator;
mod modes;

pub use classifier::{Activations, Classifier};
pub use generator_evaluator::{GeneratorEvaluator, Measured};
pub use modes::mode_histogram;

/// The data set where neither a flag nor the weights name one.
pub const DEFAULT_DATA: &str = "mnist";
