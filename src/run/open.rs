//! A run about to train: a new one, or one to go on with. How one goes on is in [`crate::run::resume`].

use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;

use anyhow::{Context, bail};
use candle_core::Device;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::autograd::Precision;
use crate::checkpoint::Archive;
use crate::checkpoint::header::{CONFIG, DATA};
use crate::checkpoint::state::Tensors;
use crate::data::Dataset;
use crate::data::identity::Identity;
use crate::device;
use crate::distributed::{Alone, Communicator};
use crate::error::Error;
use crate::report::{Console, KeptRecords, Notice};
use crate::run::resume::resume;
use crate::run::saves;
use crate::run::{Places, Position, RunDirectory, RunOptions, Timetable};

/// A run about to train. Nothing on the disk is changed before [`crate::run::Session::begin`].
pub struct Run<C> {
    pub directory: RunDirectory,
    pub config: C,
    /// The checkpoint to go on from.
    pub(crate) checkpoint: Option<(Position, Archive)>,
    /// What the user should know about how it begins.
    pub notices: Vec<Notice>,
    /// The images that it trains on, once they are known.
    pub(crate) data: Option<Identity>,
    /// Whether they are deliberately others than those that it began with.
    pub has_changed_data: bool,
    /// Where its named data set lies, if that was said; the absolute path is kept. It is kept beside the configuration and is no part of it: no result
    /// depends on it.
    pub data_dir: Option<PathBuf>,
    /// Where the files lie that its configuration names.
    pub places: Places,
    /// The processes that train it. The first of them alone writes.
    pub processes: Arc<dyn Communicator>,
}

/// What `config.json` holds.
#[derive(Serialize)]
struct SavedConfig<'a, C> {
    #[serde(flatten)]
    config: &'a C,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<&'a str>,
    #[serde(skip_serializing_if = "Places::is_empty")]
    places: Places,
}

impl<C: Serialize + DeserializeOwned> Run<C> {
    /// The run that `--resume` names, else a new one, which has the name of `--run` or `default_name`. `typed` names the
    /// fields of `config` that the user set, which a resumed run checks against its own.
    ///
    /// # Errors
    /// As [`Run::new`] and [`resume`].
    pub fn open(config: C, default_name: &str, typed: &[String], options: &RunOptions) -> anyhow::Result<Self> {
        match &options.resume {
            Some(target) => resume(target, &config, typed, options),
            None => Self::new(config, options.run.as_deref().unwrap_or(default_name), options),
        }
    }
}

impl<C> Run<C> {
    /// A new run.
    ///
    /// # Errors
    /// As [`RunDirectory::create`], and [`Error::NothingToCompare`].
    pub fn new(config: C, name: &str, options: &RunOptions) -> anyhow::Result<Self> {
        if options.changed_data {
            bail!(Error::NothingToCompare);
        }
        let directory = RunDirectory::create(name, options.place(&options.weights_dir), options.force)?;
        Ok(Self { data_dir: options.data.data_dir.clone(), ..Self::of(directory, config) })
    }

    /// A run of one process, with nothing to go on from.
    pub(crate) fn of(directory: RunDirectory, config: C) -> Self {
        Self {
            directory,
            config,
            checkpoint: None,
            notices: Vec::new(),
            data: None,
            has_changed_data: false,
            data_dir: None,
            places: Places::default(),
            processes: Arc::new(Alone),
        }
    }

    /// Whether this process writes the run's files.
    pub fn is_written_here(&self) -> bool {
        self.processes.rank() == 0
    }

    /// The steps done.
    pub fn step(&self) -> u64 {
        self.checkpoint.as_ref().map_or(0, |(position, _)| position.step)
    }

    pub fn is_resumed(&self) -> bool {
        self.checkpoint.is_some()
    }

    /// The records of its log that stay, in the process that writes: those for which `keep` is true.
    ///
    /// # Errors
    /// As [`KeptRecords::read`].
    pub fn kept_records<R: DeserializeOwned>(&self, keep: impl Fn(&R) -> bool) -> anyhow::Result<KeptRecords> {
        let log = self.directory.found_metrics().filter(|_| self.is_written_here());
        log.map_or(Ok(KeptRecords::default()), |path| KeptRecords::read(&path, keep))
    }

    /// What the header of the checkpoint to go on from says under `key`; `None` where it says nothing.
    ///
    /// # Errors
    /// [`Error::Input`] where that is damaged.
    pub fn saved<T: DeserializeOwned>(&self, key: &str) -> anyhow::Result<Option<T>> {
        let Some((position, archive)) = &self.checkpoint else { return Ok(None) };
        let Some(text) = archive.metadata.get(key) else { return Ok(None) };
        let path = self.directory.checkpoint_path(position.step);
        let damaged = |error| Error::reading(&path, format!("its {key} is damaged: {error}"));
        Ok(Some(serde_json::from_str(text).map_err(damaged)?))
    }

