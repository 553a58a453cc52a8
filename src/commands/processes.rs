//! The processes that this one was started with.

mod apart;
mod cards;
mod launch;
mod local_rank;

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::bail;

use crate::commands::processors;
use crate::data::Shard;
use crate::distributed::{Alone, Communicator};
use crate::error::Error;
use launch::Launch;

/// Whether the first of several processes says what this one would: as far as the environment tells, before MPI is started.
pub fn is_follower() -> bool {
    matches!(Launch::detect(), Ok(Some(Launch { rank: 1.., .. })))
}

/// This process and those that it was started with.
pub struct Processes {
    communicator: Arc<dyn Communicator>,
    #[cfg(feature = "mpi")]
    mpi: Option<Arc<crate::distributed::MpiProcesses>>,
    #[cfg(feature = "nccl")]
    cards: std::sync::OnceLock<Arc<crate::distributed::NcclCards>>,
    /// How this one was started, where it could not join the others.
    apart: Option<Launch>,
    hosts: Vec<String>,
    /// What each of them may run on.
    processors: Vec<String>,
}

impl Processes {
    /// Joins the others where a launcher has started several; else there is one. In a build without MPI each is alone.
    ///
    /// # Errors
    /// [`Error::Usage`] where the launcher and MPI disagree, or where the environment is only half set.
    pub fn start() -> anyhow::Result<Self> {
        match Launch::detect()? {
            Some(launch) if launch.size > 1 => Self::join(launch),
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
            apart: None,
            hosts: Vec::new(),
            processors: Vec::new(),
        }
    }

    #[cfg(feature = "mpi")]
    fn join(Launch { size, launcher, .. }: Launch) -> anyhow::Result<Self> {
        let mpi = Arc::new(crate::distributed::MpiProcesses::start()?);
        if mpi.size() != size {
            bail!(Error::Usage(format!(
                "{launcher} has started {size} processes, of which MPI sees {}: start them with the mpirun of the MPI that \
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
            apart: None,
            hosts,
            processors,
        })
    }

    #[cfg(not(feature = "mpi"))]
    fn join(launch: Launch) -> anyhow::Result<Self> {
        Ok(Self { apart: Some(launch), ..Self::alone() })
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
            let (version, threading) = (mpi.version(), mpi.threading());
            return Some(format!(
                "{} processes on {on}, MPI {version} (thread support: {threading}){sums}",
                mpi.size()
            ));
        }
        None
    }

    /// Refuses processes that run different commands of the program; `command` is that of this one. To be called by all of
    /// them, before anything else that all call.
    ///
    /// # Errors
    /// [`Error::Usage`], the same for all.
    pub fn agree_on_command(&self, command: &str) -> anyhow::Result<()> {
        if self.communicator.size() == 1 {
            return Ok(());
        }
        let mut commands = self.communicator.gather_text(command)?;
        let mut seen = HashSet::new();
        commands.retain(|command| seen.insert(command.clone()));
        match commands.len() {
            1 => Ok(()),
            _ => bail!(Error::Usage(format!("the processes run different commands: {}", commands.join(", ")))),
        }
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
        // What processes say that train is no list; `finetune` without labels does not train.
        let lists =
            all.iter().map(|text| serde_json::from_str(text)).collect::<Result<Vec<Vec<(String, String)>>, _>>();
        let Ok(all) = lists else { bail!(Error::Input("some processes have labelled images, others have not".into())) };
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
