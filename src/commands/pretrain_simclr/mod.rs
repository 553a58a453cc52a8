//! Pretrains an encoder by SimCLR: the loop of `gan pretrain-simclr`, straight down.

mod files;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use candle_core::Device;

use crate::data::{self, Dataset, Images, Prefetcher, StepPlan, ViewBatch, ViewPlan, steps_per_epoch};
use crate::device::check_precision;
use crate::error::Failure;
use crate::metrics::embedding::{alignment, uniformity};
use crate::optim::Schedule;
use crate::pretrained::features::{Labelled, features, knn_top1};
use crate::report::{Console, Figure, RunLog, SimclrRecord, TrainingStatus};
use crate::run::header::{HEALTH, PENDING};
use crate::run::images;
use crate::run::life::{Run, RunOptions};
use crate::run::resume::resume;
use crate::run::saves::{self, Saves};
use crate::run::signals::StopRequest;
use crate::run::state::suspects;
use crate::train::collapse::{CollapseWatch, Vitals};
use crate::train::contrastive::{Contrastive, StepOutcome};
use crate::train::simclr_config::{KnnReference, SimclrConfig};

/// Trains, saves, draws; returns the directory of the weights. `typed` names the fields of `config` that the user set,
/// which a resumed run checks against its own. `json` streams every record of metrics.jsonl to stdout.
pub fn pretrain(
    config: SimclrConfig,
    typed: &[String],
    options: &RunOptions,
    device: &Device,
    json: bool,
    console: &Console,
) -> anyhow::Result<PathBuf> {
    config.validate()?;
    let mut run = match &options.resume {
        Some(target) => resume(target, &config, typed, options)?,
        None => {
            let name = options.run.clone().unwrap_or_else(|| config.encoder.name().into());
            Run::new(config, &name, options)?
        }
    };
    let config = &run.config;
    config.validate()?;
    check_precision(config.precision, device)?;
    // What can be refused without the images is: their download may take long.
    config.steps.map_or(Ok(()), |steps| run.refuse_past(steps))?;
    let dataset = images::open(&config.data, config.encoder.image_shape(), config.balanced_parts, options, console)?;
    run.identify(&dataset, options, console)?;
    let config = &run.config;
    let dataset = images::without_test_part(dataset, config.test_part, console)?;
    // Without labels there is no kNN accuracy, and nothing to hold out.
    let validates = config.watches_validation() && !dataset.train.labels.is_empty();
    let dataset = images::cut(dataset, config.train_images, validates, config.batch_size, console)?;
    let networks = Contrastive::new(config, device)?;
    let saves = Saves {
        first_step: run.step(),
        last_step: config.last_step(steps_per_epoch(dataset.train.len(), config.batch_size)),
        every: config.checkpoint_every,
        keep: config.keep,
    };
    run.refuse_past(saves.last_step)?;
    saves::check(&run.directory, &networks.state(), &saves)?;
    // Only now: a download has nothing to save, and ends at the first Ctrl-C.
    let stop = StopRequest::listen().context("cannot listen for signals")?;
    let mut training = Training::prepare(run, networks, dataset, device, console)?;
    if let Err(error) = training.run_steps(json, &stop) {
        // The reader of stdout has gone: that stops a run, as a signal does, and loses nothing.
        if let Some(Failure::ClosedPipe) = error.downcast_ref() {
            training.save()?;
        }
        return Err(error);
    }
    training.finish()?;
    Ok(training.run.directory.weights.clone())
}

/// A run in training.
pub(crate) struct Training<'a> {
    pub(crate) run: Run<SimclrConfig>,
    pub(crate) networks: Contrastive,
    views: Prefetcher<ViewBatch>,
    pub(crate) data_name: String,
    pub(crate) train: Arc<Images>,
    /// The images that the kNN accuracy is of.
    watched: Images,
    classes: usize,
    pub(crate) steps_per_epoch: u64,
    /// Steps done, and when to stop.
    pub(crate) step: u64,
    last_step: u64,
    schedule: Schedule,
    pub(crate) log: RunLog<SimclrRecord>,
    /// The record of the last step, which waits for its kNN accuracy.
    pub(crate) pending: Option<SimclrRecord>,
    pub(crate) watch: CollapseWatch,
    device: Device,
    pub(crate) console: &'a Console,
    began: Instant,
    seconds_before: f64,
    pub(crate) saved_step: Option<u64>,
}

