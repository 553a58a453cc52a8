//! Says what an encoder has learnt: the loop of `gan finetune`, a row of its table after the other.

mod files;

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::checkpoint;
use crate::commands::finetune::files::write_embeddings;
use crate::commands::weights;
use crate::data::{Dataset, Images, StepPlan, steps_per_epoch};
use crate::device::check_precision;
use crate::error::Failure;
use crate::metrics::top_k;
use crate::models::Encoder;
use crate::pretrained::encoder::{self, EncoderSource};
use crate::pretrained::features::{Labelled, features, knn_top1};
use crate::report::{Console, Figure, ProbeRow, RunLog, TrainingStatus};
use crate::run::RunDirectory;
use crate::run::header::{ENCODER, ROWS};
use crate::run::images;
use crate::run::life::{Position, Run, RunOptions};
use crate::run::resume::resume;
use crate::run::saves::{self, Saves};
use crate::run::signals::StopRequest;
use crate::run::state::{Tensors, first_non_finite, suspects};
use crate::train::finetune_config::{EncoderKind, FinetuneConfig, Mode};
use crate::train::labels::missing_classes;
use crate::train::probe::{Probe, hash};
use crate::train::probe_batches::ProbeBatches;

/// The data set where neither a flag nor the encoder names one.
const DEFAULT_DATA: &str = "shapes";

/// Steps between two looks at the loss.
const LOG_EVERY: u64 = 10;

/// What a run has come to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct RowsDone {
    rows: Vec<ProbeRow>,
    /// Seconds that the row in training has taken so far.
    seconds: f64,
    /// The step of the whole table that the row in training begins with; older checkpoints do not say it.
    first_step: Option<u64>,
}

/// Trains every row, writes its files, and returns the rows. `typed` names the fields of `config` that the user set,
/// which a resumed run checks against its own. `json` streams every row to stdout as soon as it is known.
pub fn finetune(
    mut config: FinetuneConfig,
    typed: &[String],
    options: &RunOptions,
    device: &Device,
    json: bool,
    console: &Console,
) -> anyhow::Result<Vec<ProbeRow>> {
    config.validate()?;
    let resumed = options.resume.as_ref().map(|target| resume(target, &config, typed, options)).transpose()?;
    if let Some(run) = &resumed {
        config = run.config.clone();
        config.validate()?;
        let done = run.saved::<RowsDone>(ROWS)?.unwrap_or_default();
        // Another encoder, if one was named, is refused below.
        if done.rows.len() == config.rows().len() && !typed.iter().any(|field| field == "weights") {
            console.note(&format!("run {} is done; its table:", run.directory.name));
            print_rows(&done.rows, json, console)?;
            return Ok(done.rows);
        }
    }
    check_precision(config.precision, device)?;
    let source = weights::encoder(config.weights.as_deref(), config.encoder, &options.weights_dir)?;
    let hash = hash(&source.tensors)?;
    if let Some(run) = &resumed {
        refuse_another_encoder(run, &source, &hash, console)?;
    }
    let name = options.run.clone().unwrap_or_else(|| format!("{}-finetune", source.name));
    if resumed.is_none() && !options.force && config.embeddings.is_none() {
        RunDirectory::refuse_taken(&name, &options.weights_dir)?; // before a long download, not after
    }
    let of_run = source.path.parent().and_then(|run| run.canonicalize().ok());
    if options.force && of_run.is_some() && of_run == options.weights_dir.join(&name).canonicalize().ok() {
        bail!(Failure::Usage(format!(
            "--force: it would delete the encoder {}, which lies in the run {name}; name another run with --run",
            source.path.display()
        )));
    }
    if let Some(path) = &config.embeddings {
        checkpoint::atomic::check(path)?;
    }
    // What was found is part of the configuration: a resumed run must not take another.
    config.weights = Some(source.path.clone());
    let data = config.data.get_or_insert_with(|| source.data.clone().unwrap_or_else(|| DEFAULT_DATA.into())).clone();
    let dataset = images::open(&data, source.image_shape, config.balanced_parts, options, console)?;
    let trained = source.trained_on.as_ref().filter(|trained| trained.is(&data));
    // What the encoder's run held out, unless another part is asked for.
    let test_part = config.test_part.or(trained.and_then(|trained| trained.test_part(&dataset)));
    let dataset = images::with_test_part(dataset, test_part, true, console)?;
    if let Some(warning) = trained.and_then(|trained| trained.has_seen_tests(&source.name, &dataset)) {
        console.warning(&warning);
    }
    console.note(&source.description);
    // Only now: a download has nothing to save, and ends at the first Ctrl-C.
    let stop = StopRequest::listen().context("cannot listen for signals")?;
    if let (true, Some(path)) = (dataset.train.labels.is_empty(), &config.embeddings) {
        let parameters = source.parameters(device)?;
        let encoder = Encoder::new(source.architecture, parameters.frozen().pp("f"))?;
        write_embeddings(&encoder, &dataset.train, path, device, console, &stop)?;
        console.note(&format!("{} has no labels: nothing but {} was written", dataset.name, path.display()));
        return Ok(Vec::new());
    }
    let mut run = match resumed {
        Some(run) => Run { config, ..run },
        None => Run::new(config, &name, options)?,
    };
    run.identify(&dataset, options, console)?;
    let labelled = labelled_images(&run.config, &dataset)?;
    if let Some(missing) = missing_classes(&labelled.labels, &dataset.classes) {
        console.warning(&missing);
    }
    let mut tuning = Tuning::prepare(run, (source, hash), dataset, labelled, device, console)?;
    print_rows(&tuning.done.rows, json, console)?;
    tuning.run_rows(json, &stop)?;
    tuning.finish()
}

