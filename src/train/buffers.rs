//! The batch-norm statistics of networks that are trained in shards.

use candle_core::{DType, Result, Tensor, Var};

use crate::params::Parameters;

/// The statistics of some networks, and what they were before a step. Each shard begins with those; what is kept is the
/// mean over the shards. (Where the batch norms look at all shards, there is nothing to keep apart.)
pub struct Buffers {
    /// Running means and variances, which are averaged.
    averaged: Vec<(Var, Tensor)>,
    /// Counts of batches, the same after every shard.
    counts: Vec<(Var, Tensor)>,
}

impl Buffers {
    /// Of the networks, as they are now.
    pub fn of(networks: &[&Parameters]) -> Result<Self> {
        let buffers = networks.iter().flat_map(|network| network.statistics());
        let saved = buffers.map(|buffer| {
            let before = buffer.as_tensor().copy()?;
            Ok((buffer, before))
        });
        let saved: Vec<_> = saved.collect::<Result<_>>()?;
        let (averaged, counts) = saved.into_iter().partition(|(buffer, _)| buffer.dtype() == DType::F32);
        Ok(Self { averaged, counts })
    }

    /// Sets them to what they were.
    pub fn reset(&self) -> Result<()> {
        self.averaged.iter().chain(&self.counts).try_for_each(|(buffer, before)| buffer.set(before))
    }

    /// How many of them are averaged.
    pub fn averaged_count(&self) -> usize {
        self.averaged.len()
    }

    /// Those that are averaged, as they are now.
    pub fn averaged(&self) -> Result<Vec<Tensor>> {
        self.averaged.iter().map(|(buffer, _)| buffer.as_tensor().copy()).collect()
    }

    /// Sets those that are averaged.
    pub fn set_averaged(&self, means: &[Tensor]) -> Result<()> {
        self.averaged.iter().zip(means).try_for_each(|((buffer, _), mean)| buffer.set(mean))
    }
}
