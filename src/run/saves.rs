//! What a run will write, and whether the disk has room for it.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::RunDirectory;
use super::disk_space;
use crate::run::disk_space::Need;
use crate::run::state::{Tensors, is_network};

/// A safetensors header with its configuration, at most.
const HEADER: u64 = 64 << 10;

/// When a run saves.
#[derive(Clone, Copy, Debug)]
pub struct Saves {
    pub first_step: u64,
    pub last_step: u64,
    pub every: u64,
    pub keep: usize,
}

impl Saves {
    /// Checkpoints that will lie beside the `present` ones at once: the newest is whole before the oldest goes.
    fn more(&self, present: u64) -> u64 {
        let regular = (self.last_step / self.every).saturating_sub(self.first_step / self.every);
        let last = u64::from(!self.last_step.is_multiple_of(self.every));
        let kept = (self.keep as u64).saturating_add(1);
        // One is written anew even where a run has come to its end.
        (regular + last).min(kept.saturating_sub(present)).max(1)
    }
}

/// Refuses a run whose files cannot all lie on the disk, before anything is written. `state` is that of a checkpoint; what
/// of it is not the optimizer's is in the networks for use too. A run that goes on replaces the networks that it has one
/// by one.
pub fn check(run: &RunDirectory, state: &Tensors, saves: &Saves) -> anyhow::Result<()> {
    let (present, networks) = (run.present()?, networks(state));
    let networks = match present > 0 {
        true => networks.into_values().max().unwrap_or(0),
        false => networks.into_values().sum(),
    };
    let checkpoint = state.values().map(bytes).sum::<u64>() + HEADER;
    disk_space::check(&run.weights, &Need { checkpoint, checkpoints: saves.more(present), networks }, run.reclaimable())
}

/// Bytes of each network, by the first part of its tensors' names.
fn networks(state: &Tensors) -> BTreeMap<&str, u64> {
    let mut networks = BTreeMap::new();
    for (name, tensor) in state.iter().filter(|(name, _)| is_network(name)) {
        *networks.entry(name.split('.').next().unwrap_or(name)).or_default() += bytes(tensor);
    }
    networks
}

fn bytes(tensor: &Tensor) -> u64 {
    (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_checkpoints_as_will_lie_there_at_once() {
        let saves = Saves { first_step: 0, last_step: 2340, every: 500, keep: 3 };
        assert_eq!(saves.more(0), 4);
        assert_eq!(Saves { keep: 99, ..saves }.more(0), 5);
        assert_eq!(Saves { last_step: 2000, keep: 99, ..saves }.more(0), 4);
        assert_eq!(Saves { first_step: 1000, ..saves }.more(3), 1);
        assert_eq!(Saves { first_step: 2340, ..saves }.more(3), 1);
        assert_eq!(Saves { last_step: u64::MAX, keep: usize::MAX, every: 1, ..saves }.more(0), u64::MAX);
    }
}