/// With `json` the rows that a resumed run has already.
fn print_rows(rows: &[ProbeRow], json: bool, console: &Console) -> anyhow::Result<()> {
    rows.iter().filter(|_| json).try_for_each(|row| console.data_line(&serde_json::to_string(row)?))
}

/// The rows that are done are of the encoder of this hash, and the others must be of the same.
fn refuse_another_encoder(
    run: &Run<FinetuneConfig>,
    source: &EncoderSource,
    hash: &str,
    console: &Console,
) -> anyhow::Result<()> {
    let (path, name) = (source.path.display(), &run.directory.name);
    match run.saved::<String>(ENCODER)? {
        Some(then) if then != hash => bail!(Failure::Input(format!(
            "{path}: not the encoder that the run {name} began with: sha256 {} then, {} now\nname the place of that one by \
             --weights, or begin anew with --force or --run OTHER",
            then.get(..12).unwrap_or(&then),
            &hash[..12]
        ))),
        None if run.checkpoint.is_some() => console.note(&format!(
            "the checkpoint does not say which encoder the run {name} began with; from now on its checkpoints do"
        )),
        _ => {}
    }
    Ok(())
}

/// The training images whose labels are used. [`Failure::Input`] where there are no labels, no test images, or too few.
fn labelled_images(config: &FinetuneConfig, dataset: &Dataset) -> anyhow::Result<Images> {
    let (name, classes) = (&dataset.name, dataset.classes.len());
    for (part, images) in [("training", &dataset.train), ("test", &dataset.test)] {
        if images.labels.is_empty() {
            bail!(Failure::Input(format!(
                "--data {name}: {part} images without classes, which finetune needs\nput the pictures in one folder a class, \
                 in train/ and test/ if they are divided; or write the features alone with --embeddings FILE.npy"
            )));
        }
        if let Some(label) = images.labels.iter().find(|label| **label as usize >= classes) {
            bail!(Failure::Input(format!(
                "--data {name}: a label {label} among the {part} images; expected 0 to {}",
                classes - 1
            )));
        }
    }
    let labelled = config.labels.choose(dataset, config.stratified)?;
    if labelled.len() < 2 && config.mode != Mode::Linear {
        bail!(Failure::Input(format!(
            "--labels {} of {name} are {} images: batch norm needs at least 2; raise --labels, or use --mode linear",
            config.labels,
            labelled.len()
        )));
    }
    Ok(labelled)
}

