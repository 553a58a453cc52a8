//! A sum over all shards in the making: each tensor is on its way to the other processes as soon as it is added up here.

use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{Device, Result, Shape, Tensor, bail};

use super::tree::{Node, Sums, nodes_of};
use super::{Parts, Scatter, Shards, Sum};
use crate::kernels::cpu::parallel::sum_of;
use crate::kernels::storage::{read, tensor};

/// The sum of lists of tensors in f32, one of each shard. Its tensors may be added in any order, and by any thread.
pub(super) struct OpenSum {
    shards: Shards,
    shapes: Vec<Shape>,
    parts: Parts,
    device: Device,
    /// What the shards of this process add up to.
    nodes: Vec<Node>,
    state: Mutex<State>,
}

struct State {
    /// Of each tensor what has been added up.
    tensors: Vec<Sums<Tensor>>,
    /// None where the tensors stay on the cards.
    scatter: Option<Box<dyn Scatter>>,
}

impl OpenSum {
    /// Of tensors like these. To be called by all processes.
    pub fn new(shards: &Shards, like: &[Tensor]) -> Result<Self> {
        let communicator = shards.communicator();
        let (rank, size) = (communicator.rank(), communicator.size());
        let shapes: Vec<Shape> = like.iter().map(|tensor| tensor.shape().clone()).collect();
        let parts = Parts::new(shapes.iter().map(Shape::elem_count), size);
        let device = like.first().map_or(Device::Cpu, |tensor| tensor.device().clone());
        let of = |rank: usize| nodes_of(shards.range_of(rank), shards.count());
        let scatter = match like.is_empty() || shards.cards_of(&device).is_some() {
            true => None,
            false => {
                let counts: Vec<usize> = (0..size).map(|rank| of(rank).len()).collect();
                Some(communicator.scatter(&counts, &parts)?)
            }
        };
        let tensors = shapes.iter().map(|_| Sums::new(shards.count())).collect();
        let state = Mutex::new(State { tensors, scatter });
        Ok(Self { shards: shards.clone(), shapes, parts, device, nodes: of(rank), state })
    }

    /// How many tensors each shard gives.
    pub fn tensors(&self) -> usize {
        self.shapes.len()
    }

    /// Adds tensor number `place` of shard `number` of this process. Once it is the sum of all shards that this process can add
    /// up, it goes out.
    pub fn add(&self, number: usize, place: usize, added: &Tensor) -> Result<()> {
        if self.shapes.get(place) != Some(added.shape()) {
            bail!("shards of other shapes than each other's");
        }
        let stays = self.shards.cards_of(&self.device).is_some();
        let kept = match stays {
            true => added.detach().contiguous(),
            false => added.to_device(&Device::Cpu)?.detach().contiguous(),
        };
        let sum = |left: Tensor, right: Tensor| match stays {
            true => left + right,
            false => tensor(read(&left, |left| read(&right, |right| sum_of(left, right)))??, left.dims()),
        };
        let leaf = Node::leaf(self.shards.first_of_process() + number);
        let State { tensors, scatter } = &mut *self.state();
        let (node, value) = tensors[place].insert(leaf, kept?, sum)?;
        match (scatter, self.nodes.iter().position(|own| *own == node)) {
            (Some(scatter), Some(list)) => scatter.give(list, place, value),
            _ => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has been added up, with what the others give: waits for that. To be called by all processes.
    pub fn finish(self) -> Result<Sum> {
        let Self { shards, parts, device, nodes, state, .. } = self;
        let State { tensors, scatter } = state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut own: Vec<(Node, Vec<Tensor>)> = nodes.iter().map(|node| (*node, Vec::new())).collect();
        for sums in tensors {
            let found = sums.into_nodes();
            if !found.iter().map(|(node, _)| node).eq(&nodes) {
                bail!("a shard has not given all of its tensors");
            }
            own.iter_mut().zip(found).for_each(|((_, list), (_, tensor))| list.push(tensor));
        }
        let of = |rank: usize| nodes_of(shards.range_of(rank), shards.count());
        let received = scatter.map_or(Ok(Vec::new()), |scatter| scatter.finish())?.into_iter().enumerate();
        let others = received.flat_map(|(rank, lists)| of(rank).into_iter().zip(lists)).collect();
        Ok(Sum::new(shards, parts, device, own, others))
    }
}
