//! A step whose batch is cut into shards, which several processes may compute.

use std::sync::{Mutex, PoisonError};

use candle_core::{Result, Tensor, bail};

use super::batch::Batch;
use super::{Adversaries, StepKind, StepOutcome};
use crate::distributed::Give;
use crate::optim::{Optimizer, WeightAverage};
use crate::train::buffers::Buffers;
use crate::train::sharded_update;

impl Adversaries {
    /// The same where the batch of all processes is cut into several shards: the gradients and losses are the means over
    /// them. In each shard the batch norms look at that shard alone, and the means of their statistics are kept; or all look
    /// at the whole batch.
    pub(super) fn compute_in_shards(&self, batch: &Batch, kind: StepKind) -> Result<StepOutcome> {
        let parts = batch.cut(self.shards.of_process())?;
        let judged: Vec<_> = parts.iter().map(|_| Mutex::new(None)).collect();
        let d_loss = self.over_shards(&self.discriminator_optimizer, None, |number, give| {
            let shard = self.judge(&parts[number], kind)?;
            self.discriminator_optimizer.give_gradients(&shard.minimised, give)?;
            let d_loss = shard.outcome.d_loss.clone();
            *judged[number].lock().unwrap_or_else(PoisonError::into_inner) = Some(shard.outcome);
            Ok(d_loss)
        })?;
        let of_generator = |number: usize, give: &Give| {
            let g_loss = self.g_loss(&parts[number])?;
            self.generator_optimizer.give_gradients(&g_loss, give)?;
            Ok(g_loss.detach())
        };
        let g_loss = match kind.updates_generator {
            true => Some(self.over_shards(&self.generator_optimizer, self.average.as_ref(), of_generator)?),
            false => None,
        };
        let judged = judged.into_iter().map(|shard| shard.into_inner().unwrap_or_else(PoisonError::into_inner));
        let judged: Vec<StepOutcome> = judged.flatten().collect();
        let rows = |of: fn(&StepOutcome) -> &Tensor| {
            self.shards.gather(&Tensor::cat(&judged.iter().map(of).collect::<Vec<_>>(), 0)?)
        };
        let (real_scores, fake_scores) = (rows(|shard| &shard.real_scores)?, rows(|shard| &shard.fake_scores)?);
        Ok(StepOutcome {
            d_loss,
            g_loss: match g_loss {
                Some(g_loss) => g_loss,
                None => self.loss.generator(&fake_scores, Some(&real_scores))?,
            },
            real_scores,
            fake_scores,
            fakes: Tensor::cat(&judged.iter().map(|shard| &shard.fakes).collect::<Vec<_>>(), 0)?,
        })
    }

    /// Makes moments and averages those of all processes, each of which has moved a part of them. To be called by all, before
    /// anything looks at either.
    pub fn complete(&self) -> Result<()> {
        sharded_update::complete(&self.discriminator_optimizer, None, &self.shards)?;
        sharded_update::complete(&self.generator_optimizer, self.average.as_ref(), &self.shards)
    }

    /// An update by the means of the gradients that `compute` gives for each shard of this process. Returns the mean of the
    /// losses, which it returns.
    fn over_shards(
        &self,
        optimizer: &Optimizer,
        average: Option<&WeightAverage>,
        compute: impl Fn(usize, &Give) -> Result<Tensor> + Sync,
    ) -> Result<Tensor> {
        let networks = [&self.discriminator_parameters, &self.generator_parameters];
        let buffers = Buffers::of(if self.sync_batch_norm { &[] } else { &networks })?;
        let (precision, parameters) = (self.precision, optimizer.parameters());
        let compute = |number: usize, give: &Give| {
            buffers.reset()?;
            let loss = compute(number, give)?;
            Ok([vec![loss], buffers.averaged()?].concat())
        };
        let (gradients, mut means) = self.shards.sum_in_steps(precision, self.sync_batch_norm, &parameters, compute)?;
        buffers.set_averaged(&means.split_off(means.len() - buffers.averaged_count()))?;
        sharded_update::update(optimizer, average, &self.shards, gradients, precision)?;
        match means.pop() {
            Some(loss) => Ok(loss),
            None => bail!("a shard gives a loss"),
        }
    }
}
