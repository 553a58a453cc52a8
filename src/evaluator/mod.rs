//! How good a generator is: its samples held against real images.

mod class_scores;
pub mod classifier;
mod feature_evaluator;
mod feature_network;
mod generator_evaluator;
mod inception;
mod inception_pixels;
mod modes;
mod real_features;

pub use classifier::{Activations, Classifier};
pub use feature_evaluator::{FeatureEvaluator, MeasuredFeatures};
pub use feature_network::FeatureNetwork;
pub use generator_evaluator::{GeneratorEvaluator, Measured};
pub use inception::{Inception, InceptionProgram};
pub use modes::mode_histogram;

/// The data set where neither a flag nor the weights name one.
pub const DEFAULT_DATA: &str = "mnist";
