//! The shards of a batch: which of them this process computes, and the mean over all of them.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Device, Error, Result, Tensor, bail};
use rayon::prelude::*;

use super::meeting::Meeting;
use super::tree::{Node, Sums, nodes_of};
use super::{Alone, Communicator};
use crate::autograd::{self, Precision};
use crate::ops;

/// The shards of a batch and the processes that compute them, each as many, one process after another.
#[derive(Clone)]
pub struct Shards {
    count: usize,
    communicator: Arc<dyn Communicator>,
}

impl Default for Shards {
    /// One shard, one process.
    fn default() -> Self {
        Self { count: 1, communicator: Arc::new(Alone) }
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
        Ok(Self { count, communicator })
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

    fn range_of(&self, rank: usize) -> Range<usize> {
        rank * self.of_process()..(rank + 1) * self.of_process()
    }

    /// The means over all shards of the tensors in f32 that `compute` gives for each shard of this process, numbered from
    /// 0: as many for every shard, of the same shapes. Every process gets the same bits, and they do not depend on the
    /// number of processes.
    pub fn mean(&self, mut compute: impl FnMut(usize) -> Result<Vec<Tensor>>) -> Result<Vec<Tensor>> {
        let (mut sums, mut shapes) = (Sums::new(self.count), Vec::new());
        let mut device = Device::Cpu;
        for (number, shard) in self.range_of(self.communicator.rank()).enumerate() {
            let tensors = compute(number)?;
            if let Some(tensor) = tensors.first() {
                device = tensor.device().clone();
            }
            shapes = tensors.iter().map(|tensor| tensor.shape().clone()).collect();
            sums.insert(Node::leaf(shard), flat(&tensors)?, |left, right| sum(left, &right))?;
        }
        let mut mean = self.over_processes(sums.into_nodes())?;
        let share = 1.0 / self.count as f32;
        mean.par_iter_mut().for_each(|value| *value *= share);
        let mut rest = &mean[..];
        let cut = |shape: &candle_core::Shape| {
            let (own, others) = rest.split_at(shape.elem_count());
            rest = others;
            Tensor::from_slice(own, shape.clone(), &device)
        };
        shapes.iter().map(cut).collect()
    }

    /// The [`mean`](Self::mean) of what `compute` gives [`in_steps`](Self::in_steps).
    pub fn mean_in_steps(
        &self,
        precision: Precision,
        synchronised: bool,
        compute: impl Fn(usize) -> Result<Vec<Tensor>> + Sync,
    ) -> Result<Vec<Tensor>> {
        if !synchronised {
            // Each shard's are added before there are those of the next.
            return self.mean(|number| autograd::training_step(precision, || compute(number)));
        }
        let mut found = self.in_steps(precision, true, compute)?.into_iter();
        self.mean(|number| found.next().ok_or_else(|| Error::Msg(format!("shard {number} gave nothing"))))
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

    /// The sum of all shards from the nodes that this process has formed. Each process adds up one part of the values for
    /// all of them: what it sends and gets is twice the values in all, however many processes there are.
    fn over_processes(&self, mut nodes: Vec<(Node, Vec<f32>)>) -> Result<Vec<f32>> {
        let size = self.communicator.size();
        let length = nodes.first().map_or(0, |(_, values)| values.len());
        if size == 1 {
            return Ok(nodes.pop().map(|(_, sum)| sum).unwrap_or_default());
        }
        let part = |rank: usize| rank * length / size..(rank + 1) * length / size;
        let of = |rank: usize| nodes_of(self.range_of(rank), self.count);
        let parts: Vec<Vec<f32>> =
            (0..size).map(|rank| nodes.iter().flat_map(|(_, values)| &values[part(rank)]).copied().collect()).collect();
        drop(nodes);
        let own = part(self.communicator.rank()).len();
        let lengths: Vec<usize> = (0..size).map(|rank| of(rank).len() * own).collect();
        let mut sums = Sums::new(self.count);
        for (rank, values) in self.communicator.exchange(&parts, &lengths)?.into_iter().enumerate() {
            for (place, node) in of(rank).into_iter().enumerate() {
                sums.insert(node, values[place * own..][..own].to_vec(), |left, right| sum(left, &right))?;
            }
        }
        let summed = sums.into_nodes().pop().map(|(_, sum)| sum).unwrap_or_default();
        let lengths: Vec<usize> = (0..size).map(|rank| part(rank).len()).collect();
        Ok(self.communicator.gather(&summed, &lengths)?.concat())
    }

    /// The rows of all shards, one shard after another: `rows` are those of this process, as many as every other has.
    pub fn gather(&self, rows: &Tensor) -> Result<Tensor> {
        let size = self.communicator.size();
        if size == 1 {
            return Ok(rows.clone());
        }
        let own = rows.flatten_all()?.to_vec1::<f32>()?;
        let all = self.communicator.gather(&own, &vec![own.len(); size])?.concat();
        let mut dims = rows.dims().to_vec();
        dims[0] *= size;
        Tensor::from_vec(all, dims, rows.device())
    }
}

/// All values, one tensor after another.
fn flat(tensors: &[Tensor]) -> Result<Vec<f32>> {
    let mut values = Vec::with_capacity(tensors.iter().map(Tensor::elem_count).sum());
    for tensor in tensors {
        values.extend(tensor.flatten_all()?.to_vec1::<f32>()?);
    }
    Ok(values)
}

fn sum(mut left: Vec<f32>, right: &[f32]) -> Result<Vec<f32>> {
    if left.len() != right.len() {
        bail!("shards of {} and of {} values", left.len(), right.len());
    }
    left.par_iter_mut().zip(right).for_each(|(left, right)| *left += right);
    Ok(left)
}
