//! The directory of one run, `weights/NAME` and `samples/NAME`, and what runs there are.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use anyhow::bail;

use super::atomic;
use super::format::{self, Archive};
use crate::error::Failure;

const LOCK: &str = ".lock";
const CONFIG: &str = "config.json";
/// Set aside: a checkpoint that could not be read when a run went on from the one before it.
const DAMAGED: &str = ".damaged";
/// No checkpoint has been named yet.
const NONE: u64 = u64::MAX;

/// The directories of one run. While this lives no other process can open the run; a killed process leaves no lock.
#[derive(Debug)]
pub struct RunDirectory {
    pub name: String,
    /// `weights/NAME`
    pub weights: PathBuf,
    /// `samples/NAME`
    pub samples: PathBuf,
    /// The step that [`RunDirectory::checkpoint_path`] was last asked for.
    named: AtomicU64,
    _lock: File,
}

/// A run on disk.
#[derive(Clone, Debug)]
pub struct Run {
    pub name: String,
    /// `weights/NAME`
    pub weights: PathBuf,
    /// When its newest checkpoint or network was written.
    pub modified: SystemTime,
}

/// The newest checkpoint that could be read.
#[derive(Debug)]
pub struct Newest {
    pub step: u64,
    pub archive: Archive,
    /// A line for each newer checkpoint that could not be; for the user.
    pub notes: Vec<String>,
}

impl RunDirectory {
    /// A new run, locked. With `force` the files of the run that had the name before are removed, and no others.
    ///
    /// # Errors
    /// [`Failure::Usage`] where the name is none, holds a run and not `force`, or is in use by another process.
    /// [`Failure::Storage`] where the directories cannot be made.
    pub fn create(name: &str, weights_dir: &Path, samples_dir: &Path, force: bool) -> anyhow::Result<Self> {
        let run = Self::lock(name, weights_dir, samples_dir)?;
        if force {
            remove_where(&run.weights, is_run_file)?;
            remove_where(&run.samples, is_sample_file)?;
        } else {
            Self::refuse_taken(name, weights_dir)?;
        }
        Ok(run)
    }

    /// Refuses a name that holds a run, before anything is done for a new one.
    ///
    /// # Errors
    /// As [`RunDirectory::create`] without `force`.
    pub fn refuse_taken(name: &str, weights_dir: &Path) -> anyhow::Result<()> {
        check_name(name)?;
        let weights = weights_dir.join(name);
        if holds_run(&weights) {
            bail!(Failure::Usage(format!(
                "{}: the run exists: --resume {name} goes on with it, --force starts it anew, --run OTHER names another",
                weights.display()
            )));
        }
        Ok(())
    }

    /// A run that exists, locked.
    ///
    /// # Errors
    /// [`Failure::Input`] where there is none, with the runs that there are. [`Failure::Usage`] where another process
    /// has it. [`Failure::Storage`] where its directories are not writable.
    pub fn open(name: &str, weights_dir: &Path, samples_dir: &Path) -> anyhow::Result<Self> {
        check_name(name)?;
        if !holds_run(&weights_dir.join(name)) {
            let names: Vec<_> = runs(weights_dir).into_iter().map(|run| run.name).collect();
            let known = if names.is_empty() { "none yet".into() } else { names.join(", ") };
            bail!(Failure::Input(format!("{}: no run is there; runs: {known}", weights_dir.join(name).display())));
        }
        Self::lock(name, weights_dir, samples_dir)
    }

    fn lock(name: &str, weights_dir: &Path, samples_dir: &Path) -> anyhow::Result<Self> {
        check_name(name)?;
        let (weights, samples) = (weights_dir.join(name), samples_dir.join(name));
        create_directory(&weights)?;
        let lock = take_lock(&weights.join(LOCK), name)?;
        create_directory(&samples)?;
        atomic::sweep(&weights)?;
        atomic::sweep(&samples)?;
        Ok(Self { name: name.to_owned(), weights, samples, named: AtomicU64::new(NONE), _lock: lock })
    }

