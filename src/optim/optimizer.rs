use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor};

use super::{Adam, Sgd};

/// The optimizer of a run, whichever it is.
pub enum Optimizer {
    Adam(Adam),
    Sgd(Sgd),
}

impl Optimizer {
    /// One update at learning rate `lr`.
    pub fn step(&mut self, gradients: &GradStore, lr: f64) -> Result<()> {
        match self {
            Self::Adam(adam) => adam.step_at(gradients, lr),
            Self::Sgd(sgd) => sgd.step(gradients, lr),
        }
    }

    /// What it keeps between steps, by name.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        match self {
            Self::Adam(adam) => adam.state(),
            Self::Sgd(sgd) => sgd.state(),
        }
    }

    /// Goes on from a saved state after `steps` updates.
    pub fn load(&mut self, state: &BTreeMap<String, Tensor>, steps: u64) -> Result<()> {
        match self {
            Self::Adam(adam) => adam.load(state, steps),
            Self::Sgd(sgd) => sgd.load(state),
        }
    }
}