impl<'a> Training<'a> {
    fn prepare(
        mut run: Run<SimclrConfig>,
        mut networks: Contrastive,
        dataset: Dataset,
        device: &Device,
        console: &'a Console,
    ) -> anyhow::Result<Self> {
        let config = &run.config;
        let Dataset { name: data_name, classes, train, validation, test, .. } = dataset;
        let watched = match config.knn_reference {
            KnnReference::Validation => validation,
            KnnReference::Test => test,
        };
        let train = Arc::new(train);
        let steps_per_epoch = steps_per_epoch(train.len(), config.batch_size);
        let last_step = config.last_step(steps_per_epoch);
        let history = run.saved(HEALTH)?.unwrap_or_default();
        // The record that the run was stopped over, if it was.
        let mut pending: Option<SimclrRecord> = run.saved(PENDING)?;
        let (mut step, mut seconds_before) = (0, 0.0);
        if let Some((position, archive)) = run.checkpoint.take() {
            (step, seconds_before) = (position.step, position.seconds);
            let path = run.directory.checkpoint_path(step);
            networks.restore(&archive.tensors, step).with_context(|| path.display().to_string())?;
            if let Some(record) = &mut pending {
                record.lr = config.schedule(last_step).rate(record.step); // to the bit, which a decimal need not be
            }
        }
        let config = &run.config;
        let plan = StepPlan::new(train.len(), config.batch_size, true, config.seed)?;
        let size = config.encoder.image_shape().height;
        let views = ViewPlan { views_per_image: 2, size, augmentation: config.augmentation() };
        let views = data::views(train.clone(), &plan, views, step, device)?;
        // Records after the checkpoint will be written again; one off the beat was the last of a shorter run.
        let (log_every, pending_step) = (config.log_every, pending.as_ref().map(|record| record.step));
        let measures = config.knn_every.saturating_mul(steps_per_epoch);
        let on_beat = |at: u64| {
            let measured = measures > 0 && (at + 1).is_multiple_of(measures);
            at.is_multiple_of(log_every) || measured || at + 1 == last_step
        };
        let kept = run.kept_records(|record: &SimclrRecord| {
            record.step < step && on_beat(record.step) && Some(record.step) != pending_step
        })?;
        let (watch, schedule) = (CollapseWatch::new(config.batch_size, history), config.schedule(last_step));
        run.begin()?;
        let log = RunLog::begin(&run.directory.metrics_path(), &kept)?;
        let config = &run.config;

        let span = if step == 0 { format!("{last_step} steps") } else { format!("steps {step} to {last_step}") };
        console.note(&format!(
            "pretraining {} on {data_name}: {} images, batch {}, {span}, {}, {} threads",
            config.encoder.name(),
            train.len(),
            config.batch_size,
            crate::device::name(device),
            rayon::current_num_threads(),
        ));
        console.detail(&format!("{steps_per_epoch} steps an epoch; run {}", run.directory.weights.display()));
        for note in &run.notes {
            console.warning(note);
        }
        Ok(Self {
            watch,
            schedule,
            networks,
            views,
            data_name,
            train,
            watched,
            classes: classes.len(),
            steps_per_epoch,
            step,
            last_step,
            log,
            pending,
            device: device.clone(),
            console,
            began: Instant::now(),
            seconds_before,
            saved_step: None,
            run,
        })
    }

    fn run_steps(&mut self, json: bool, stop: &StopRequest) -> anyhow::Result<()> {
        let first_step = self.step;
        let config = self.run.config.clone();
        if first_step == 0 {
            self.draw_views()?;
        }
        let mut progress = self.console.training(first_step, self.last_step);
        let (mut logged_at, mut logged_step) = (Instant::now(), first_step);
        let mut knn_top1 = None;
        loop {
            if let Some(mut record) = self.pending.take() {
                self.announce(record.images_per_second);
                record.knn_top1 = self.measure(stop)?;
                progress.show_again(self.step);
                if record.knn_top1.is_none() && stop.signal().is_some() {
                    self.pending = Some(record); // measured when the run goes on
                } else {
                    knn_top1 = record.knn_top1.or(knn_top1);
                    self.write(&record, json)?;
                }
            }
            if self.step > first_step && self.step.is_multiple_of(config.checkpoint_every) {
                self.save()?;
            }
            if let Some(signal) = stop.signal() {
                self.save()?;
                progress.finish();
                self.console
                    .note(&format!("stopped at step {}; go on with --resume {}", self.step, self.run.directory.name));
                bail!(Failure::Stopped(signal));
            }
            if self.step == self.last_step {
                progress.finish();
                return Ok(());
            }

            let views = self.views.next()?.views; // (2N, H, W, 3)
            let lr = self.schedule.rate(self.step);
            let outcome = self.networks.step(&views, lr)?;
            let step = self.step;
            // From here on the networks are those after this step, whatever stops the loop.
            self.step += 1;
            progress.tick(self.step);

            let measures = self.measures_after(self.step);
            if step.is_multiple_of(config.log_every) || measures || self.step == self.last_step {
                // The only place of the loop where the host waits for the device.
                let loss_known = outcome.loss.to_scalar::<f32>()?;
                let images = (self.step - logged_step) * config.batch_size as u64;
                let rate = images as f64 / logged_at.elapsed().as_secs_f64();
                (logged_at, logged_step) = (Instant::now(), self.step);
                let record = self.record(step, loss_known, &outcome, lr, rate)?;
                let mut figures = vec![Figure::Plain("loss", record.loss.into())];
                figures.extend(knn_top1.map(|accuracy| Figure::Percent("kNN", accuracy)));
                progress.report(&TrainingStatus {
                    step: self.step,
                    epoch: record.epoch + 1,
                    epochs: Some(self.last_step.div_ceil(self.steps_per_epoch)),
                    figures,
                    images_per_second: record.images_per_second,
                });
                match measures {
                    true => self.pending = Some(record),
                    false => self.write(&record, json)?,
                }
            }
        }
    }

