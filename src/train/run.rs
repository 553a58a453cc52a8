//! How a run begins: anew, forced, or resumed under its saved configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::state::{Tensors, first_non_finite, largest};
use crate::checkpoint::{self, Archive, RunDirectory};
use crate::error::Failure;

/// Flags that say where a run lies and how it begins, not what it computes.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "The run")]
pub struct RunOptions {
    /// Name of the run [default: the model's name]
    #[arg(long, value_name = "NAME", conflicts_with = "resume")]
    pub run: Option<String>,

    /// Go on with a run, from its newest checkpoint or from the one named
    #[arg(long, value_name = "NAME|CHECKPOINT", conflicts_with = "force")]
    pub resume: Option<String>,

    /// Begin anew where a run of that name exists; what it wrote is deleted
    #[arg(long)]
    pub force: bool,

    /// Where runs keep their weights
    #[arg(long, value_name = "DIR", default_value = "weights")]
    pub weights_dir: PathBuf,

    /// Where runs keep their pictures
    #[arg(long, value_name = "DIR", default_value = "samples")]
    pub samples_dir: PathBuf,

    /// Where named data sets lie, each in its own folder, or are downloaded to [default: the user's cache]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Where a run has come to: the header entry [`STATE`] of a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Steps done.
    pub step: u64,
    /// The epoch of the next step, and its batch within the epoch.
    pub epoch: u64,
    pub batch: u64,
    /// Seconds of training so far, over all its parts.
    pub seconds: f64,
    /// Where each random stream goes on: streams are counter-based, so an index is all their state.
    pub streams: BTreeMap<String, u64>,
}

/// The keys of the header entries of a checkpoint.
pub const STATE: &str = "gan.state";
pub const CONFIG: &str = "gan.config";

/// A text field of a saved configuration.
pub fn saved_text(config: &str, field: &str) -> Option<String> {
    let config: Value = serde_json::from_str(config).ok()?;
    config.get(field)?.as_str().map(str::to_string)
}

impl Position {
    /// After `step` steps and `seconds`; `streams` are the next indexes of the run's random streams by name.
    pub fn new(step: u64, steps_per_epoch: u64, seconds: f64, streams: &[(&str, u64)]) -> Self {
        let streams = streams.iter().map(|(name, index)| (name.to_string(), *index)).collect();
        Self { step, epoch: step / steps_per_epoch, batch: step % steps_per_epoch, seconds, streams }
    }

    /// Reads the position out of a checkpoint that came from `path`.
    pub fn of(archive: &Archive, path: &Path) -> anyhow::Result<Self> {
        let damaged = |what: String| {
            Failure::reading(path, format!("{what}; expected a checkpoint of a run (step-*.safetensors)"))
        };
        let text = archive.metadata.get(STATE).ok_or_else(|| damaged("its header has no gan.state".into()))?;
        Ok(serde_json::from_str(text).map_err(|error| damaged(format!("its gan.state is damaged: {error}")))?)
    }
}

/// A run about to train.
pub struct Run<C> {
    pub directory: RunDirectory,
    pub config: C,
    /// The checkpoint to go on from.
    pub checkpoint: Option<(Position, Archive)>,
    /// What the user should know about how it begins.
    pub notes: Vec<String>,
}

impl<C> Run<C> {
    /// The steps done, of a run that goes on from a checkpoint.
    pub fn step(&self) -> Option<u64> {
        self.checkpoint.as_ref().map(|(position, _)| position.step)
    }
}

impl<C: Serialize> Run<C> {
    /// Writes the checkpoint of `position`, with `notes` as further header entries, and the `networks` for use, each
    /// under its name, with the configuration in the header.
    pub fn save(
        &self,
        position: &Position,
        state: Tensors,
        notes: BTreeMap<String, String>,
        networks: Vec<(&str, Tensors)>,
    ) -> anyhow::Result<()> {
        let config = BTreeMap::from([(CONFIG.to_string(), serde_json::to_string(&self.config)?)]);
        let mut metadata = BTreeMap::from([(STATE.to_string(), serde_json::to_string(position)?)]);
        metadata.extend(config.clone());
        metadata.extend(notes);
        checkpoint::write(&self.directory.checkpoint_path(position.step), &Archive { tensors: state, metadata })?;
        for (name, tensors) in networks {
            let path = self.directory.weights.join(format!("{name}.safetensors"));
            checkpoint::write(&path, &Archive { tensors, metadata: config.clone() })?;
        }
        Ok(())
    }

    /// The error of a run that met a NaN or an infinity at `step`; names the last good checkpoint. Exit code 4.
    pub fn diverged(&self, step: u64, what: &str) -> anyhow::Error {
        let last_good = match self.directory.checkpoints().unwrap_or_default().last() {
            Some(&step) => {
                let path = self.directory.checkpoint_path(step);
                format!("the last good checkpoint is {}{}", path.display(), largest_in(&path).unwrap_or_default())
            }
            None => "no checkpoint had been written yet".into(),
        };
        let text = format!("training diverged at step {step}: {what}\n{last_good}\na lower --lr may help");
        Failure::Diverged(text).into()
    }
}

/// What in a checkpoint may be why training went wrong after it.
fn largest_in(path: &Path) -> Option<String> {
    let archive = checkpoint::read(path).ok()?;
    let (size, name) = largest(&archive.tensors).ok()??;
    Some(format!("; the largest weight in it is {size:.1e}, in {name}"))
}

