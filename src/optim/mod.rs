//! Optimizers and averages: their state is held by name, so that it can be saved and resumed.

mod adam;
mod average;

pub use adam::{Adam, AdamConfig};
pub use average::WeightAverage;