    /// Bytes of the files that [`RunDirectory::create`] removes of a run of that name when it is forced.
    pub fn reclaimable(name: &str, weights_dir: &Path) -> u64 {
        let weights = weights_dir.join(name);
        let names = file_names(&weights).unwrap_or_default().into_iter().filter(|name| is_run_file(name));
        names.filter_map(|name| fs::metadata(weights.join(name)).ok()).map(|found| found.len()).sum()
    }

    /// `weights/NAME/step-00000500.safetensors`
    pub fn checkpoint_path(&self, step: u64) -> PathBuf {
        self.named.store(step, Ordering::Relaxed);
        self.path_of(step)
    }

    /// `samples/NAME/step-00000250.png`
    pub fn sample_path(&self, step: u64) -> PathBuf {
        self.samples.join(format!("step-{step:08}.png"))
    }

    /// The steps of the checkpoints that are there, ascending.
    ///
    /// # Errors
    /// [`Failure::Input`] where the directory cannot be read.
    pub fn checkpoints(&self) -> anyhow::Result<Vec<u64>> {
        let mut steps: Vec<u64> = file_names(&self.weights)
            .map_err(|error| Failure::reading(&self.weights, error))?
            .iter()
            .filter_map(|name| step_of(name))
            .filter(|&step| self.path_of(step).is_file())
            .collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Deletes all but the newest `keep` checkpoints (at least one), never the one whose path was asked for last.
    ///
    /// # Errors
    /// [`Failure::Storage`] where one cannot be deleted.
    pub fn prune(&self, keep: usize) -> anyhow::Result<()> {
        let steps = self.checkpoints()?;
        let named = self.named.load(Ordering::Relaxed);
        for &step in steps.iter().rev().skip(keep.max(1)).filter(|&&step| step != named) {
            let path = self.path_of(step);
            fs::remove_file(&path).map_err(|error| Failure::writing(&path, error))?;
        }
        Ok(())
    }

    /// Deletes the checkpoints after `step`: a run that goes on from an earlier one writes them again.
    ///
    /// # Errors
    /// [`Failure::Storage`] where one cannot be deleted.
    pub fn forget_after(&self, step: u64) -> anyhow::Result<()> {
        for later in self.checkpoints()?.into_iter().filter(|&later| later > step) {
            let path = self.path_of(later);
            fs::remove_file(&path).map_err(|error| Failure::writing(&path, error))?;
        }
        Ok(())
    }

    /// The grids of the run, `samples/NAME/step-*.png`, oldest first.
    ///
    /// # Errors
    /// [`Failure::Input`] where the directory cannot be read.
    pub fn grids(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut names = file_names(&self.samples).map_err(|error| Failure::reading(&self.samples, error))?;
        names.retain(|name| name.starts_with("step-") && is_sample_file(name));
        names.sort_unstable();
        Ok(names.into_iter().map(|name| self.samples.join(name)).collect())
    }

    /// The newest checkpoint, or where that is damaged the one before it, and so on. Those that were passed over are
    /// renamed to `*.damaged`, so that [`RunDirectory::prune`] does not keep them in place of good ones.
    ///
    /// # Errors
    /// [`Failure::Input`] where there is none, or none can be read.
    pub fn newest_readable(&self) -> anyhow::Result<Newest> {
        let mut failures = Vec::new();
        for step in self.checkpoints()?.into_iter().rev() {
            match format::read(&self.path_of(step)) {
                Ok(archive) => {
                    let notes = failures.into_iter().map(|failure| self.pass_over(failure)).collect();
                    return Ok(Newest { step, archive, notes });
                }
                Err(error) => failures.push((step, error)),
            }
        }
        let Some((_, newest)) = failures.first() else {
            let path = self.weights.display();
            bail!(Failure::Input(format!(
                "{path}: the run stopped before its first checkpoint; --force starts it anew"
            )));
        };
        let (count, name) = (failures.len(), &self.name);
        bail!(Failure::Input(format!(
            "none of the {count} checkpoints of the run {name} can be read; of the newest:\n{newest}"
        )))
    }

    fn pass_over(&self, (step, error): (u64, anyhow::Error)) -> String {
        let path = self.path_of(step);
        let mut aside = path.clone().into_os_string();
        aside.push(DAMAGED);
        // Where this fails the checkpoint is passed over again next time.
        let _ = fs::rename(&path, aside);
        format!("{error}; going on from the checkpoint before it")
    }

    fn path_of(&self, step: u64) -> PathBuf {
        self.weights.join(format!("step-{step:08}.safetensors"))
    }
}

/// The runs under a weights directory, newest first; those without a checkpoint or a network are not among them.
pub fn runs(weights_dir: &Path) -> Vec<Run> {
    let mut runs: Vec<Run> = file_names(weights_dir)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|name| {
            let weights = weights_dir.join(&name);
            let modified = newest_weights(&weights)?;
            Some(Run { name, weights, modified })
        })
        .collect();
    runs.sort_by(|left, right| right.modified.cmp(&left.modified).then_with(|| left.name.cmp(&right.name)));
    runs
}

