//! Updates by gradients that are sums over shards.

use candle_core::Result;

use crate::autograd::{self, Precision};
use crate::distributed::{Shards, Sum};
use crate::optim::{Optimizer, WeightAverage};

/// The update that `optimizer` has prepared, by the means of `gradients` over all shards.
///
/// Where it can, each process updates a part of the weights, with their moments and averages, and gives it to the others: so
/// that no work is done twice, and no more is sent than gradients would be (Rajbhandari et al., 1910.02054, stage 1). The
/// others' moments and averages stay as they were until [`complete`]. Else every process updates all weights. Both ways give
/// the same bits.
pub fn update(
    optimizer: &Optimizer,
    average: Option<&WeightAverage>,
    shards: &Shards,
    gradients: Sum,
    precision: Precision,
) -> Result<()> {
    if !optimizer.updates_parts() || gradients.is_on_cards() {
        let means = gradients.mean()?;
        return autograd::training_step(precision, || optimizer.apply(means, average));
    }
    autograd::training_step(precision, || {
        let slices = gradients.slices().map(|slice| (slice.tensor, slice.range));
        gradients.with(|write| optimizer.apply_in_part(slices, write, average))?
    })?;
    shards.share(optimizer.parameters())
}

/// Makes moments and averages those of all processes. To be called by all of them, before anything looks at either.
pub fn complete(optimizer: &Optimizer, average: Option<&WeightAverage>, shards: &Shards) -> Result<()> {
    if !optimizer.updates_parts() {
        return Ok(());
    }
    let averages = average.map(WeightAverage::of_weights);
    optimizer.moments().into_iter().chain(averages).try_for_each(|tensors| shards.share(tensors))
}
