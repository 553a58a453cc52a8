//! Parts of tensors from every process to every other, straight out of the tensors' memory and into it.

use candle_core::{Result, Tensor};
use mpi::request::{LocalScope, Request, scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, Destination as _, Source as _};

use super::Parts;
use crate::kernels::exclusion::exclusive;
use crate::kernels::storage::{modify_all, read_all};

/// What is on its way. Messages between two processes arrive in the order in which they were sent, and are as long as the
/// slices of a part, which all processes know.
struct Transfers<'a, 'b> {
    world: &'b SimpleCommunicator,
    scope: &'b LocalScope<'a>,
    requests: Vec<Request<'a, [f32], &'b LocalScope<'a>>>,
}

impl<'a, 'b> Transfers<'a, 'b> {
    fn new(world: &'b SimpleCommunicator, scope: &'b LocalScope<'a>) -> Self {
        Self { world, scope, requests: Vec::new() }
    }

    fn receive(&mut self, from: usize, values: &'a mut [f32]) {
        let process = self.world.process_at_rank(from as i32);
        self.requests.push(process.immediate_receive_into(self.scope, values));
    }

    fn send(&mut self, to: usize, values: &'a [f32]) {
        let process = self.world.process_at_rank(to as i32);
        self.requests.push(process.immediate_send(self.scope, values));
    }

    fn wait(self) {
        self.requests.into_iter().for_each(Request::wait_without_status);
    }
}

/// As [`super::Communicator::scatter`] says, on the thread of MPI, while the caller waits.
pub fn scatter(
    world: &SimpleCommunicator,
    lists: &[Vec<Tensor>],
    counts: &[usize],
    parts: &Parts,
) -> Result<Vec<Vec<Vec<f32>>>> {
    let (rank, size) = (world.rank() as usize, parts.count());
    let own: Vec<_> = parts.slices(rank).collect();
    let lists_from = |other: usize| if other == rank { 0 } else { counts[other] };
    let length = parts.range(rank).len();
    let mut received: Vec<Vec<Vec<f32>>> = (0..size).map(|other| vec![vec![0.0; length]; lists_from(other)]).collect();
    let tensors: Vec<&Tensor> = lists.iter().flatten().collect();
    read_all(&tensors, |values| {
        scope(|scope| {
            let mut transfers = Transfers::new(world, scope);
            for (other, lists) in received.iter_mut().enumerate() {
                for list in lists {
                    let mut rest = &mut list[..];
                    for slice in &own {
                        let (values, others) = rest.split_at_mut(slice.range.len());
                        transfers.receive(other, values);
                        rest = others;
                    }
                }
            }
            let lists = values.chunks(values.len().checked_div(lists.len()).unwrap_or(0).max(1));
            for list in lists {
                for other in (0..size).filter(|other| *other != rank) {
                    parts.slices(other).for_each(|slice| transfers.send(other, &list[slice.tensor][slice.range]));
                }
            }
            transfers.wait();
        });
    })?;
    Ok(received)
}

/// As [`super::Communicator::share`] says, on the thread of MPI, while the caller waits; it changes tensors in its own turn.
pub fn share(world: &SimpleCommunicator, tensors: &[Tensor], parts: &Parts) -> Result<()> {
    let (rank, size) = (world.rank() as usize, parts.count());
    let send_and_receive = &mut |lent: Vec<&mut [f32]>| {
        let mut rest: Vec<&mut [f32]> = lent;
        scope(|scope| {
            let mut transfers = Transfers::new(world, scope);
            for part in 0..size {
                for slice in parts.slices(part) {
                    // Parts come in their order: of each tensor its first values are those of the next part.
                    let (values, others) = std::mem::take(&mut rest[slice.tensor]).split_at_mut(slice.range.len());
                    rest[slice.tensor] = others;
                    if part != rank {
                        transfers.receive(part, values);
                        continue;
                    }
                    let values = &*values;
                    (0..size).filter(|other| *other != rank).for_each(|other| transfers.send(other, values));
                }
            }
            transfers.wait();
        });
        Ok(())
    };
    exclusive(|| modify_all(tensors, send_and_receive))
}

/// How many values a process sends when each other one gets its part, and how many when each gets this one's.
pub fn sent(rank: usize, lists: usize, parts: &Parts) -> [usize; 2] {
    let all: usize = (0..parts.count()).map(|part| parts.range(part).len()).sum();
    let own = parts.range(rank).len();
    [lists * (all - own), (parts.count() - 1) * own]
}
