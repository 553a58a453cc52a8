//! The shards of a batch: which of them this process computes, and the mean over all of them.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Device, Error, Result, Tensor, bail};

use super::meeting::Meeting;
use super::open_sum::OpenSum;
use super::parts::Parts;
use super::sum::Sum;
use super::{Alone, Cards, Communicator};
use crate::autograd::{self, Precision};
use crate::ops;

/// Takes tensors of a list by their places in it, in any order.
pub type Give<'a> = dyn Fn(usize, Tensor) -> Result<()> + 'a;

/// The shards of a batch and the processes that compute them, each as many, one process after another.
#[derive(Clone)]
pub struct Shards {
    count: usize,
    communicator: Arc<dyn Communicator>,
    cards: Option<Arc<dyn Cards>>,
}

impl Default for Shards {
    /// One shard, one process.
    fn default() -> Self {
        Self { count: 1, communicator: Arc::new(Alone), cards: None }
    }
}

impl Shards {
    /// `count` shards.
    ///
    /// # Errors
    /// Where they cannot be divided evenly among the processes.
    pub fn new(count: usize, communicator: Arc<dyn Communicator>) -> Result<Self> {
        let size = communicator.size();
        if count == 0 || !count.is_multiple_of(size) {
            bail!("{count} shards cannot be divided among {size} processes");
        }
        Ok(Self { count, communicator, cards: None })
    }

    /// The same, but what is on the cards of the processes stays there: else it goes by way of the host.
    pub fn on_cards(self, cards: Arc<dyn Cards>) -> Self {
        Self { cards: Some(cards), ..self }
    }

    /// All of them.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many of them this process computes.
    pub fn of_process(&self) -> usize {
        self.count / self.communicator.size()
    }

    /// The first of them.
    pub fn first_of_process(&self) -> usize {
        self.range_of(self.communicator.rank()).start
    }

    pub fn communicator(&self) -> &dyn Communicator {
        &*self.communicator
    }

    /// The cards, where tensors on `device` stay there.
    pub(super) fn cards_of(&self, device: &Device) -> Option<&dyn Cards> {
        self.cards.as_deref().filter(|cards| cards.device().same_device(device))
    }

    pub(super) fn range_of(&self, rank: usize) -> Range<usize> {
        rank * self.of_process()..(rank + 1) * self.of_process()
    }

    /// The means over all shards of the tensors in f32 that `compute` gives for each shard of this process, numbered from
    /// 0: as many for every shard, of the same shapes. Every process gets the same bits, and they do not depend on the
    /// number of processes.
    pub fn mean(&self, compute: impl FnMut(usize) -> Result<Vec<Tensor>>) -> Result<Vec<Tensor>> {
        Sum::of(self, compute)?.mean()
    }

    /// The sum of the gradients that each shard gives while `compute` runs [`in_steps`](Self::in_steps), one for each of the
    /// `parameters`, and the means of what it returns.
    ///
    /// A gradient that is given is added to those of the shards before it. In the last shard that it can be added up of here, it
    /// goes to the processes whose part it is in at once, beside what is left of the backward pass.
    pub fn sum_in_steps(
        &self,
        precision: Precision,
        synchronised: bool,
        parameters: &[Tensor],
        compute: impl Fn(usize, &Give) -> Result<Vec<Tensor>> + Sync,
    ) -> Result<(Sum, Vec<Tensor>)> {
        let gradients = OpenSum::new(self, parameters)?;
        let compute = |number| compute(number, &|place, gradient| gradients.add(number, place, &gradient));
        let others = self.in_steps(precision, synchronised, compute)?;
        let (gradients, mut others) = (gradients.finish()?, others.into_iter());
        let next = |number| others.next().ok_or_else(|| Error::Msg(format!("shard {number} gave nothing")));
        Ok((gradients, self.mean(next)?))
    }

    /// What `compute` gives for each shard of this process, numbered from 0, in a training step. Where batch norms are
    /// `synchronised` they look at all shards of the batch, and move running statistics once for all of them; else each looks at
    /// its shard.
    pub fn in_steps<R: Send>(
        &self,
        precision: Precision,
        synchronised: bool,
        compute: impl Fn(usize) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        let own = self.of_process();
        if !synchronised {
            return (0..own).map(|number| autograd::training_step(precision, || compute(number))).collect();
        }
        let meeting = Arc::new(Meeting::new(self));
        let attend = |number: usize| meeting.attend(number, |all| ops::norm_across(all, || compute(number)));
        match own {
            1 => autograd::training_step(precision, || attend(0)).map(|found| vec![found]),
            _ => {
                let mut found = autograd::training_step_in_parts(precision, own, attend);
                match meeting.failed() {
                    Some(number) => found.swap_remove(number).map(|found| vec![found]),
                    None => found.into_iter().collect(),
                }
            }
        }
    }

    /// Makes `tensors`, of which each process has changed its part, the same in all processes.
    pub fn share(&self, tensors: Vec<Tensor>) -> Result<()> {
        let parts = Parts::new(tensors.iter().map(Tensor::elem_count), self.communicator.size());
        match parts.count() {
            1 => Ok(()),
            _ => self.communicator.share(tensors, &parts),
        }
    }

    /// What all shards give, one shard after another: `own` are those of this process.
    pub(super) fn gather_f64(&self, own: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
        let size = self.communicator.size();
        if size == 1 {
            return Ok(own.to_vec());
        }
        let length = own.first().map_or(0, Vec::len);
        // As the halves of their bits.
        let halves = |value: &f64| [(value.to_bits() >> 32) as u32, value.to_bits() as u32].map(f32::from_bits);
        let sent: Vec<f32> = own.iter().flatten().flat_map(halves).collect();
        let got = self.communicator.gather(&sent, &vec![sent.len(); size])?.concat();
        let whole = |halves: &[f32]| {
            let [high, low] = [halves[0], halves[1]].map(|half| u64::from(half.to_bits()));
            f64::from_bits(high << 32 | low)
        };
        let values: Vec<f64> = got.chunks_exact(2).map(whole).collect();
        Ok(values.chunks_exact(length.max(1)).map(<[f64]>::to_vec).collect())
    }

    /// The rows of all shards, one shard after another: `rows` are those of this process, as many as every other has.
    pub fn gather(&self, rows: &Tensor) -> Result<Tensor> {
        let size = self.communicator.size();
        if size == 1 {
            return Ok(rows.clone());
        }
        let mut dims = rows.dims().to_vec();
        dims[0] *= size;
        if let Some(cards) = self.cards_of(rows.device()) {
            return cards.gather(&rows.flatten_all()?)?.reshape(dims);
        }
        let own = rows.flatten_all()?.to_vec1::<f32>()?;
        let all = self.communicator.gather(&own, &vec![own.len(); size])?.concat();
        Tensor::from_vec(all, dims, rows.device())
    }
}
