//! The processes that this one was started with.

mod cards;
mod local_rank;

use std::sync::Arc;

use anyhow::bail;

use crate::commands::processors;
use crate::data::Shard;
use crate::distributed::{Alone, Communicator};
use crate::error::Error;

/// What a launcher sets in the environment of each process: which one it is, how many there are, and who sets it.
const LAUNCHERS: [(&str, &str, &str); 3] = [
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "mpirun"),
    ("PMI_RANK", "PMI_SIZE", "mpirun or srun"),
    // Those of a job script are named otherwise: it is one process, whatever the job asks for.
    ("SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS", "srun"),
];

/// Where launchers say which of the processes this one is.
const RANKS: [&str; 3] = ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"];

/// Whether the first of several processes says what this one would: as far as the environment tells, before MPI is started.
pub fn is_follower() -> bool {
    let rank = RANKS.iter().find_map(|name| std::env::var(name).ok());
    rank.is_some_and(|rank| rank != "0") && matches!(launched(), Ok(Some((2.., _))))
}

/// This process and those that it was started with.
pub struct Processes {
    communicator: Arc<dyn Communicator>,
    #[cfg(feature = "mpi")]
    mpi: Option<Arc<crate::distributed::MpiProcesses>>,
    #[cfg(feature = "nccl")]
    cards: std::sync::OnceLock<Arc<crate::distributed::NcclCards>>,
    hosts: Vec<String>,
    /// What each of them may run on.
    processors: Vec<String>,
}

impl Processes {
    /// Joins the others where a launcher has started several; else there is one.
    ///
    /// # Errors
    /// [`Error::Usage`] where the launcher and MPI disagree, or where the environment is only half set.
    pub fn start() -> anyhow::Result<Self> {
        match launched()? {
            Some((count, launcher)) if count > 1 => Self::join(count, launcher),
            _ => Ok(Self::alone()),
        }
    }

    fn alone() -> Self {
        Self {
            communicator: Arc::new(Alone),
            #[cfg(feature = "mpi")]
            mpi: None,
            #[cfg(feature = "nccl")]
            cards: Default::default(),
            hosts: Vec::new(),
            processors: Vec::new(),
        }
    }

    #[cfg(feature = "mpi")]
    fn join(count: usize, launcher: &str) -> anyhow::Result<Self> {
        let mpi = Arc::new(crate::distributed::MpiProcesses::start()?);
        if mpi.size() != count {
            bail!(Error::Usage(format!(
                "{launcher} has started {count} processes, of which MPI sees {}: start them with the mpirun of the MPI that \
                 this binary was built with, or with `srun --mpi=pmix` or `srun --mpi=pmi2`",
                mpi.size()
            )));
        }
        let (hosts, processors) = (mpi.gather_text(mpi.host())?, mpi.gather_text(&processors::allowed())?);
        Ok(Self {
            communicator: mpi.clone(),
            mpi: Some(mpi),
            #[cfg(feature = "nccl")]
            cards: Default::default(),
            hosts,
            processors,
        })
    }

    #[cfg(not(feature = "mpi"))]
    fn join(count: usize, launcher: &str) -> anyhow::Result<Self> {
        bail!(Error::Usage(format!(
            "{launcher} has started {count} processes, and this binary was built without mpi\nbuild it with `cargo build \
             --release --features mpi`, or start one process"
        )))
    }

    pub fn communicator(&self) -> &Arc<dyn Communicator> {
        &self.communicator
    }

    /// The part of each batch that is this process's.
    pub fn part(&self) -> Shard {
        Shard { rank: self.communicator.rank(), world: self.communicator.size() }
    }

    /// How many of them are on this host.
    pub fn on_this_host(&self) -> usize {
        let own = self.hosts.get(self.communicator.rank());
        self.hosts.iter().filter(|host| Some(*host) == own).count().max(1)
    }

    /// How many threads are this process's share of its host; `None` where it has the host for itself.
    pub fn threads(&self) -> Option<usize> {
        let rank = self.communicator.rank();
        let here: Vec<usize> = (0..self.hosts.len()).filter(|other| self.hosts[*other] == self.hosts[rank]).collect();
        let lists: Vec<String> = here.iter().map(|other| self.processors[*other].clone()).collect();
        let own = here.iter().position(|other| *other == rank)?;
        (lists.len() > 1).then(|| processors::share(own, &lists))
    }

