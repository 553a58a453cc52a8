use candle_core::{DType, Result};

use crate::ops::{self, StepNumbers};
use crate::params::Parameters;

/// An exponential moving average of a network's weights, and of its batch-norm statistics, which belong to them.
///
/// The decay ramps in as (1 + t) / (10 + t) up to its final value (TensorFlow's `ExponentialMovingAverage` with
/// `num_updates`), so that the average is of use after thirty updates and not only after thousands.
pub struct WeightAverage {
    average: Parameters,
    decay: f64,
    /// How far the average moves in the update that was prepared.
    weight: f64,
    numbers: StepNumbers,
}

impl WeightAverage {
    /// `average` must hold the same names as the network that is averaged, with the values to begin from.
    pub fn new(average: Parameters, decay: f64) -> Result<Self> {
        let numbers = StepNumbers::new(average.device())?;
        Ok(Self { average, decay, weight: 0.0, numbers })
    }

    pub fn parameters(&self) -> &Parameters {
        &self.average
    }

    /// Begins the move after the network's update number `update` (from 1): what changes from step to step is told to
    /// the device.
    pub fn prepare(&mut self, update: u64) -> Result<()> {
        let ramp = (1.0 + update as f64) / (10.0 + update as f64);
        self.weight = 1.0 - self.decay.min(ramp);
        self.numbers.set_lerp(self.weight)
    }

    /// Moves the average towards `network`, as prepared. What it does on a GPU can be recorded.
    pub fn apply(&self, network: &Parameters) -> Result<()> {
        let current: Vec<_> = network.all().into_iter().map(|(_, current)| current.as_detached_tensor()).collect();
        let average = self.average.all();
        let mut pairs = Vec::with_capacity(current.len());
        // Both are sorted by the same names.
        for ((_, average), current) in average.iter().zip(&current) {
            if average.dtype() == DType::F32 {
                pairs.push((average, current));
            } else {
                average.set(current)?; // a count of batches has no average
            }
        }
        ops::lerp_all(&pairs, self.weight, &self.numbers)
    }
}
