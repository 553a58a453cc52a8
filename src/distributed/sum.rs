//! Sums over all shards, as far as one process adds them up.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor, bail};

use super::open_sum::OpenSum;
use super::parts::{Parts, Slice};
use super::tree::Node;
use super::{Shards, cards};
use crate::kernels::cpu::parallel::{TILE, scratch, tile, write_tiles};
use crate::kernels::storage::read_all;

/// A sum over all shards of lists of tensors in f32, as far as this process adds it up: what its own shards add up to, and what
/// those of the others do in this process's part.
pub struct Sum {
    shards: Shards,
    parts: Parts,
    device: Device,
    own: Vec<(Node, Vec<Tensor>)>,
    /// Of this process's part alone; nothing on cards.
    others: Vec<(Node, Vec<f32>)>,
}

impl Sum {
    pub(super) fn new(
        shards: Shards,
        parts: Parts,
        device: Device,
        own: Vec<(Node, Vec<Tensor>)>,
        others: Vec<(Node, Vec<f32>)>,
    ) -> Self {
        Self { shards, parts, device, own, others }
    }

    /// Of what `compute` gives for each shard of this process, numbered from 0: as many tensors for every shard, of the same
    /// shapes. Those of a shard are added before there are those of the next.
    pub(super) fn of(shards: &Shards, mut compute: impl FnMut(usize) -> Result<Vec<Tensor>>) -> Result<Self> {
        let first = compute(0)?;
        let sum = OpenSum::new(shards, &first)?;
        let add = |number: usize, tensors: Vec<Tensor>| {
            if tensors.len() != sum.tensors() {
                bail!("shards of other shapes than each other's");
            }
            tensors.iter().enumerate().try_for_each(|(place, tensor)| sum.add(number, place, tensor))
        };
        add(0, first)?;
        (1..shards.of_process()).try_for_each(|number| add(number, compute(number)?))?;
        sum.finish()
    }

    /// Whether the cards add it up: there is no part of it on the host.
    pub fn is_on_cards(&self) -> bool {
        self.shards.cards_of(&self.device).is_some()
    }

    /// The means over all shards. Every process gets the same bits, and they do not depend on the number of processes.
    pub fn mean(self) -> Result<Vec<Tensor>> {
        if let Some(cards) = self.shards.cards_of(&self.device) {
            return cards::mean(cards, &self.shards, &self.own);
        }
        let tensors = self.own.first().map(|(_, tensors)| &tensors[..]).unwrap_or_default();
        if tensors.is_empty() {
            return Ok(Vec::new());
        }
        let own = self.values()?;
        let communicator = self.shards.communicator();
        let all = match communicator.size() {
            1 => own,
            size => {
                let lengths: Vec<usize> = (0..size).map(|rank| self.parts.range(rank).len()).collect();
                communicator.gather(&own, &lengths)?.concat()
            }
        };
        let mut rest = &all[..];
        let cut = |tensor: &Tensor| {
            let (own, others) = rest.split_at(tensor.elem_count());
            rest = others;
            Tensor::from_slice(own, tensor.shape().clone(), &self.device)
        };
        tensors.iter().map(cut).collect()
    }

    fn rank(&self) -> usize {
        self.shards.communicator().rank()
    }

    /// What of each tensor is in this process's part.
    pub fn slices(&self) -> impl Iterator<Item = Slice> + '_ {
        self.parts.slices(self.rank())
    }

    /// The means of this process's part.
    fn values(&self) -> Result<Vec<f32>> {
        let length = self.parts.range(self.rank()).len();
        self.with(|mean| write_tiles(length, TILE, |index, values| mean(tile(index, TILE, length).start, values)).0)
    }

    /// Lends what overwrites values by the means of this process's part from a place on.
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