/// An encoder and a new classifier on it, for a row of the table.
fn probe(
    config: &FinetuneConfig,
    source: &EncoderSource,
    (encoder, full): (EncoderKind, bool),
    classes: usize,
    device: &Device,
) -> anyhow::Result<Probe> {
    let parameters = match encoder {
        EncoderKind::Pretrained => source.parameters(device)?,
        EncoderKind::Untrained => encoder::fresh(source.architecture, config.seed, device)?,
    };
    Ok(Probe::new(source.architecture, parameters, classes, config.seed, full, config.adam(), config.precision)?)
}

/// Whether the disk has room for the checkpoints of a row.
fn check_room(run: &Run<FinetuneConfig>, probe: &Probe, steps_a_row: u64) -> anyhow::Result<()> {
    let (every, keep) = (run.config.checkpoint_every, run.config.keep);
    saves::check(&run.directory, &probe.state(), &Saves { first_step: 0, last_step: steps_a_row, every, keep })
}

/// The table in the making.
pub(crate) struct Tuning<'a> {
    pub(crate) run: Run<FinetuneConfig>,
    source: EncoderSource,
    /// The SHA-256 of its tensors.
    hash: String,
    pub(crate) dataset: Dataset,
    labelled: Arc<Images>,
    /// `--batch-size`, or all of the labelled images where they are fewer.
    batch_size: usize,
    steps_a_row: u64,
    done: RowsDone,
    /// The row that training goes on with, from a step of it.
    next: Option<(Probe, u64)>,
    log: RunLog<ProbeRow>,
    pub(crate) device: Device,
    pub(crate) console: &'a Console,
}

/// What a row was measured by.
pub(crate) struct Measured {
    /// h of the test images, (N, D).
    pub(crate) features: Tensor,
    /// Scores of the test images, (N, C).
    pub(crate) scores: Tensor,
    knn: f64,
}

impl<'a> Tuning<'a> {
    fn prepare(
        mut run: Run<FinetuneConfig>,
        (source, hash): (EncoderSource, String),
        dataset: Dataset,
        labelled: Images,
        device: &Device,
        console: &'a Console,
    ) -> anyhow::Result<Self> {
        let config = &run.config;
        let batch_size = config.batch_size.min(labelled.len());
        let steps_a_row = config.epochs.saturating_mul(steps_per_epoch(labelled.len(), batch_size));
        let (mut done, mut stopped_at) = (RowsDone::default(), None);
        if let Some((position, archive)) = &run.checkpoint {
            let path = run.directory.checkpoint_path(position.step);
            let damaged = || Failure::reading(&path, format!("its {ROWS} is missing or damaged"));
            done = run.saved(ROWS)?.ok_or_else(damaged)?;
            let before = done.first_step.unwrap_or(steps_a_row.saturating_mul(done.rows.len() as u64));
            done.first_step = Some(before);
            let step = position.step.checked_sub(before).ok_or_else(damaged)?;
            if step > steps_a_row && !run.has_changed_data {
                bail!(damaged());
            }
            stopped_at = Some((step, archive.tensors.clone(), path));
        }
        let next = match run.config.rows().get(done.rows.len()) {
            None => None,
            Some(&row) => {
                let mut probe = probe(&run.config, &source, row, dataset.classes.len(), device)?;
                check_room(&run, &probe, steps_a_row)?;
                let mut step = 0;
                // Between two rows there is nothing to restore.
                if let Some((at, state, path)) = stopped_at.filter(|(_, state, _)| !state.is_empty()) {
                    step = at;
                    probe.restore(&state, step).with_context(|| path.display().to_string())?;
                }
                Some((probe, step))
            }
        };
        let batch = match config.batch_size - batch_size {
            0 => batch_size.to_string(),
            _ => format!("{batch_size} (all there are, for --batch-size {})", config.batch_size),
        };
        run.checkpoint = None; // it may be large
        let kept = run.kept_records(|row: &ProbeRow| done.rows.contains(row))?;
        run.begin()?;
        let log = RunLog::begin(&run.directory.metrics_path(), &kept)?;
        console.note(&format!(
            "{} labelled images of {}, batch {batch}, {} to test on, {} rows of {steps_a_row} steps, {}, {} threads",
            labelled.len(),
            dataset.name,
            dataset.test.len(),
            run.config.rows().len(),
            crate::device::name(device),
            rayon::current_num_threads(),
        ));
        for note in &run.notes {
            console.warning(note);
        }
        let (labelled, device) = (Arc::new(labelled), device.clone());
        Ok(Self { run, source, hash, dataset, labelled, batch_size, steps_a_row, done, next, log, device, console })
    }

