//! The directory of one run, `weights/NAME` and `samples/NAME`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::bail;

use super::line;

use crate::checkpoint::header::LINE;
use crate::checkpoint::saved_runs::{
    CONFIG_FILE, LOG_FILE, checkpoint_path, checkpoint_steps, file_names, grid_name, grid_step, holds_run, saved_runs,
};
use crate::error::Error;
use crate::run::line::Line;
use crate::run::lock::Lock;

/// No checkpoint has been named yet.
const NONE: u64 = u64::MAX;

/// Where runs lie.
#[derive(Clone, Copy, Debug)]
pub struct RunPlace<'a> {
    pub weights_dir: &'a Path,
    pub samples_dir: &'a Path,
    /// Whether this process writes a run that it opens, and locks it.
    pub is_locked: bool,
}

impl<'a> RunPlace<'a> {
    /// Of the process that writes.
    pub fn new(weights_dir: &'a Path, samples_dir: &'a Path) -> Self {
        Self { weights_dir, samples_dir, is_locked: true }
    }
}

/// The directories of one run. While this lives no other process can open the run; a killed process leaves no lock.
/// Nothing on the disk is changed before [`RunDirectory::begin`].
#[derive(Debug)]
pub struct RunDirectory {
    pub name: String,
    /// `weights/NAME`
    pub weights: PathBuf,
    /// `samples/NAME`
    pub samples: PathBuf,
    pub(crate) beginning: Beginning,
    pub(crate) has_begun: bool,
    /// Of the checkpoint that the run goes on from, and then of those that it writes.
    pub(crate) line: Line,
    /// Whether the checkpoint that the run goes on from has another name than those that it writes.
    pub(crate) is_from_copy: bool,
    /// Whether a line is still to write its first checkpoint, so that its files are staged.
    pub(crate) is_staging: bool,
    /// The steps of newer checkpoints that could not be read.
    pub(crate) damaged: Vec<u64>,
    /// The step that [`RunDirectory::checkpoint_path`] was last asked for.
    named: AtomicU64,
    pub(crate) lock: Lock,
}

/// How a run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    New,
    /// In the place of a run of the same name.
    Forced,
    /// After a step.
    Resumed(u64),
}

impl RunDirectory {
    /// A new run, locked where the name is in use. With `force` the files of the run that had the name before are
    /// removed when it begins, and no others.
    ///
    /// # Errors
    /// [`Error::Usage`] where the name is none, [`Error::RunExists`] where it holds a run and not `force`,
    /// [`Error::RunInUse`] where another process has it.
    pub fn create(name: &str, place: RunPlace, force: bool) -> anyhow::Result<Self> {
        if !force {
            Self::refuse_taken(name, place.weights_dir)?;
        }
        let beginning = if force { Beginning::Forced } else { Beginning::New };
        Self::lock(name, place, beginning)
    }

    /// Refuses a name that holds a run, before anything is done for a new one.
    ///
    /// # Errors
    /// As [`RunDirectory::create`] without `force`.
    pub fn refuse_taken(name: &str, weights_dir: &Path) -> anyhow::Result<()> {
        check_name(name)?;
        refuse_held(name, &weights_dir.join(name))
    }

    /// A run that exists, locked.
    ///
    /// # Errors
    /// [`Error::NoRun`] where there is none, [`Error::RunInUse`] where another process has it, [`Error::Storage`] where
    /// its lock is not writable.
    pub fn open(name: &str, place: RunPlace) -> anyhow::Result<Self> {
        check_name(name)?;
        let weights_dir = place.weights_dir;
        if !holds_run(&weights_dir.join(name)) {
            let known = saved_runs(weights_dir).into_iter().map(|run| run.name).collect();
            bail!(Error::NoRun { path: weights_dir.join(name), known });
        }
        Self::open_at(name, place)
    }

    /// The same where a checkpoint lies that was found by its path, whatever lies beside it.
    ///
    /// # Errors
    /// As [`RunDirectory::open`] where it is in use.
    pub fn open_at(name: &str, place: RunPlace) -> anyhow::Result<Self> {
        Self::lock(name, place, Beginning::Resumed(0))
    }

    fn lock(name: &str, place: RunPlace, beginning: Beginning) -> anyhow::Result<Self> {
        check_name(name)?;
        let weights = place.weights_dir.join(name);
        Ok(Self {
            name: name.to_owned(),
            samples: place.samples_dir.join(name),
            beginning,
            has_begun: false,
            line: Line::default(),
            is_from_copy: false,
            is_staging: false,
            damaged: Vec::new(),
            named: AtomicU64::new(NONE),
            lock: if place.is_locked { Lock::take(&weights, name)? } else { Lock::default() },
            weights,
        })
    }

    /// Whether the run begins with its first step.
    pub fn is_new(&self) -> bool {
        !matches!(self.beginning, Beginning::Resumed(_))
    }

