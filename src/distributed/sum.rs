//! Sums over all shards, as far as one process has formed them.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Shape, Tensor, bail};

use super::parts::{Parts, Slice};
use super::tree::{Node, Sums, nodes_of};
use super::{Shards, cards};
use crate::kernels::cpu::parallel::{TILE, scratch, sum_of, tile, write_tiles};
use crate::kernels::storage::{read, read_all, tensor};

/// Lists of tensors in f32, the sums of some shards each, whose sums over all shards are asked for.
pub struct Sum {
    shards: Shards,
    nodes: Vec<(Node, Vec<Tensor>)>,
    device: Device,
}

impl Sum {
    /// Of what `compute` gives for each shard of this process, numbered from 0: as many tensors for every shard, of the same
    /// shapes. Those of a shard are added before there are those of the next.
    pub(super) fn of(shards: &Shards, mut compute: impl FnMut(usize) -> Result<Vec<Tensor>>) -> Result<Self> {
        let (mut sums, mut device) = (Sums::new(shards.count()), Device::Cpu);
        for number in 0..shards.of_process() {
            let tensors = compute(number)?;
            if let Some(tensor) = tensors.first() {
                device = tensor.device().clone();
            }
            let stays = shards.cards_of(&device).is_some();
            let kept = tensors.iter().map(|tensor| match stays {
                true => tensor.detach().contiguous(),
                false => tensor.to_device(&Device::Cpu)?.contiguous(),
            });
            let add = if stays { cards::added } else { added };
            let leaf = Node::leaf(shards.first_of_process() + number);
            sums.insert(leaf, kept.collect::<Result<Vec<_>>>()?, |left, right| add(&left, &right))?;
        }
        Ok(Self { shards: shards.clone(), nodes: sums.into_nodes(), device })
    }

    /// The first tensors of each list, and the others.
    pub fn split_at(self, count: usize) -> (Self, Self) {
        let Self { shards, nodes, device } = self;
        let split = |(node, mut tensors): (Node, Vec<Tensor>)| {
            let others = tensors.split_off(count);
            ((node, tensors), (node, others))
        };
        let (first, others): (Vec<_>, Vec<_>) = nodes.into_iter().map(split).unzip();
        (Self { shards: shards.clone(), nodes: first, device: device.clone() }, Self { shards, nodes: others, device })
    }

    /// The means over all shards. Every process gets the same bits, and they do not depend on the number of processes.
    pub fn mean(self) -> Result<Vec<Tensor>> {
        if let Some(cards) = self.shards.cards_of(&self.device) {
            return cards::mean(cards, &self.shards, &self.nodes);
        }
        let (device, shapes) = (self.device.clone(), self.shapes());
        if shapes.is_empty() {
            return Ok(Vec::new());
        }
        let part = self.into_part()?;
        let own = part.values()?;
        let communicator = part.shards.communicator();
        let all = match communicator.size() {
            1 => own,
            size => {
                let lengths: Vec<usize> = (0..size).map(|rank| part.parts.range(rank).len()).collect();
                communicator.gather(&own, &lengths)?.concat()
            }
        };
        let mut rest = &all[..];
        let cut = |shape: &Shape| {
            let (own, others) = rest.split_at(shape.elem_count());
            rest = others;
            Tensor::from_slice(own, shape.clone(), &device)
        };
        shapes.iter().map(cut).collect()
    }

    fn shapes(&self) -> Vec<Shape> {
        let tensors = self.nodes.first().map(|(_, tensors)| &tensors[..]).unwrap_or_default();
        tensors.iter().map(|tensor| tensor.shape().clone()).collect()
    }

    /// That part of the means that this process computes: it gets what the others have of it, and gives them what it has of
    /// theirs.
    pub fn into_part(self) -> Result<PartOfMean> {
        let parts = Parts::new(self.shapes().iter().map(Shape::elem_count), self.shards.communicator().size());
        let Self { shards, nodes: own, .. } = self;
        let communicator = shards.communicator();
        let of = |rank: usize| nodes_of(shards.range_of(rank), shards.count());
        let others = match communicator.size() {
            1 => Vec::new(),
            size => {
                let counts: Vec<usize> = (0..size).map(|rank| of(rank).len()).collect();
                let own: Vec<_> = own.iter().map(|(_, tensors)| tensors.clone()).collect();
                let found = communicator.scatter(own, &counts, &parts)?.into_iter().enumerate();
                found.flat_map(|(rank, values)| of(rank).into_iter().zip(values)).collect()
            }
        };
        Ok(PartOfMean { shards, parts, own, others })
    }
}

