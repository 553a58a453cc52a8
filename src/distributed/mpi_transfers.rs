//! Parts of tensors from every process to every other, straight out of the tensors' memory and into it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use candle_core::{Result, Tensor};
use mpi::request::{LocalScope, Request, scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, Destination as _, Source as _};

use super::Parts;
use crate::kernels::exclusion::exclusive;
use crate::kernels::storage::modify_all;

type Requests<'a, 'b> = VecDeque<Request<'a, [f32], &'b LocalScope<'a>>>;

/// What is on its way. Messages of one tag between two processes arrive in the order in which they were sent, and are as long as
/// the slices of a part, which all processes know.
pub struct Transfers<'a, 'b> {
    world: &'b SimpleCommunicator,
    scope: &'b LocalScope<'a>,
    receives: Requests<'a, 'b>,
    sends: Requests<'a, 'b>,
}

impl<'a, 'b> Transfers<'a, 'b> {
    pub fn new(world: &'b SimpleCommunicator, scope: &'b LocalScope<'a>) -> Self {
        Self { world, scope, receives: VecDeque::new(), sends: VecDeque::new() }
    }

    pub fn receive(&mut self, from: usize, tag: i32, values: &'a mut [f32]) {
        let process = self.world.process_at_rank(from as i32);
        self.receives.push_back(process.immediate_receive_into_with_tag(self.scope, values, tag));
    }

    pub fn send(&mut self, to: usize, tag: i32, values: &'a [f32]) {
        let process = self.world.process_at_rank(to as i32);
        self.sends.push_back(process.immediate_send_with_tag(self.scope, values, tag));
    }

    /// Lets MPI go on with all of them, and forgets those that have arrived, as far as they are the first.
    pub fn progress(&mut self) {
        progress(&mut self.receives);
        progress(&mut self.sends);
    }

    pub fn have_arrived(&self) -> bool {
        self.receives.is_empty() && self.sends.is_empty()
    }

    pub fn wait(&mut self) {
        self.receives.drain(..).chain(self.sends.drain(..)).for_each(Request::wait_without_status);
    }

    /// Waits until what was sent has arrived, for so long.
    pub fn wait_for_sends(&mut self, patience: Duration) {
        let since = Instant::now();
        while !self.sends.is_empty() && since.elapsed() < patience {
            progress(&mut self.sends);
            std::thread::yield_now();
        }
    }

    /// Takes nothing more. Where something that was sent has not arrived, it ends all processes: MPI may read it for ever.
    pub fn cancel(&mut self) {
        self.receives.iter().for_each(Request::cancel);
        self.receives.drain(..).for_each(Request::wait_without_status);
        if !self.sends.is_empty() {
            self.world.abort(1);
        }
    }
}

/// A look at one request makes MPI go on with all; so one that finds nothing is all that it costs.
fn progress(requests: &mut Requests) {
    while let Some(first) = requests.pop_front() {
        if let Err(pending) = first.test() {
            requests.push_front(pending);
            return;
        }
    }
}

/// As [`super::Communicator::share`] says, on the thread of MPI, while the caller waits; it changes tensors in its own turn.
pub fn share(world: &SimpleCommunicator, tensors: &[Tensor], parts: &Parts) -> Result<()> {
    /// Parts come in their order.
    const TAG: i32 = 0;
    let (rank, size) = (world.rank() as usize, parts.count());
    let send_and_receive = &mut |lent: Vec<&mut [f32]>| {
        let mut rest: Vec<&mut [f32]> = lent;
        scope(|scope| {
            let mut transfers = Transfers::new(world, scope);
            for part in 0..size {
                for slice in parts.slices(part) {
                    // Of each tensor its first values are those of the next part.
                    let (values, others) = std::mem::take(&mut rest[slice.tensor]).split_at_mut(slice.range.len());
                    rest[slice.tensor] = others;
                    if part != rank {
                        transfers.receive(part, TAG, values);
                        continue;
                    }
                    let values = &*values;
                    (0..size).filter(|other| *other != rank).for_each(|other| transfers.send(other, TAG, values));
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