    /// Takes note of what the run trains on: all of `dataset`, before anything is cut from it.
    ///
    /// # Errors
    /// [`Error::OtherImages`] where it is not what the run began with, unless `may_differ`.
    pub fn identify(&mut self, dataset: &Dataset, may_differ: bool, console: &Console) -> anyhow::Result<()> {
        let (mut found, name) = (Identity::of(dataset)?, &self.directory.name);
        let saved = self.saved::<Identity>(DATA)?;
        if saved.as_ref().is_some_and(|then| !then.is_same(&found) && then.wants_pixels_of(&found)) {
            console.note("the run knows its images by their pixels: all are decoded once, to compare");
            let images = dataset.train.len() + dataset.validation.len() + dataset.test.len();
            let progress = console.items("images", images as u64);
            found = Identity::of_pixels(dataset, &|done| progress.set(done))?;
        }
        match saved {
            Some(then) if then.is_same(&found) => found = then.with(&found),
            Some(then) => {
                let difference = then.difference(&found);
                if !may_differ {
                    bail!(Error::OtherImages { run: name.clone(), difference });
                }
                self.has_changed_data = true;
                let text = format!("going on with other images than the run began with; {difference}");
                self.notices.push(Notice::Warning(text));
            }
            None if self.is_resumed() => self.notices.push(Notice::Note(format!(
                "the checkpoint does not say which images the run {name} began with; from now on its checkpoints do"
            ))),
            _ => {}
        }
        self.data = Some(found);
        Ok(())
    }

    /// Refuses a run that has come further than to `last_step`, where that is known.
    pub fn refuse_past(&self, last_step: Option<u64>) -> anyhow::Result<()> {
        let step = self.step();
        if let Some(last_step) = last_step.filter(|last_step| step > *last_step) {
            bail!(Error::RunPastEnd { run: self.directory.name.clone(), step, last_step });
        }
        Ok(())
    }

    /// Refuses a precision that `device` has no arithmetic for, unless the run is finished. Where it is not known yet how
    /// long it is, a run that goes on may be.
    ///
    /// # Errors
    /// As [`device::check_precision`].
    pub fn check_precision(&self, precision: Precision, last_step: Option<u64>, device: &Device) -> anyhow::Result<()> {
        let may_be_finished = self.is_resumed() && last_step.is_none_or(|last_step| self.step() >= last_step);
        if may_be_finished { Ok(()) } else { device::check_precision(precision, device) }
    }

    /// Refuses a run that is past its end, or whose files cannot all lie on the disk. `state` is that of a checkpoint.
    ///
    /// # Errors
    /// [`Error::RunPastEnd`] and [`Error::NoSpace`].
    pub fn check(&self, timetable: &Timetable, state: &Tensors) -> anyhow::Result<()> {
        self.refuse_past(Some(timetable.last_step))?;
        saves::check(&self.directory, state, self.step(), timetable)
    }

    /// Refuses a part of a run, of a whole `timetable`, whose files cannot all lie on the disk.
    ///
    /// # Errors
    /// [`Error::NoSpace`].
    pub fn check_space(&self, timetable: &Timetable, state: &Tensors) -> anyhow::Result<()> {
        saves::check(&self.directory, state, 0, timetable)
    }

    /// Hands the tensors of the checkpoint to go on from, if there is one, to `load`, with the steps done; then drops them.
    ///
    /// # Errors
    /// Those of `load`, with the path.
    pub fn restore(&mut self, load: impl FnOnce(&Tensors, u64) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let Some((position, archive)) = &mut self.checkpoint else { return Ok(()) };
        let path = self.directory.checkpoint_path(position.step);
        let tensors = std::mem::take(&mut archive.tensors); // they may be large
        load(&tensors, position.step).with_context(|| path.display().to_string())
    }
}

impl<C: Serialize> Run<C> {
    /// Makes the run on the disk what `config` says, and takes it over: when nothing can be refused any more.
    ///
    /// # Errors
    /// As [`RunDirectory::begin`].
    pub(crate) fn begin(&mut self) -> anyhow::Result<()> {
        let data_dir = self.data_dir.as_deref().and_then(|directory| absolute(directory).ok());
        let data_dir = data_dir.as_deref().and_then(Path::to_str); // JSON has no other names
        let places = self.places.of(&serde_json::to_value(&self.config)?);
        let mut config = serde_json::to_vec_pretty(&SavedConfig { config: &self.config, data_dir, places })?;
        config.push(b'\n');
        self.directory.begin(&config)
    }

    /// Whether its configuration says another end than when the checkpoint to go on from was written.
    pub(crate) fn has_another_end(&self) -> anyhow::Result<bool> {
        const END: [&str; 3] = ["steps", "epochs", "patience"];
        let Some(then) = self.saved::<Value>(CONFIG)? else { return Ok(false) };
        let now = serde_json::to_value(&self.config)?;
        Ok(END.iter().any(|field| then.get(field) != now.get(field)))
    }

    /// Whether the checkpoint to go on from is the newest of the run's line and says what it would say if it were written
    /// now.
    pub(crate) fn is_as_saved(&self) -> anyhow::Result<bool> {
        let Some((_, archive)) = &self.checkpoint else { return Ok(false) };
        let has = |key: &str, text: String| archive.metadata.get(key) == Some(&text);
        let is_same =
            has(CONFIG, serde_json::to_string(&self.config)?) && has(DATA, serde_json::to_string(&self.data)?);
        Ok(is_same && self.directory.goes_on_in_place())
    }
}
