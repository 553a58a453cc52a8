//! Optimizers and averages: their state is held by name, so that it can be saved and resumed.

mod adam;
mod average;
mod optimizer;
mod schedule;
mod sgd;

pub use adam::{Adam, AdamConfig};
pub use average::WeightAverage;
pub use optimizer::Optimizer;
pub use schedule::{Decay, Schedule};
pub use sgd::{Sgd, SgdConfig};
