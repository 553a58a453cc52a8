use candle_core::{DType, Result};

use crate::ops;
use crate::params::Parameters;

/// An exponential moving average of a network's weights, and of its batch-norm statistics, which belong to them.
///
/// The decay ramps in as (1 + t) / (10 + t) up to its final value (TensorFlow's `ExponentialMovingAverage` with
/// `num_updates`), so that the average is of use after thirty updates and not only after thousands.
pub struct WeightAverage {
    average: Parameters,
    decay: f64,
}

impl WeightAverage {
    /// `average` must hold the same names as the network that is averaged, with the values to begin from.
    pub fn new(average: Parameters, decay: f64) -> Self {
        Self { average, decay }
    }

    pub fn parameters(&self) -> &Parameters {
        &self.average
    }

    /// Moves the average towards `network` after its update number `update` (from 1).
    pub fn update(&self, network: &Parameters, update: u64) -> Result<()> {
        let ramp = (1.0 + update as f64) / (10.0 + update as f64);
        let weight = 1.0 - self.decay.min(ramp);
        // Both are sorted by the same names.
        for ((_, average), (_, current)) in self.average.all().iter().zip(network.all()) {
            if average.dtype() == DType::F32 {
                ops::lerp_in_place(average, &current.as_detached_tensor(), weight)?;
            } else {
                average.set(&current.as_detached_tensor())?; // a count of batches has no average
            }
        }
        Ok(())
    }
}
