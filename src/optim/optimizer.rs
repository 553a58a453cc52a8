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

    /// Begins an update at learning rate `lr`: what of it changes from step to step is told to the device.
    pub fn prepare(&mut self, lr: f64) -> Result<()> {
        match self {
            Self::Adam(adam) => adam.prepare_at(lr),
            Self::Sgd(sgd) => sgd.prepare(lr),
        }
    }

    /// The update that was prepared. What it does on a GPU can be recorded.
    pub fn apply(&self, gradients: &GradStore) -> Result<()> {
        match self {
            Self::Adam(adam) => adam.apply(gradients),
            Self::Sgd(sgd) => sgd.apply(gradients),
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
