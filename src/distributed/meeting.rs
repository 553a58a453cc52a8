//! Where the shards of a batch meet within a step, those of this process and those of the others.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use candle_core::{Result, bail};

use super::Shards;
use crate::ops::AcrossShards;

/// The shards of this process in a step, each on its own thread. One computes at a time, and has all threads of the pool: it
/// goes on until it waits for the others, then it is the turn of the next.
pub(super) struct Meeting {
    shards: Shards,
    state: Mutex<State>,
    turn: Condvar,
}

struct State {
    /// Which of the shards of this process computes.
    current: usize,
    /// What they have given since all last met.
    given: Vec<Vec<f64>>,
    /// What all shards gave when they last met.
    met: Vec<Vec<f64>>,
    /// The first that has failed.
    failed: Option<usize>,
}

impl Meeting {
    pub fn new(shards: &Shards) -> Self {
        let state = State { current: 0, given: Vec::new(), met: Vec::new(), failed: None };
        Self { shards: shards.clone(), state: Mutex::new(state), turn: Condvar::new() }
    }

    /// Runs what shard `number` of this process computes, when it is its turn.
    pub fn attend<R>(
        self: &Arc<Self>,
        number: usize,
        work: impl FnOnce(Arc<dyn AcrossShards>) -> Result<R>,
    ) -> Result<R> {
        /// The others must not wait for a shard that is done, in whichever way.
        struct Leave<'a> {
            meeting: &'a Meeting,
            failed: Option<usize>,
        }
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                let mut state = self.meeting.state();
                state.current += 1;
                state.failed = state.failed.or(self.failed);
                self.meeting.turn.notify_all();
            }
        }
        drop(self.wait_for_turn(self.state(), number)?);
        let mut leave = Leave { meeting: self, failed: Some(number) };
        let result = work(Arc::new(Attendant { meeting: self.clone(), number }))?;
        leave.failed = None;
        Ok(result)
    }

    /// The first shard of this process that has failed, and made the others fail.
    pub fn failed(&self) -> Option<usize> {
        self.state().failed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_turn<'a>(&'a self, state: MutexGuard<'a, State>, number: usize) -> Result<MutexGuard<'a, State>> {
        let waits = |state: &mut State| state.current != number && state.failed.is_none();
        let state = self.turn.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
        match state.failed {
            Some(_) => bail!("another shard has failed"),
            None => Ok(state),
        }
    }

    fn gather(&self, number: usize, own: Vec<f64>) -> Result<Vec<Vec<f64>>> {
        let mut state = self.state();
        state.given.push(own);
        state.current = number + 1;
        if state.current == self.shards.of_process() {
            // The others have read what was met before: each did so before it gave what is here now.
            state.met = self.shards.gather_f64(&std::mem::take(&mut state.given))?;
            state.current = 0;
        }
        self.turn.notify_all();
        Ok(self.wait_for_turn(state, number)?.met.clone())
    }
}

/// A shard that meets the others.
struct Attendant {
    meeting: Arc<Meeting>,
    number: usize,
}

impl AcrossShards for Attendant {
    fn gather(&self, own: Vec<f64>) -> Result<Vec<Vec<f64>>> {
        self.meeting.gather(self.number, own)
    }

    fn moves_running_statistics(&self) -> bool {
        self.number == 0
    }
}
