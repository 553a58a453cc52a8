//! Parts of tensors that are sent while the processes go on computing.

use std::cell::OnceCell;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use candle_core::{Result, Tensor, bail};
use mpi::request::scope;
use mpi::topology::SimpleCommunicator;
use mpi::traits::Communicator as _;

use super::mpi_thread::Task;
use super::mpi_transfers::Transfers;
use super::{Parts, Scatter, Traffic};
use crate::kernels::storage::hold;

/// MPI sends and receives within its calls alone: while anything is on its way, one is made so often. A thread that wakes takes
/// some microseconds from the step.
const NAP: Duration = Duration::from_micros(100);

/// How long a process that has failed goes on with what it has sent.
const PATIENCE: Duration = Duration::from_secs(5);

/// What each process has given, list by list.
type Received = Vec<Vec<Vec<f32>>>;

/// What the thread of MPI is told while a scatter goes on.
pub enum Order {
    Give {
        list: usize,
        place: usize,
        tensor: Tensor,
    },
    /// Nothing more is given. What the others give is the answer.
    Finish(Sender<Result<Received>>),
    /// Nothing more is given, and nobody waits for an answer.
    GiveUp,
}

/// What comes next for the thread of MPI.
pub enum Next {
    Order(Order),
    /// Nothing within a nap.
    Nothing,
    /// The program is about to end.
    End,
}

/// A scatter that the thread of MPI was told to begin.
pub struct MpiScatter {
    tasks: Sender<Task>,
    traffic: Arc<Mutex<Traffic>>,
    is_finished: bool,
}

impl MpiScatter {
    pub fn new(tasks: Sender<Task>, traffic: Arc<Mutex<Traffic>>) -> Self {
        Self { tasks, traffic, is_finished: false }
    }

    fn order(&self, order: Order) -> Result<()> {
        match self.tasks.send(Task::OfScatter(order)) {
            Ok(()) => Ok(()),
            Err(_) => bail!("MPI has ended"),
        }
    }
}

impl Scatter for MpiScatter {
    fn give(&mut self, list: usize, place: usize, tensor: &Tensor) -> Result<()> {
        self.order(Order::Give { list, place, tensor: tensor.clone() })
    }

    fn finish(mut self: Box<Self>) -> Result<Received> {
        let (answer, answered) = channel();
        self.is_finished = true;
        let begin = Instant::now();
        self.order(Order::Finish(answer))?;
        let Ok(received) = answered.recv() else { bail!("MPI has ended") };
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner).seconds += begin.elapsed().as_secs_f64();
        received
    }
}

impl Drop for MpiScatter {
    fn drop(&mut self) {
        if !self.is_finished {
            // Where MPI has ended, nobody waits either.
            let _ = self.order(Order::GiveUp);
        }
    }
}

/// What the thread of MPI does of a scatter, from its begin to its end; [`super::Communicator::scatter`] says the rest. `next`
/// waits for what comes next: for a nap, where that is asked for, else for as long as it takes.
pub fn run(
    world: &SimpleCommunicator,
    counts: &[usize],
    parts: &Parts,
    mut next: impl FnMut(Option<Duration>) -> Next,
) {
    let (rank, size) = (world.rank() as usize, parts.count());
    let own: Vec<_> = parts.slices(rank).collect();
    let lists_from = |other: usize| if other == rank { 0 } else { counts[other] };
    let length = parts.range(rank).len();
    let mut received: Received = (0..size).map(|other| vec![vec![0.0; length]; lists_from(other)]).collect();
    let number = |list: usize, place: usize| list * parts.tensors() + place;
    // 0 is the tag of what is not of a scatter.
    let tag = |list: usize, place: usize| 1 + number(list, place) as i32;
    // What was given, and its values, are there until all has arrived.
    let given: Vec<OnceCell<Tensor>> = (0..number(counts[rank], 0)).map(|_| OnceCell::new()).collect();
    let held: Vec<_> = given.iter().map(|_| OnceCell::new()).collect();
    let answer = scope(|scope| {
        let mut transfers = Transfers::new(world, scope);
        for (other, lists) in received.iter_mut().enumerate() {
            for (list, values) in lists.iter_mut().enumerate() {
                let mut rest = &mut values[..];
                for slice in &own {
                    let (values, others) = rest.split_at_mut(slice.range.len());
                    transfers.receive(other, tag(list, slice.tensor), values);
                    rest = others;
                }
            }
        }
        let (mut is_moving, mut failed) = (false, None);
        loop {
            match next((is_moving && !transfers.have_arrived()).then_some(NAP)) {
                Next::Order(Order::Give { list, place, tensor }) => {
                    let tensor = given[number(list, place)].get_or_init(|| tensor);
                    match hold(tensor) {
                        Ok(values) => {
                            let values: &[f32] = held[number(list, place)].get_or_init(|| values);
                            for (part, range) in parts.of_tensor(place).filter(|(part, _)| *part != rank) {
                                transfers.send(part, tag(list, place), &values[range]);
                            }
                            // Before that, the others are not ready for more either.
                            is_moving = true;
                        }
                        Err(error) => failed = Some(error.to_string()),
                    }
                }
                Next::Order(Order::Finish(answer)) => match &failed {
                    None => {
                        transfers.wait();
                        return Some(answer);
                    }
                    // Whoever asked may have gone.
                    Some(error) => drop(answer.send(Err(candle_core::Error::Msg(error.clone())))),
                },
                Next::Order(Order::GiveUp) => {
                    // So that the others need not wait for it when they end too. What they send is still taken.
                    transfers.wait_for_sends(PATIENCE);
                    (is_moving, failed) = (false, Some("this process has failed before".into()));
                }
                Next::Nothing => {}
                Next::End => {
                    transfers.cancel();
                    return None;
                }
            }
            transfers.progress();
        }
    });
    if let Some(answer) = answer {
        let _ = answer.send(Ok(received));
    }
}