    fn run_rows(&mut self, json: bool, stop: &StopRequest) -> anyhow::Result<()> {
        if let Some(path) = &self.run.config.embeddings {
            let parameters = self.source.parameters(&self.device)?;
            let encoder = Encoder::new(self.source.architecture, parameters.frozen().pp("f"))?;
            write_embeddings(&encoder, &self.dataset.test, path, &self.device, self.console, stop)?;
        }
        let rows = self.run.config.rows();
        for (encoder, full) in rows.into_iter().skip(self.done.rows.len()) {
            let row = self.run_row(encoder, full, stop)?;
            let line = self.log.append(&row)?;
            let first_step = Some(self.position(self.steps_a_row));
            self.done = RowsDone { rows: [self.done.rows.clone(), vec![row]].concat(), seconds: 0.0, first_step };
            // What was trained is in the files of the row.
            self.save(Tensors::new(), 0, 0.0)?;
            if json {
                self.console.data_line(&line)?;
            }
        }
        Ok(())
    }

    /// Trains and measures one row.
    fn run_row(&mut self, encoder: EncoderKind, full: bool, stop: &StopRequest) -> anyhow::Result<ProbeRow> {
        let config = self.run.config.clone();
        let began = Instant::now();
        let (mut probe, mut step) = match self.next.take() {
            Some(next) => next,
            None => {
                let classes = self.dataset.classes.len();
                let probe = probe(&config, &self.source, (encoder, full), classes, &self.device)?;
                check_room(&self.run, &probe, self.steps_a_row)?;
                (probe, 0)
            }
        };
        let hash = probe.encoder_hash()?;
        let mode = if full { "full" } else { "linear" };
        let what = format!("{} {mode}", encoder.name());
        let seconds_before = self.done.seconds;
        let seconds = || seconds_before + began.elapsed().as_secs_f64();

        let Some(mut batches) = self.batches(&probe, full, step, stop)? else {
            return Err(self.stopped(&probe, step, seconds(), stop)?);
        };
        let progress = self.console.training(step, self.steps_a_row);
        let (mut logged_at, mut logged_step) = (Instant::now(), step);
        while step < self.steps_a_row {
            if stop.signal().is_some() {
                progress.finish();
                return Err(self.stopped(&probe, step, seconds(), stop)?);
            }
            let loss = batches.train(&mut probe, step)?;
            step += 1;
            progress.tick(step);
            if step.is_multiple_of(LOG_EVERY) || step == self.steps_a_row {
                // The only place of the loop where the host waits for the device.
                let loss = loss.to_scalar::<f32>()?;
                if !loss.is_finite() {
                    let suspects = suspects(&probe.state())?;
                    let text = format!("{what}: the loss is {loss}; {suspects}");
                    return Err(self.run.diverged(self.position(step), &text));
                }
                let images = (step - logged_step) * self.batch_size as u64;
                progress.report(&TrainingStatus {
                    step,
                    epoch: (step - 1) / (self.steps_a_row / config.epochs) + 1,
                    epochs: Some(config.epochs),
                    figures: vec![Figure::Plain("loss", loss.into())],
                    images_per_second: images as f64 / logged_at.elapsed().as_secs_f64(),
                });
                (logged_at, logged_step) = (Instant::now(), step);
            }
            if step.is_multiple_of(config.checkpoint_every) {
                self.save(probe.state(), step, seconds())?;
            }
        }
        progress.finish();

        let Some(measured) = self.measure(&probe, stop)? else {
            return Err(self.stopped(&probe, step, seconds(), stop)?);
        };
        if !full && probe.encoder_hash()? != hash {
            bail!("the frozen encoder has changed while a linear layer was trained on it: this is a mistake in gan");
        }
        let labels = &self.dataset.test.labels;
        let row = ProbeRow {
            encoder: encoder.name().into(),
            mode: mode.into(),
            labels: self.labelled.len() as u64,
            top1: top_k(&measured.scores, labels, 1)?,
            top5: top_k(&measured.scores, labels, 5)?,
            knn: measured.knn,
            seconds: seconds(),
        };
        if !full {
            self.console.detail(&format!("{what}: the encoder is the same bytes as before, sha256 {hash}"));
        }
        self.write_row(&row, &probe, &measured)?;
        Ok(row)
    }