fn newest_weights(directory: &Path) -> Option<SystemTime> {
    let names = file_names(directory).ok()?;
    let weights = names.iter().filter(|name| step_of(name).is_some() || is_network(name));
    weights.filter_map(|name| fs::metadata(directory.join(name)).and_then(|found| found.modified()).ok()).max()
}

fn check_name(name: &str) -> anyhow::Result<()> {
    let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    if !plain {
        bail!(Failure::Usage(format!(
            "the run name {name:?} is none: expected a name without / and without a leading dot"
        )));
    }
    Ok(())
}

fn create_directory(path: &Path) -> anyhow::Result<()> {
    Ok(fs::create_dir_all(path).map_err(|error| Failure::writing(path, error))?)
}

/// Locks the run for this process. The system drops the lock when the process ends, however it ends, so the file may
/// stay; it holds the process id for whoever meets the lock.
fn take_lock(path: &Path, name: &str) -> anyhow::Result<File> {
    let failed = |error| Failure::writing(path, error);
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
    if !atomic::lock(&file).map_err(failed)? {
        let mut holder = String::new();
        let _ = (&mut file).take(20).read_to_string(&mut holder);
        let holder = holder.trim().parse::<u32>().map_or("another process".into(), |id| format!("process {id}"));
        bail!(Failure::Usage(format!(
            "the run {name} is in use by {holder}: wait for it, or --run OTHER names another"
        )));
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
    Ok(file)
}

fn file_names(directory: &Path) -> std::io::Result<Vec<String>> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Whether a run has written to `directory`; a network alone counts, since a new run would replace it.
fn holds_run(directory: &Path) -> bool {
    file_names(directory).unwrap_or_default().iter().any(|name| is_run_file(name) && !name.ends_with(DAMAGED))
}

fn remove_where(directory: &Path, condemned: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let names = file_names(directory).map_err(|error| Failure::writing(directory, error))?;
    for path in names.iter().filter(|name| condemned(name)).map(|name| directory.join(name)) {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => bail!(Failure::writing(&path, error)),
            _ => {}
        }
    }
    Ok(())
}

/// The step in `step-00000500.safetensors`.
fn step_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("step-")?.strip_suffix(".safetensors")?;
    (digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Whether `name` is what a run is for: a generator to draw from, an encoder to fine-tune.
fn is_network(name: &str) -> bool {
    matches!(name, "generator.safetensors" | "generator_ema.safetensors" | "encoder.safetensors")
}

/// What a run writes under weights/NAME.
fn is_run_file(name: &str) -> bool {
    const EXPORTS: [&str; 5] =
        ["discriminator.safetensors", "projection_head.safetensors", "classifier.safetensors", CONFIG, "metrics.jsonl"];
    let checkpoint = name.strip_suffix(DAMAGED).unwrap_or(name);
    let classifier = name.starts_with("classifier-") && name.ends_with(".safetensors");
    step_of(checkpoint).is_some() || is_network(name) || classifier || EXPORTS.contains(&name)
}

/// What a run writes under samples/NAME.
fn is_sample_file(name: &str) -> bool {
    let digits = name.strip_prefix("step-").and_then(|rest| rest.strip_suffix(".png"));
    let grid = digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
    // Those of a table have the row in their names: confusion.png, confusion-untrained-full.png.
    let of_row = |kind: &str| name.strip_prefix(kind).is_some_and(|rest| rest == ".png" || rest.starts_with('-'));
    grid || ["losses.png", "progress.gif", "views.png"].contains(&name) || of_row("confusion") || of_row("map")
}
