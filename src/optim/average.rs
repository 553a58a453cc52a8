use std::collections::HashSet;

use candle_core::{DType, Result, Tensor, TensorId, Var};

use crate::ops::{self, StepNumbers};
use crate::params::Parameters;

/// An exponential moving average of a network's weights, and of its batch-norm statistics, which belong to them.
///
/// The decay ramps in as (1 + t) / (10 + t) up to its final value (TensorFlow's `ExponentialMovingAverage` with
/// `num_updates`), so that the average is of use after thirty updates and not only after thousands.
pub struct WeightAverage {
    average: Parameters,
    /// Each average with what it follows.
    pairs: Vec<(Var, Var)>,
    decay: f64,
    /// How far the average moves in the update that was prepared.
    weight: f64,
    numbers: StepNumbers,
}

impl WeightAverage {
    /// `average` must hold the same names as the `network` that is averaged, with the values to begin from.
    pub fn new(average: Parameters, network: &Parameters, decay: f64) -> Result<Self> {
        let numbers = StepNumbers::new(average.device())?;
        // Both are sorted by the same names.
        let averages = average.all().into_iter().map(|(_, average)| average);
        let pairs = averages.zip(network.all()).map(|(average, (_, current))| (average, current)).collect();
        Ok(Self { average, pairs, decay, weight: 0.0, numbers })
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

    /// The average of a weight, and how far it moves in the update that was prepared.
    pub fn of(&self, weight: TensorId) -> Option<(&Var, f64)> {
        let (average, _) = self.pairs.iter().find(|(_, current)| current.id() == weight)?;
        Some((average, self.weight))
    }

    /// The averages of weights, in the order of their names.
    pub fn of_weights(&self) -> Vec<Tensor> {
        self.average.trainable().into_iter().map(|(_, average)| average.as_detached_tensor()).collect()
    }

    /// Moves the average towards the network, as prepared, but for what of it has moved towards these weights. What it
    /// does on a GPU can be recorded.
    pub fn apply(&self, moved: &HashSet<TensorId>) -> Result<()> {
        let others = self.pairs.iter().filter(|(_, current)| !moved.contains(&current.id()));
        let others = others.map(|(average, current)| (average, current.as_detached_tensor()));
        let (values, counts): (Vec<_>, Vec<_>) = others.partition(|(average, _)| average.dtype() == DType::F32);
        for (average, count) in &counts {
            average.set(count)?; // a count of batches has no average
        }
        let pairs: Vec<_> = values.iter().map(|(average, value)| (*average, value)).collect();
        ops::lerp_all(&pairs, self.weight, &self.numbers)
    }
}
