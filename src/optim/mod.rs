//! From gradients to weights: every gradient of a weight goes through [`Optimizer::minimise`].
//!
//! What optimizers and averages keep between steps is held by name, so that it can be saved and resumed.

mod adam;
mod average;
mod clip;
mod optimizer;
mod schedule;
mod sgd;
mod transform;

pub use adam::AdamConfig;
pub use average::WeightAverage;
pub use clip::ClipGlobalNorm;
pub use optimizer::Optimizer;
pub use schedule::{Decay, Schedule};
pub use sgd::SgdConfig;
pub use transform::GradientTransform;