/// A part of the means of some tensors over all shards, not added up yet: the sums that this process has formed, and those
/// that it got from the others.
pub struct PartOfMean {
    shards: Shards,
    parts: Parts,
    own: Vec<(Node, Vec<Tensor>)>,
    /// Of this part alone.
    others: Vec<(Node, Vec<f32>)>,
}

impl PartOfMean {
    fn rank(&self) -> usize {
        self.shards.communicator().rank()
    }

    /// What of each tensor is in it.
    pub fn slices(&self) -> impl Iterator<Item = Slice> + '_ {
        self.parts.slices(self.rank())
    }

    /// The values.
    fn values(&self) -> Result<Vec<f32>> {
        let length = self.parts.range(self.rank()).len();
        self.with(|mean| write_tiles(length, TILE, |index, values| mean(tile(index, TILE, length).start, values)).0)
    }

    /// Lends what overwrites values by those of the part from a place on.
    pub fn with<R>(&self, work: impl FnOnce(&(dyn Fn(usize, &mut [f32]) + Sync)) -> R) -> Result<R> {
        let tensors: Vec<&Tensor> = self.own.iter().flat_map(|(_, tensors)| tensors).collect();
        let begin = self.parts.range(self.rank()).start;
        let (count, share) = (self.shards.count(), 1.0 / self.shards.count() as f32);
        read_all(&tensors, |values| {
            let mut rest = values;
            let mut terms = BTreeMap::new();
            for (node, tensors) in &self.own {
                let (own, others) = rest.split_at(tensors.len());
                terms.insert(*node, Term::Tensors(own));
                rest = others;
            }
            terms.extend(self.others.iter().map(|(node, values)| (*node, Term::Part(values))));
            work(&|start: usize, mean: &mut [f32]| {
                let place = Place { parts: &self.parts, begin, start };
                write_sum(Node::root(count), count, &terms, place, mean);
                mean.iter_mut().for_each(|value| *value *= share);
            })
        })
    }
}

/// What has been formed of a sum.
enum Term<'a> {
    /// The values of all tensors.
    Tensors(&'a [&'a [f32]]),
    /// Those of a part.
    Part(&'a [f32]),
}

/// Where values of a part stand: from `start` on in the part, which begins at `begin`.
#[derive(Clone, Copy)]
struct Place<'a> {
    parts: &'a Parts,
    begin: usize,
    start: usize,
}

impl Term<'_> {
    /// Runs `work` on values of the term from a place on, and those of `sum` that they belong to.
    fn with(&self, place: Place, sum: &mut [f32], work: impl Fn(&mut [f32], &[f32])) {
        match self {
            Term::Part(values) => work(sum, &values[place.start..place.start + sum.len()]),
            Term::Tensors(tensors) => {
                let start = place.begin + place.start;
                let mut rest = sum;
                for Slice { tensor, range } in place.parts.slices_of(start..start + rest.len()) {
                    let (own, others) = rest.split_at_mut(range.len());
                    work(own, &tensors[tensor][range]);
                    rest = others;
                }
            }
        }
    }
}

/// Overwrites `sum` by the sum of a node along the tree.
fn write_sum(node: Node, shards: usize, terms: &BTreeMap<Node, Term>, place: Place, sum: &mut [f32]) {
    if let Some(term) = terms.get(&node) {
        return term.with(place, sum, |sum, values| sum.copy_from_slice(values));
    }
    let Some((left, right)) = node.children(shards) else { return };
    write_sum(left, shards, terms, place, sum);
    match (right, right.and_then(|right| terms.get(&right))) {
        (_, Some(term)) => term.with(place, sum, add),
        (Some(right), None) => scratch(sum.len(), |other| {
            write_sum(right, shards, terms, place, other);
            add(sum, other);
        }),
        (None, None) => {}
    }
}

fn add(sum: &mut [f32], values: &[f32]) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

fn added(left: &[Tensor], right: &[Tensor]) -> Result<Vec<Tensor>> {
    if !left.iter().map(Tensor::dims).eq(right.iter().map(Tensor::dims)) {
        bail!("shards of other shapes than each other's");
    }
    let sum = |(left, right): (&Tensor, &Tensor)| {
        tensor(read(left, |left| read(right, |right| sum_of(left, right)))??, left.dims())
    };
    left.iter().zip(right).map(sum).collect()
}