    /// Fetches what is logged of a step, and looks whether the run is well.
    fn record(
        &mut self,
        step: u64,
        loss: f32,
        outcome: &StepOutcome,
        lr: f64,
        images_per_second: f64,
    ) -> anyhow::Result<SimclrRecord> {
        if !loss.is_finite() {
            let suspects = suspects(&self.networks.state())?;
            return Err(self.run.diverged(self.step, &format!("the loss is {loss}; {suspects}")));
        }
        let (left, right) = (&outcome.left, &outcome.right);
        let record = SimclrRecord {
            step,
            epoch: step / self.steps_per_epoch,
            seconds: self.seconds(),
            images_per_second,
            loss,
            lr,
            alignment: alignment(left, right)? as f32,
            uniformity: ((uniformity(left)? + uniformity(right)?) / 2.0) as f32,
            knn_top1: None,
        };
        // A step off the beat may be the last of a run that goes on: one that was never stopped does not see it.
        if !step.is_multiple_of(self.run.config.log_every) {
            return Ok(record);
        }
        if let Some((_, line)) = self.watch.observe(Vitals { loss, uniformity: record.uniformity }) {
            self.console.warning(&format!("step {step}: {line}"));
        }
        Ok(record)
    }

    fn write(&mut self, record: &SimclrRecord, json: bool) -> anyhow::Result<()> {
        let line = self.log.append(record)?;
        match json {
            true => self.console.data_line(&line),
            false => Ok(()),
        }
    }

    /// Whether the kNN accuracy is due when `steps` steps are done: every so many epochs and at the end.
    fn measures_after(&self, steps: u64) -> bool {
        let every = self.run.config.knn_every.saturating_mul(self.steps_per_epoch);
        let labelled = |images: &Images| !images.is_empty() && images.labels.len() == images.len();
        every > 0
            && (steps.is_multiple_of(every) || steps == self.last_step)
            && labelled(&self.train)
            && labelled(&self.watched)
    }

    /// Says before a measurement what it takes, where that is long.
    fn announce(&self, images_per_second: f64) {
        let images = self.train.len() + self.watched.len();
        // A step takes two views of an image forward and, for twice as long, backward; here it is one view forward.
        let seconds = images as f64 / (6.0 * images_per_second);
        let time = match seconds {
            120.0.. => format!("{:.0} minutes", seconds / 60.0),
            10.0.. => format!("{seconds:.0} s"),
            _ => return,
        };
        self.console.note(&format!("kNN: the features of {images} images, about {time}; --knn-every 0 leaves it out"));
    }

    /// The kNN accuracy of h on the watched images, asked of the training images; `None` where a signal came in between.
    fn measure(&self, stop: &StopRequest) -> anyhow::Result<Option<f64>> {
        let progress = self.console.items("kNN", (self.train.len() + self.watched.len()) as u64);
        let encoder = self.networks.frozen_encoder();
        let of = |images: &Images, before: usize| {
            features(encoder, images, &self.device, |done| {
                progress.set((before + done) as u64);
                stop.signal().is_none()
            })
        };
        let (Some(bank), Some(queries)) = (of(&self.train, 0)?, of(&self.watched, self.train.len())?) else {
            return Ok(None);
        };
        let bank = Labelled { features: &bank, labels: &self.train.labels };
        let queries = Labelled { features: &queries, labels: &self.watched.labels };
        Ok(knn_top1(bank, queries, self.classes, || stop.signal().is_none())?)
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.seconds_before + self.began.elapsed().as_secs_f64()
    }
}
