//! What a run will write, and whether the disk has room for it.

use std::collections::BTreeMap;

use candle_core::Tensor;

use crate::checkpoint::state::{Tensors, is_network};
use crate::run::disk_space::{self, Need};
use crate::run::{RunDirectory, Timetable};

/// A safetensors header with its configuration, at most.
const HEADER: u64 = 64 << 10;

/// Refuses a run whose files cannot all lie on the disk, before anything is written. `state` is that of a checkpoint; what
/// of it is not the optimizer's is in the networks for use too. A run that goes on replaces the networks that it has one
/// by one.
pub fn check(run: &RunDirectory, state: &Tensors, first_step: u64, timetable: &Timetable) -> anyhow::Result<()> {
    let (present, networks) = (run.present()?, networks(state));
    let networks = match present > 0 {
        true => networks.into_values().max().unwrap_or(0),
        false => networks.into_values().sum(),
    };
    let checkpoint = state.values().map(bytes).sum::<u64>() + HEADER;
    let need = Need { checkpoint, checkpoints: more_checkpoints(timetable, first_step, present), networks };
    disk_space::check(&run.weights, &need, run.reclaimable())
}

/// Checkpoints that will lie beside the `present` ones at once: the newest is whole before the oldest goes.
fn more_checkpoints(timetable: &Timetable, first_step: u64, present: u64) -> u64 {
    let Timetable { last_step, checkpoint_every: every, keep, .. } = *timetable;
    let regular = (last_step / every).saturating_sub(first_step / every);
    let last = u64::from(!last_step.is_multiple_of(every));
    let kept = (keep as u64).saturating_add(1);
    // One may be written anew even where a run has come to its end.
    (regular + last).min(kept.saturating_sub(present)).max(1)
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
        let more = |first_step, last_step, checkpoint_every, keep, present| {
            let (steps_per_epoch, batch_size, log_every, measure_every) = (1, 1, 1, 0);
            #[rustfmt::skip]
            let timetable =
                Timetable { last_step, steps_per_epoch, batch_size, log_every, measure_every, checkpoint_every, keep };
            more_checkpoints(&timetable, first_step, present)
        };
        assert_eq!(more(0, 2340, 500, 3, 0), 4);
        assert_eq!(more(0, 2340, 500, 99, 0), 5);
        assert_eq!(more(0, 2000, 500, 99, 0), 4);
        assert_eq!(more(1000, 2340, 500, 3, 3), 1);
        assert_eq!(more(2340, 2340, 500, 3, 3), 1);
        assert_eq!(more(0, u64::MAX, 1, usize::MAX, 0), u64::MAX);
    }
}
