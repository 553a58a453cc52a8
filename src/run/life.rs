//! A run: how it begins, and what it saves. How one goes on is in [`crate::run::resume`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::bail;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RunDirectory;
use crate::checkpoint::{self, Archive};
use crate::data::Dataset;
use crate::data::identity::Identity;
use crate::error::Failure;
use crate::report::{Console, KeptRecords};
use crate::run::header::DATA;
pub use crate::run::header::{CONFIG, STATE};
use crate::run::state::{Tensors, largest};

/// Flags that say where a run lies and how it begins, not what it computes.
#[derive(Clone, Debug, clap::Args)]
pub struct RunOptions {
    /// Name of the run [default: the name of the model or encoder]
    #[arg(long, value_name = "NAME", conflicts_with = "resume")]
    pub run: Option<String>,

    /// Resume a run from its newest checkpoint, or from the given one
    #[arg(long, value_name = "NAME|DIR|CHECKPOINT", conflicts_with = "force")]
    pub resume: Option<String>,

    /// Replace the run of that name; its files are deleted
    #[arg(long)]
    pub force: bool,

    /// With --resume: continue although the images have changed since the run began
    #[arg(long)]
    pub changed_data: bool,

    /// Directory of the runs' weights and checkpoints
    #[arg(long, value_name = "DIR", default_value = "weights")]
    pub weights_dir: PathBuf,

    /// Directory of the runs' sample grids and plots
    #[arg(long, value_name = "DIR", default_value = "samples")]
    pub samples_dir: PathBuf,

    /// Directory of the named data sets, each in its own folder; missing ones are downloaded to it [default: the user's
    /// cache directory]
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

/// A run about to train. Nothing on the disk is changed before [`Run::begin`].
pub struct Run<C> {
    pub directory: RunDirectory,
    pub config: C,
    /// The checkpoint to go on from.
    pub checkpoint: Option<(Position, Archive)>,
    /// What the user should know about how it begins.
    pub notes: Vec<String>,
    /// The images that it trains on, once they are known.
    pub data: Option<Identity>,
    /// Whether they are deliberately others than those that it began with.
    pub has_changed_data: bool,
}

impl<C> Run<C> {
    /// A new run.
    ///
    /// # Errors
    /// [`Failure::Usage`] where the name is none or in use, or a flag is for runs that go on.
    pub fn new(config: C, name: &str, options: &RunOptions) -> anyhow::Result<Self> {
        if options.changed_data {
            bail!(Failure::Usage(
                "--changed-data: a new run has no images to compare with; it goes with --resume".into()
            ));
        }
        let directory = RunDirectory::create(name, &options.weights_dir, &options.samples_dir, options.force)?;
        Ok(Self { directory, config, checkpoint: None, notes: Vec::new(), data: None, has_changed_data: false })
    }

    /// The steps done.
    pub fn step(&self) -> u64 {
        self.checkpoint.as_ref().map_or(0, |(position, _)| position.step)
    }

    /// The records of its log that stay: those for which `keep` is true.
    ///
    /// # Errors
    /// As [`KeptRecords::read`].
    pub fn kept_records<R: DeserializeOwned>(&self, keep: impl Fn(&R) -> bool) -> anyhow::Result<KeptRecords> {
        self.directory.found_metrics().map_or(Ok(KeptRecords::default()), |path| KeptRecords::read(&path, keep))
    }

    /// What the header of the checkpoint to go on from says under `key`; `None` where it says nothing.
    ///
    /// # Errors
    /// [`Failure::Input`] where that is damaged.
    pub fn saved<T: DeserializeOwned>(&self, key: &str) -> anyhow::Result<Option<T>> {
        let Some((position, archive)) = &self.checkpoint else { return Ok(None) };
        let Some(text) = archive.metadata.get(key) else { return Ok(None) };
        let path = self.directory.checkpoint_path(position.step);
        let damaged = |error| Failure::reading(&path, format!("its {key} is damaged: {error}"));
        Ok(Some(serde_json::from_str(text).map_err(damaged)?))
    }

    /// Takes note of what the run trains on: all of `dataset`, before anything is cut from it.
    ///
    /// # Errors
    /// [`Failure::Input`] where it is not what the run began with, unless that is meant.
    pub fn identify(&mut self, dataset: &Dataset, options: &RunOptions, console: &Console) -> anyhow::Result<()> {
        let (found, name) = (Identity::of(dataset)?, &self.directory.name);
        match self.saved::<Identity>(DATA)? {
            Some(then) if then != found => {
                let difference = then.difference(&found);
                if !options.changed_data {
                    bail!(Failure::Input(format!(
                        "--data: these are not the images that the run {name} began with\n{difference}\nname the place of \
                         those by --data, or go on with these by --changed-data"
                    )));
                }
                self.has_changed_data = true;
                self.notes.push(format!("going on with other images than the run began with; {difference}"));
            }
            None if self.checkpoint.is_some() => console.note(&format!(
                "the checkpoint does not say which images the run {name} began with; from now on its checkpoints do"
            )),
            _ => {}
        }
        self.data = Some(found);
        Ok(())
    }

    /// Refuses a run that has come further than to `last_step`.
    pub fn refuse_past(&self, last_step: u64) -> anyhow::Result<()> {
        let step = self.step();
        if step > last_step {
            bail!(Failure::Usage(format!(
                "run {} has come to step {step}, past the {last_step} asked for; raise --steps or --epochs",
                self.directory.name
            )));
        }
        Ok(())
    }
}

impl<C: Serialize> Run<C> {
    /// Makes the run on the disk what `config` says, and takes it over: when nothing can be refused any more.
    ///
    /// # Errors
    /// As [`RunDirectory::begin`].
    pub fn begin(&mut self) -> anyhow::Result<()> {
        let mut config = serde_json::to_vec_pretty(&self.config)?;
        config.push(b'\n');
        self.directory.begin(&config)
    }

    /// Writes the checkpoint of `position`, with `notes` as further header entries, and the `networks` for use, each
    /// under its name, with the configuration in the header. With the first checkpoint, what the run abandons goes.
    pub fn save(
        &mut self,
        position: &Position,
        state: Tensors,
        notes: BTreeMap<String, String>,
        networks: Vec<(&str, Tensors)>,
    ) -> anyhow::Result<()> {
        let config = BTreeMap::from([(CONFIG.to_string(), serde_json::to_string(&self.config)?)]);
        let mut metadata = BTreeMap::from([(STATE.to_string(), serde_json::to_string(position)?)]);
        metadata.extend(config.clone());
        metadata.extend(self.directory.line_entry()?);
        if let Some(data) = &self.data {
            metadata.insert(DATA.into(), serde_json::to_string(data)?);
        }
        metadata.extend(notes);
        checkpoint::write(&self.directory.checkpoint_path(position.step), &Archive { tensors: state, metadata })?;
        self.directory.settle()?;
        for (name, tensors) in networks {
            let path = self.directory.weights.join(format!("{name}.safetensors"));
            checkpoint::write(&path, &Archive { tensors, metadata: config.clone() })?;
        }
        Ok(())
    }

    /// The error of a run that met a NaN or an infinity at `step`; names the last good checkpoint. Exit code 4.
    pub fn diverged(&self, step: u64, what: &str) -> anyhow::Error {
        let last_good = match self.directory.last_good() {
            Ok(Some(path)) => {
                format!("the last good checkpoint is {}{}", path.display(), largest_in(&path).unwrap_or_default())
            }
            _ => "no checkpoint had been written yet".into(),
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