/// Begins a run anew. Nothing is written before this, so that a run that cannot begin leaves no trace.
pub fn create<C: Serialize>(config: C, name: &str, options: &RunOptions) -> anyhow::Result<Run<C>> {
    let directory = RunDirectory::create(name, &options.weights_dir, &options.samples_dir, options.force)?;
    let run = Run { directory, config, checkpoint: None, notes: Vec::new() };
    save_config(&run)?;
    Ok(run)
}

/// Goes on with the run that `target` names. `typed` names the fields of `config` that the user set: the saved
/// configuration holds, `steps` or `epochs` may be raised, and any other field that contradicts it is refused.
pub fn resume<C>(target: &str, config: &C, typed: &[String], options: &RunOptions) -> anyhow::Result<Run<C>>
where
    C: Serialize + DeserializeOwned,
{
    let (name, weights_dir, chosen) = resume_target(target, options)?;
    let directory = RunDirectory::open(&name, &weights_dir, &options.samples_dir)?;
    let saved_path = directory.weights.join("config.json");
    let saved = std::fs::read(&saved_path).map_err(|error| Failure::reading(&saved_path, error))?;
    let saved: Value = serde_json::from_slice(&saved).map_err(|error| Failure::reading(&saved_path, error))?;
    let config_of = |value: Value| {
        serde_json::from_value::<C>(value)
            .map_err(|error| Failure::reading(&saved_path, format!("not the configuration of such a run: {error}")))
    };
    // By way of the struct: a field that came after the run has its default, which a flag may contradict too.
    let saved = serde_json::to_value(config_of(saved)?)?;
    let config = config_of(reconcile(saved, &serde_json::to_value(config)?, typed, &name)?)?;

    let mut notes = Vec::new();
    let checkpoint = match chosen {
        Some(path) => {
            let archive = checkpoint::read(&path)?;
            let position = Position::of(&archive, &path)?;
            refuse_non_finite(&archive, &path, &directory)?;
            directory.forget_after(position.step)?;
            Some((position, archive))
        }
        None if directory.checkpoints()?.is_empty() => {
            notes.push(format!("run {name} has no checkpoint yet: it begins at step 0"));
            None
        }
        None => {
            let newest = directory.newest_readable()?;
            notes.extend(newest.notes);
            let path = directory.checkpoint_path(newest.step);
            let position = Position::of(&newest.archive, &path)?;
            refuse_non_finite(&newest.archive, &path, &directory)?;
            Some((position, newest.archive))
        }
    };
    let run = Run { directory, config, checkpoint, notes };
    save_config(&run)?;
    Ok(run)
}

/// No checkpoint is written with a NaN in it: one that has some was changed, and training on it leads nowhere.
fn refuse_non_finite(archive: &Archive, path: &Path, directory: &RunDirectory) -> anyhow::Result<()> {
    let Some(name) = first_non_finite(&archive.tensors)? else { return Ok(()) };
    let this = path.file_name();
    let before = directory.checkpoints()?.into_iter().map(|step| directory.checkpoint_path(step));
    let advice = match before.take_while(|path| path.file_name() != this).last() {
        Some(path) => format!("the checkpoint before it goes on with --resume {}", path.display()),
        None => "there is no checkpoint before it; --force begins anew".into(),
    };
    bail!(Failure::Diverged(format!("{}: {name} holds a NaN or an infinity\n{advice}", path.display())))
}

fn save_config<C: Serialize>(run: &Run<C>) -> anyhow::Result<()> {
    let mut text = serde_json::to_vec_pretty(&run.config)?;
    text.push(b'\n');
    checkpoint::atomic::write(&run.directory.weights.join("config.json"), |out| out.write_all(&text))
}

/// A run's name and weights directory, and the checkpoint where one was named by its path.
fn resume_target(target: &str, options: &RunOptions) -> anyhow::Result<(String, PathBuf, Option<PathBuf>)> {
    let path = Path::new(target);
    if path.extension().is_none_or(|extension| extension != "safetensors") {
        return Ok((target.to_string(), options.weights_dir.clone(), None));
    }
    let path = path.canonicalize().map_err(|error| Failure::reading(path, error))?;
    let run = path.parent().context("a checkpoint lies in the directory of its run")?;
    match (run.file_name().and_then(|name| name.to_str()), run.parent()) {
        (Some(name), Some(weights_dir)) => Ok((name.to_string(), weights_dir.to_path_buf(), Some(path.clone()))),
        _ => bail!(Failure::Input(format!("{}: not in the directory of a run", path.display()))),
    }
}

fn reconcile(mut saved: Value, given: &Value, typed: &[String], name: &str) -> anyhow::Result<Value> {
    for field in typed {
        if field == "steps" || field == "epochs" {
            saved["steps"] = Value::Null;
            saved["epochs"] = Value::Null;
            saved[field] = given[field].clone();
        } else if saved.get(field).is_some() && saved[field] != given[field] {
            bail!(Failure::Usage(format!(
                "--{} {}: run {name} was begun with {}\na resumed run keeps its configuration; leave the flag out, or \
                 begin another run with --run",
                field.replace('_', "-"),
                given[field],
                saved[field],
            )));
        }
    }
    Ok(saved)
}
