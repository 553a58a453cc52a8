//! The cards that processes train on.

use std::sync::Arc;

use candle_core::Device;

use super::Processes;
use crate::distributed::{OneCard, Shards};

impl Processes {
    /// Shards whose sums stay on the cards where that can be: the card of one process, or with the feature `nccl` one card of
    /// each. To be called by all processes, after they have agreed.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::error::Error::Usage) where NCCL cannot join the devices, the same for all; where it fails.
    pub fn on_cards(&self, shards: Shards, device: &Device) -> anyhow::Result<Shards> {
        match self.communicator.size() {
            1 if device.is_cuda() => Ok(shards.on_cards(Arc::new(OneCard(device.clone())))),
            1 => Ok(shards),
            _ => self.join_cards(shards, device),
        }
    }

    #[cfg(not(feature = "nccl"))]
    fn join_cards(&self, shards: Shards, _: &Device) -> anyhow::Result<Shards> {
        Ok(shards)
    }

    #[cfg(feature = "nccl")]
    fn join_cards(&self, shards: Shards, device: &Device) -> anyhow::Result<Shards> {
        use crate::distributed::NcclCards;
        let places = self.communicator.gather_text(&NcclCards::place(device)?)?;
        if !joined::are_cards(&self.hosts, &places)? {
            return Ok(shards);
        }
        let cards = Arc::new(NcclCards::join(&*self.communicator, device)?);
        // It outlives the training, so that the others get what this one has sent: see `finish_cards`.
        let cards = self.cards.get_or_init(|| cards);
        Ok(shards.on_cards(cards.clone()))
    }

    /// Whether sums of several processes stay on their cards.
    #[cfg(feature = "mpi")]
    pub(super) fn sums_on_cards(&self) -> bool {
        #[cfg(feature = "nccl")]
        return self.cards.get().is_some();
        #[cfg(not(feature = "nccl"))]
        false
    }

    /// Waits until the card has sent all that it was to.
    #[cfg(feature = "nccl")]
    pub(super) fn finish_cards(&self) {
        // If it fails only now, nothing of it is asked for any more.
        let _ = self.cards.get().map(|cards| cards.finish());
    }
}

/// What NCCL can join.
#[cfg(any(feature = "nccl", test))]
mod joined {
    use anyhow::bail;

    use crate::error::Error;

    /// Whether the processes, on these hosts, are on cards in these places, one each, and not on CPUs, whose place is empty.
    pub fn are_cards(hosts: &[String], places: &[String]) -> anyhow::Result<bool> {
        let is_card = |rank: usize| !places[rank].is_empty();
        for rank in 1..places.len() {
            if is_card(rank) != is_card(0) {
                let (with, without) = if is_card(rank) { (rank, 0) } else { (0, rank) };
                bail!(Error::Usage(format!(
                    "process {without} computes on the CPU of {}, and process {with} on a card\n\
                     give each a card, of which a host has as many as processes, or all --device cpu",
                    hosts[without]
                )));
            }
            let same = |other: &usize| (&hosts[*other], &places[*other]) == (&hosts[rank], &places[rank]);
            if let (true, Some(other)) = (is_card(rank), (0..rank).find(same)) {
                bail!(Error::Usage(format!(
                    "processes {other} and {rank} would share a card, {} of {}, and NCCL takes one process a card\n\
                     start no more processes on a host than it has cards, with --device cuda or auto, which give each its \
                     own; or take a build without nccl",
                    places[rank], hosts[rank]
                )));
            }
        }
        Ok(places.first().is_some_and(|place| !place.is_empty()))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn texts(all: &[&str]) -> Vec<String> {
            all.iter().map(ToString::to_string).collect()
        }

        #[test]
        fn cards_are_joined_one_a_process() {
            let check = |hosts: &[&str], places: &[&str]| {
                are_cards(&texts(hosts), &texts(places)).map_err(|error| error.to_string())
            };
            assert_eq!(check(&["a", "a", "b"], &["1", "2", "1"]), Ok(true), "the same place of other hosts");
            assert_eq!(check(&["a", "a"], &["", ""]), Ok(false), "CPUs");
            let shared = check(&["a", "b", "b", "b"], &["1", "1", "2", "1"]).unwrap_err();
            assert!(shared.starts_with("processes 1 and 3 would share a card, 1 of b"), "{shared}");
            let mixed = check(&["a", "b", "b"], &["1", "2", ""]).unwrap_err();
            assert!(mixed.starts_with("process 2 computes on the CPU of b, and process 0 on a card"), "{mixed}");
            let mixed = check(&["a", "b"], &["", "1"]).unwrap_err();
            assert!(mixed.starts_with("process 0 computes on the CPU of a, and process 1 on a card"), "{mixed}");
        }
    }
}
