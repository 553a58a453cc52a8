//! The thread that makes all calls of MPI: any library does with that, whatever its support of threads.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use mpi::Threading;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives as _};

use super::Parts;
use super::mpi_scatter::{self, Next, Order};

/// A process that waits for the others looks whether they have come all the time at first, and then sleeps in between:
/// longer and longer, up to this.
const LONGEST_NAP: Duration = Duration::from_millis(5);
const AWAKE: Duration = Duration::from_micros(200);

/// What is said in training, and how processes end, which must not get in each other's way.
pub struct Worlds {
    pub training: SimpleCommunicator,
    pub ending: SimpleCommunicator,
}

/// What the thread is to do.
pub enum Task {
    Call(Box<dyn FnOnce(&Worlds) + Send>),
    /// Begins a scatter, beside which it makes further calls.
    Scatter {
        counts: Vec<usize>,
        parts: Parts,
    },
    OfScatter(Order),
}

/// Starts MPI, says how that went, and does what is asked for.
pub fn serve(to_do: &Receiver<Task>, started: &Sender<Option<(usize, usize, &'static str, String)>>) {
    // Whoever started the thread waits for the answer.
    let Some((universe, threading)) = mpi::initialize_with_threading(Threading::Serialized) else {
        let _ = started.send(None);
        return;
    };
    let training = universe.world();
    let worlds = Worlds { ending: training.duplicate(), training };
    let (rank, size) = (worlds.training.rank() as usize, worlds.training.size() as usize);
    let host = mpi::environment::processor_name().unwrap_or_default();
    let _ = started.send(Some((rank, size, word(threading), host)));
    for task in to_do {
        match task {
            Task::Call(call) => call(&worlds),
            Task::Scatter { counts, parts } => {
                mpi_scatter::run(&worlds.training, &counts, &parts, |nap| next(to_do, nap, &worlds));
            }
            Task::OfScatter(_) => {} // there is none
        }
    }
}

/// What comes next for a scatter, after the calls that come before.
fn next(to_do: &Receiver<Task>, nap: Option<Duration>, worlds: &Worlds) -> Next {
    let task = match nap {
        Some(nap) => to_do.recv_timeout(nap),
        None => to_do.recv().map_err(RecvTimeoutError::from),
    };
    match task {
        Ok(Task::Call(call)) => call(worlds),
        Ok(Task::OfScatter(order)) => return Next::Order(order),
        // Only where the one that goes on was given up, which says so when this one is to finish.
        Ok(Task::Scatter { .. }) | Err(RecvTimeoutError::Timeout) => {}
        Err(RecvTimeoutError::Disconnected) => return Next::End,
    }
    Next::Nothing
}

/// Waits until all processes of `world` have come here, asleep where that takes long; false where they have not within
/// `patience`, after which nothing may be said in that world.
pub fn have_all_come(world: &SimpleCommunicator, patience: Option<Duration>) -> bool {
    let (mut barrier, since, mut nap) = (world.immediate_barrier(), Instant::now(), Duration::from_micros(50));
    loop {
        barrier = match barrier.test() {
            Ok(_) => return true,
            Err(pending) if patience.is_some_and(|patience| since.elapsed() > patience) => {
                std::mem::forget(pending); // it is not dropped unfinished; the process ends anyway
                return false;
            }
            Err(pending) => pending,
        };
        if since.elapsed() < AWAKE {
            thread::yield_now();
            continue;
        }
        thread::sleep(nap);
        nap = (2 * nap).min(LONGEST_NAP);
    }
}

fn word(threading: Threading) -> &'static str {
    match threading {
        Threading::Single => "single",
        Threading::Funneled => "funneled",
        Threading::Serialized => "serialized",
        Threading::Multiple => "multiple",
    }
}