    /// What the row trains on from `step`; `None` where a signal came while features were computed.
    fn batches(
        &self,
        probe: &Probe,
        full: bool,
        step: u64,
        stop: &StopRequest,
    ) -> anyhow::Result<Option<ProbeBatches>> {
        let (config, labelled) = (&self.run.config, self.labelled.clone());
        let plan = StepPlan::new(labelled.len(), self.batch_size, true, config.seed)?;
        if !config.cached || full {
            let size = self.source.architecture.image_shape().height;
            return Ok(Some(ProbeBatches::views(labelled, &plan, size, step, &self.device)?));
        }
        let Some(features) = self.features(probe, &labelled, stop)? else { return Ok(None) };
        Ok(Some(ProbeBatches::features(labelled, &plan, features)))
    }

    /// h and scores of the test images, and the kNN accuracy asked of the labelled images; `None` where a signal came.
    fn measure(&self, probe: &Probe, stop: &StopRequest) -> anyhow::Result<Option<Measured>> {
        let Some(bank) = self.features(probe, &self.labelled, stop)? else { return Ok(None) };
        let Some(features) = self.features(probe, &self.dataset.test, stop)? else { return Ok(None) };
        let bank = Labelled { features: &bank, labels: &self.labelled.labels };
        let queries = Labelled { features: &features, labels: &self.dataset.test.labels };
        let classes = self.dataset.classes.len();
        let Some(knn) = knn_top1(bank, queries, classes, || stop.signal().is_none())? else { return Ok(None) };
        let scores = probe.classify(&features)?;
        Ok(Some(Measured { features, scores, knn }))
    }

    fn features(&self, probe: &Probe, images: &Images, stop: &StopRequest) -> anyhow::Result<Option<Tensor>> {
        let progress = self.console.items("features", images.len() as u64);
        Ok(features(probe.frozen_encoder(), images, &self.device, |done| {
            progress.set(done as u64);
            stop.signal().is_none()
        })?)
    }

    /// The step of the whole table that `step` of the row in training is.
    fn position(&self, step: u64) -> u64 {
        self.done.first_step.unwrap_or(0) + step
    }

    fn save(&mut self, state: Tensors, step: u64, seconds: f64) -> anyhow::Result<()> {
        if let Some(name) = first_non_finite(&state)? {
            return Err(self.run.diverged(self.position(step), &format!("{name} holds a NaN or an infinity")));
        }
        let steps_per_epoch = self.steps_a_row / self.run.config.epochs;
        let epoch = step / steps_per_epoch;
        let streams = [("shuffle", epoch), ("augment", epoch)];
        let position = Position::new(self.position(step), steps_per_epoch, seconds, &streams);
        let done = serde_json::to_string(&RowsDone { seconds, ..self.done.clone() })?;
        let notes = [(ROWS, done), (ENCODER, serde_json::to_string(&self.hash)?)];
        self.log.sync()?;
        let notes = notes.map(|(key, text)| (key.to_string(), text)).into();
        self.run.save(&position, state, notes, Vec::new())?;
        self.run.directory.prune(self.run.config.keep)
    }

    /// Saves, and gives the error that leaves.
    fn stopped(&mut self, probe: &Probe, step: u64, seconds: f64, stop: &StopRequest) -> anyhow::Result<anyhow::Error> {
        self.save(probe.state(), step, seconds)?;
        let (done, name) = (self.done.rows.len(), &self.run.directory.name);
        self.console.note(&format!("stopped in row {} at step {step}; go on with --resume {name}", done + 1));
        Ok(Failure::Stopped(stop.signal().unwrap_or_default()).into())
    }

    fn finish(self) -> anyhow::Result<Vec<ProbeRow>> {
        let directory = &self.run.directory;
        self.console.note(&format!("done: {} and {}", directory.weights.display(), directory.samples.display()));
        Ok(self.done.rows)
    }
}
