//! Processes that were started by `mpirun` or `srun`.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use candle_core::{Result, Tensor, bail};
use mpi::collective::SystemOperation;
use mpi::datatype::{Partition, PartitionMut};
use mpi::traits::{Communicator as _, CommunicatorCollectives as _};

use super::mpi_scatter::MpiScatter;
use super::mpi_thread::{Task, Worlds, have_all_come, serve};
use super::{Communicator, Parts, Scatter, Traffic, mpi_transfers};

/// How long a process waits for the others to start MPI.
const START: Duration = Duration::from_secs(30);

/// How long a process that has failed waits for the others to fail as well, before it ends them.
const PATIENCE: Duration = Duration::from_secs(5);

/// The processes of an MPI program, as one of them sees them.
pub struct MpiProcesses {
    rank: usize,
    size: usize,
    threading: &'static str,
    host: String,
    tasks: Mutex<Option<Sender<Task>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    traffic: Arc<Mutex<Traffic>>,
}

impl MpiProcesses {
    /// Starts MPI, once in a process.
    ///
    /// # Errors
    /// Where MPI cannot be started.
    pub fn start() -> Result<Self> {
        let (tasks, to_do) = channel();
        let (started, start) = channel();
        let run = move || serve(&to_do, &started);
        let thread = thread::Builder::new().name("mpi".into()).spawn(run).map_err(candle_core::Error::wrap)?;
        let (rank, size, threading, host) = match start.recv_timeout(START) {
            Ok(Some(started)) => started,
            Ok(None) | Err(RecvTimeoutError::Disconnected) => bail!("MPI cannot be started"),
            Err(RecvTimeoutError::Timeout) => {
                bail!("MPI has not started within {} s: some of the processes are not this program", START.as_secs())
            }
        };
        let (tasks, thread) = (Mutex::new(Some(tasks)), Mutex::new(Some(thread)));
        Ok(Self { rank, size, threading, host, tasks, thread, traffic: Arc::default() })
    }

    /// The version of the standard that the library has.
    pub fn version(&self) -> String {
        let (version, subversion) = mpi::environment::version();
        format!("{version}.{subversion}")
    }

    /// The level of threads that the library gives, in MPI's word.
    pub fn threading(&self) -> &'static str {
        self.threading
    }

    /// The name of the machine that this process runs on.
    pub fn host(&self) -> &str {
        &self.host
    }

    fn call<R: Send + 'static>(&self, work: impl FnOnce(&Worlds) -> R + Send + 'static) -> Result<R> {
        let (answer, answered) = channel();
        self.ask(Task::Call(Box::new(move |worlds| {
            // Whoever asked may have gone.
            let _ = answer.send(work(worlds));
        })))?;
        match answered.recv() {
            Ok(answer) => Ok(answer),
            Err(_) => bail!("MPI has ended"),
        }
    }

    /// Where the thread of MPI takes tasks.
    fn tasks(&self) -> Result<Sender<Task>> {
        match &*lock(&self.tasks) {
            Some(tasks) => Ok(tasks.clone()),
            None => bail!("MPI has ended"),
        }
    }

    fn ask(&self, task: Task) -> Result<()> {
        match self.tasks()?.send(task) {
            Ok(()) => Ok(()),
            Err(_) => bail!("MPI has ended"),
        }
    }

    /// A call that sends so many values of four bytes.
    fn send<R: Send + 'static>(&self, values: usize, work: impl FnOnce(&Worlds) -> R + Send + 'static) -> Result<R> {
        let begin = Instant::now();
        let result = self.call(work);
        let mut traffic = lock(&self.traffic);
        traffic.bytes += 4 * values as u64;
        traffic.seconds += begin.elapsed().as_secs_f64();
        result
    }

    /// Ends MPI in a process that has nothing left to say, when the others have come to that too.
    pub fn finish(&self) {
        // Where MPI has ended already there is nothing to wait for.
        let _ = self.call(|worlds| have_all_come(&worlds.training, None));
        lock(&self.tasks).take();
        if let Some(thread) = lock(&self.thread).take() {
            // It has ended, one way or the other.
            let _ = thread.join();
        }
    }

    /// Whether all processes have failed, each of which calls this with its exit code: then the largest of these, and the
    /// first process that `knows_why`. Waits for the others, for some seconds.
    pub fn have_all_failed(&self, code: u8, knows_why: bool) -> Option<(u8, usize)> {
        let own = [i32::from(code), if knows_why { (self.size - self.rank) as i32 } else { 0 }];
        let found = self.call(move |worlds| {
            let mut most = own;
            have_all_come(&worlds.ending, Some(PATIENCE)).then(|| {
                worlds.ending.all_reduce_into(&own[..], &mut most[..], SystemOperation::max());
                most
            })
        });
        let [code, from_last] = found.ok()??;
        Some((code as u8, self.size.saturating_sub(from_last as usize)))
    }

    /// Ends all processes with this exit code, this one too.
    pub fn abort(&self, code: u8) {
        // It does not come back.
        let _ = self.call(move |worlds| worlds.training.abort(code.into()));
    }
}