    /// `weights/NAME/step-00000500.safetensors`
    pub fn checkpoint_path(&self, step: u64) -> PathBuf {
        self.named.store(step, Ordering::Relaxed);
        checkpoint_path(&self.weights, step)
    }

    /// Where to write the file `name` of `weights/NAME`.
    pub fn weights_path(&self, name: &str) -> PathBuf {
        self.place(&self.weights, name)
    }

    /// Where to write the picture `name` of `samples/NAME`.
    pub fn picture_path(&self, name: &str) -> PathBuf {
        self.place(&self.samples, name)
    }

    /// `samples/NAME/step-00000250.png`
    pub fn sample_path(&self, step: u64) -> PathBuf {
        self.picture_path(&grid_name(step))
    }

    fn place(&self, directory: &Path, name: &str) -> PathBuf {
        match self.is_staging {
            true => self.line.staged(directory, name),
            false => directory.join(name),
        }
    }

    /// Where the file `name` of `weights/NAME` is to be read, of the run as it was left.
    pub fn found(&self, name: &str) -> PathBuf {
        let staged = self.line.staged(&self.weights, name);
        match !self.is_staging && staged.exists() {
            true => staged, // its first checkpoint is there, and the process ended just after it
            false => self.weights.join(name),
        }
    }

    /// The saved configuration; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Input`] where it cannot be read.
    pub fn config(&self) -> anyhow::Result<Option<Vec<u8>>> {
        let path = self.found(CONFIG_FILE);
        match fs::read(&path) {
            Ok(config) => Ok(Some(config)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => bail!(Error::reading(&path, error)),
        }
    }

    /// Where the log is to be read, of the run as it was left; `None` for a new one.
    pub fn found_metrics(&self) -> Option<PathBuf> {
        (!self.is_new()).then(|| self.found(LOG_FILE))
    }

    /// Where to write the log.
    pub fn metrics_path(&self) -> PathBuf {
        self.weights_path(LOG_FILE)
    }

    /// The header entry that says which line the checkpoints are of, where the run has ever gone back.
    pub fn line_entry(&self) -> anyhow::Result<Option<(String, String)>> {
        let is_first = self.line.number == 0;
        Ok((!is_first).then(|| serde_json::to_string(&self.line)).transpose()?.map(|text| (LINE.into(), text)))
    }

    /// The steps of the checkpoints that are there, ascending.
    ///
    /// # Errors
    /// [`Error::Input`] where the directory cannot be read.
    pub fn checkpoints(&self) -> anyhow::Result<Vec<u64>> {
        Ok(checkpoint_steps(&self.weights).map_err(|error| Error::reading(&self.weights, error))?)
    }

    /// The newest checkpoint that leads up to what this run does now.
    ///
    /// # Errors
    /// As [`RunDirectory::checkpoints`].
    pub fn last_good(&self) -> anyhow::Result<Option<PathBuf>> {
        let newest_first = self.checkpoints()?.into_iter().rev();
        let mut paths = newest_first.map(|step| (step, checkpoint_path(&self.weights, step)));
        let is_ours =
            |(step, path): &(u64, PathBuf)| !self.is_staging || !self.line.abandons(&Line::of_file(path), *step);
        Ok(paths.find(is_ours).map(|(_, path)| path))
    }

    /// Deletes all but the newest `keep` checkpoints (at least one), never the one whose path was asked for last.
    ///
    /// # Errors
    /// [`Error::Storage`] where one cannot be deleted.
    pub fn prune(&self, keep: usize) -> anyhow::Result<()> {
        let steps = self.checkpoints()?;
        let named = self.named.load(Ordering::Relaxed);
        let old = steps.iter().rev().skip(keep.max(1)).filter(|&&step| step != named);
        old.map(|&step| checkpoint_path(&self.weights, step)).try_for_each(|path| line::remove(&path))
    }

    /// The grids of the run, `samples/NAME/step-*.png`, oldest first.
    ///
    /// # Errors
    /// [`Error::Input`] where the directory cannot be read.
    pub fn grids(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut names = file_names(&self.samples).map_err(|error| Error::reading(&self.samples, error))?;
        names.retain(|name| grid_step(name).is_some());
        names.sort_unstable();
        Ok(names.into_iter().map(|name| self.samples.join(name)).collect())
    }
}

fn check_name(name: &str) -> anyhow::Result<()> {
    let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    if !plain {
        bail!(Error::Usage(format!(
            "the run name {name:?} is none: expected a name without / and without a leading dot"
        )));
    }
    Ok(())
}

pub(crate) fn refuse_held(name: &str, weights: &Path) -> anyhow::Result<()> {
    if holds_run(weights) {
        bail!(Error::RunExists { run: name.into(), path: weights.into() });
    }
    Ok(())
}