    /// What the start of a run says of them; `None` of one process alone.
    pub fn words(&self) -> Option<String> {
        #[cfg(feature = "mpi")]
        if let Some(mpi) = &self.mpi {
            let mut hosts = self.hosts.clone();
            hosts.sort();
            hosts.dedup();
            let on = if let [host] = &hosts[..] { host.clone() } else { format!("{} hosts", hosts.len()) };
            let sums = if self.sums_on_cards() { ", sums by NCCL" } else { "" };
            return Some(format!("{} processes on {on}, MPI threads {}{sums}", mpi.size(), mpi.threading()));
        }
        None
    }

    /// Refuses processes that would not do what the first one does. `facts` are what all must have in common, with their
    /// names. To be called by all of them, before they share any work.
    ///
    /// # Errors
    /// [`Error::Usage`] with the first such process; the same for all.
    pub fn agree(&self, facts: impl FnOnce() -> anyhow::Result<Vec<(&'static str, String)>>) -> anyhow::Result<()> {
        if self.communicator.size() == 1 {
            return Ok(());
        }
        let mut own = facts()?;
        own.push(("version", env!("CARGO_PKG_VERSION").to_string()));
        let all = self.communicator.gather_text(&serde_json::to_string(&own)?)?;
        // What processes say that train is no list.
        let lists =
            all.iter().map(|text| serde_json::from_str(text)).collect::<Result<Vec<Vec<(String, String)>>, _>>();
        let Ok(all) = lists else { bail!(Error::Usage("the processes have different commands".into())) };
        for (rank, other) in all.iter().enumerate() {
            if let Some(((name, _), _)) = all[0].iter().zip(other).find(|(first, other)| first != other) {
                bail!(Error::Usage(format!("process {rank} was started with another {name} than process 0")));
            }
        }
        Ok(())
    }

    /// Leaves MPI. To be called by every process that has done its work.
    pub fn finish(&self) {
        #[cfg(feature = "nccl")]
        self.finish_cards();
        #[cfg(feature = "mpi")]
        self.mpi.iter().for_each(|mpi| mpi.finish());
    }

    /// Ends a process that has failed, and returns its exit code. Where all have failed, as with wrong flags, the first that
    /// `knows_why` says so, and the code is the same in all; where this one has failed alone, it says why and ends the others.
    pub fn fail(&self, code: u8, knows_why: bool, say: impl FnOnce(Option<&str>)) -> u8 {
        #[cfg(feature = "mpi")]
        if let Some(mpi) = &self.mpi {
            let who = format!("process {} of {} on {}", mpi.rank(), mpi.size(), mpi.host());
            let Some((code, speaker)) = mpi.have_all_failed(code, knows_why) else {
                say(Some(&who));
                mpi.abort(code);
                return code;
            };
            if mpi.rank() == speaker {
                say(Some(&who).filter(|_| speaker > 0).map(String::as_str));
            }
            mpi.finish();
            return code;
        }
        let _ = knows_why;
        say(None);
        code
    }
}

/// How many processes a launcher has started, and which launcher.
fn launched() -> anyhow::Result<Option<(usize, &'static str)>> {
    for (rank, size, launcher) in LAUNCHERS {
        match [rank, size].map(|name| std::env::var(name).ok()) {
            [None, None] => {}
            [Some(_), Some(count)] => match count.parse() {
                Ok(count @ 1..) => return Ok(Some((count, launcher))),
                _ => bail!(Error::Usage(format!("{size}={count} in the environment is not a number of processes"))),
            },
            [of_rank, _] => {
                let (set, missing) = if of_rank.is_some() { (rank, size) } else { (size, rank) };
                bail!(Error::Usage(format!(
                    "the environment sets {set} but not {missing}\nstart several processes with \
                     `mpirun -n 4 gan ...` or `srun -n 4 --mpi=pmix gan ...`; unset {set} to start one"
                )))
            }
        }
    }
    Ok(None)
}