impl Communicator for MpiProcesses {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn exchange(&self, parts: &[Vec<f32>], lengths: &[usize]) -> Result<Vec<Vec<f32>>> {
        let (given, sent) = (places(parts.iter().map(Vec::len))?, parts.concat());
        let (taken, mut got) = (places(lengths.iter().copied())?, vec![0f32; lengths.iter().sum()]);
        let got = self.send(sent.len() - parts[self.rank].len(), move |worlds| {
            let [counts, begins] = &given;
            let parts = Partition::new(&sent[..], &counts[..], &begins[..]);
            let [counts, begins] = &taken;
            let mut into = PartitionMut::new(&mut got[..], &counts[..], &begins[..]);
            worlds.training.all_to_all_varcount_into(&parts, &mut into);
            got
        })?;
        Ok(cut(&got, lengths))
    }

    fn scatter(&self, counts: &[usize], parts: &Parts) -> Result<Box<dyn Scatter>> {
        let [sent, _] = mpi_transfers::sent(self.rank, counts[self.rank], parts);
        self.ask(Task::Scatter { counts: counts.to_vec(), parts: parts.clone() })?;
        lock(&self.traffic).bytes += 4 * sent as u64;
        Ok(Box::new(MpiScatter::new(self.tasks()?, self.traffic.clone())))
    }

    fn share(&self, tensors: Vec<Tensor>, parts: &Parts) -> Result<()> {
        let ([_, sent], parts) = (mpi_transfers::sent(self.rank, 0, parts), parts.clone());
        self.send(sent, move |worlds| mpi_transfers::share(&worlds.training, &tensors, &parts))?
    }

    fn gather(&self, own: &[f32], lengths: &[usize]) -> Result<Vec<Vec<f32>>> {
        let (own, taken) = (own.to_vec(), places(lengths.iter().copied())?);
        let mut got = vec![0f32; lengths.iter().sum()];
        let got = self.send(own.len() * (self.size - 1), move |worlds| {
            let [counts, begins] = &taken;
            let mut into = PartitionMut::new(&mut got[..], &counts[..], &begins[..]);
            worlds.training.all_gather_varcount_into(&own[..], &mut into);
            got
        })?;
        Ok(cut(&got, lengths))
    }

    fn gather_text(&self, own: &str) -> Result<Vec<String>> {
        let (own, size) = (own.as_bytes().to_vec(), self.size);
        let texts = self.call(move |worlds| {
            let mut lengths = vec![0i32; size];
            worlds.training.all_gather_into(&[own.len() as i32][..], &mut lengths[..]);
            let mut begins = vec![0i32; size];
            (1..size).for_each(|rank| begins[rank] = begins[rank - 1] + lengths[rank - 1]);
            let mut got = vec![0u8; lengths.iter().sum::<i32>() as usize];
            let mut into = PartitionMut::new(&mut got[..], &lengths[..], &begins[..]);
            worlds.training.all_gather_varcount_into(&own[..], &mut into);
            cut(&got, &lengths.iter().map(|length| *length as usize).collect::<Vec<_>>())
        })?;
        Ok(texts.into_iter().map(|text| String::from_utf8_lossy(&text).into_owned()).collect())
    }

    fn max(&self, own: i32) -> Result<i32> {
        self.send(1, move |worlds| {
            have_all_come(&worlds.training, None);
            let mut most = own;
            worlds.training.all_reduce_into(&own, &mut most, SystemOperation::max());
            most
        })
    }

    fn traffic(&self) -> Traffic {
        *lock(&self.traffic)
    }
}

/// Counts and first places of parts of these lengths that lie one after another.
fn places(lengths: impl Iterator<Item = usize>) -> Result<[Vec<i32>; 2]> {
    let (mut counts, mut begins, mut end) = (Vec::new(), Vec::new(), 0i32);
    for length in lengths {
        let Ok(count) = i32::try_from(length) else { bail!("MPI counts to 2147483647 only; found {length} values") };
        counts.push(count);
        begins.push(end);
        let Some(next) = end.checked_add(count) else { bail!("MPI counts to 2147483647 only") };
        end = next;
    }
    Ok([counts, begins])
}

fn cut<T: Copy>(values: &[T], lengths: &[usize]) -> Vec<Vec<T>> {
    let mut rest = values;
    let part = |length: &usize| {
        let (part, others) = rest.split_at(*length);
        rest = others;
        part.to_vec()
    };
    lengths.iter().map(part).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
