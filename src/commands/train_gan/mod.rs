//! Trains a GAN: the loop of `gan train-gan`, straight down.

mod files;
mod scores;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use candle_core::{Device, Tensor};

use crate::data::{self, Prefetcher, StepPlan, steps_per_epoch};
use crate::device::check_precision;
use crate::error::Failure;
use crate::evaluator::Judge;
use crate::optim::Schedule;
use crate::report::{Console, Figure, GanRecord, RunLog, TrainingStatus};
use crate::run::header::{HEALTH, PENDING};
use crate::run::images;
use crate::run::life::{Run, RunOptions};
use crate::run::resume::resume;
use crate::run::saves::{self, Saves};
use crate::run::signals::StopRequest;
use crate::run::state::suspects;
use crate::train::adversaries::{Adversaries, StepInputs, StepOutcome};
use crate::train::gan_config::GanConfig;
use crate::train::health::{self, HealthWatch, Vitals, variety};

/// Trains, saves, draws; returns the directory of the weights. `typed` names the fields of `config` that the user set,
/// which a resumed run checks against its own. `json` streams every record of metrics.jsonl to stdout.
pub fn train(
    config: GanConfig,
    typed: &[String],
    options: &RunOptions,
    device: &Device,
    json: bool,
    console: &Console,
) -> anyhow::Result<PathBuf> {
    let config = config.recipe.resolve(config.clone(), typed);
    let mut run = match &options.resume {
        Some(target) => resume(target, &config, typed, options)?,
        None => {
            let name = options.run.clone().unwrap_or_else(|| config.model.name().into());
            Run::new(config, &name, options)?
        }
    };
    let config = &run.config;
    config.validate()?;
    check_precision(config.precision, device)?;
    // What can be refused without the images is: their download may take long.
    config.steps.map_or(Ok(()), |steps| run.refuse_past(steps))?;
    let classifier = scores::classifier(config, device)?;
    let dataset = images::open(&config.data, config.model.image_shape(), config.balanced_parts, options, console)?;
    run.identify(&dataset, options, console)?;
    let config = &run.config;
    let dataset = match config.test_part {
        Some(_) => images::with_test_part(dataset, config.test_part, false, console)?,
        None => dataset,
    };
    let judge = scores::judge(config, classifier, &dataset, device, console)?;
    let dataset = images::cut(dataset, config.train_images, config.watches_validation(), config.batch_size, console)?;
    let adversaries = Adversaries::new(config, device)?;
    let saves = Saves {
        first_step: run.step(),
        last_step: config.last_step(steps_per_epoch(dataset.train.len(), config.batch_size)),
        every: config.checkpoint_every,
        keep: config.keep,
    };
    run.refuse_past(saves.last_step)?;
    saves::check(&run.directory, &adversaries.state(), &saves)?;
    // Only now: a download has nothing to save, and ends at the first Ctrl-C.
    let stop = StopRequest::listen().context("cannot listen for signals")?;
    let images = Arc::new(dataset.train);
    let mut training = Training::prepare(run, adversaries, &dataset.name, images, judge, device, console)?;
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
    pub(crate) run: Run<GanConfig>,
    pub(crate) adversaries: Adversaries,
    pub(crate) batches: Prefetcher<Tensor>,
    latents: Prefetcher<[Tensor; 2]>,
    draws: Option<Prefetcher<Tensor>>,
    schedule: Schedule,
    pub(crate) data_name: String,
    pub(crate) steps_per_epoch: u64,
    /// Steps done, and when to stop.
    pub(crate) step: u64,
    pub(crate) last_step: u64,
    pub(crate) log: RunLog<GanRecord>,
    /// What evaluates the generator, if anything does.
    pub(crate) judge: Option<Judge>,
    /// The record of the last step, which waits for its scores.
    pub(crate) pending: Option<GanRecord>,
    pub(crate) health: HealthWatch,
    pub(crate) device: Device,
    pub(crate) console: &'a Console,
    pub(crate) began: Instant,
    pub(crate) seconds_before: f64,
    pub(crate) saved_step: Option<u64>,
}

impl<'a> Training<'a> {
    fn prepare(
        mut run: Run<GanConfig>,
        mut adversaries: Adversaries,
        data_name: &str,
        images: Arc<data::Images>,
        judge: Option<Judge>,
        device: &Device,
        console: &'a Console,
    ) -> anyhow::Result<Self> {
        let config = &run.config;
        let steps_per_epoch = steps_per_epoch(images.len(), config.batch_size);
        let last_step = config.last_step(steps_per_epoch);
        let history = match run.checkpoint {
            Some(_) => run.saved(HEALTH)?.unwrap_or_else(health::History::unknown),
            None => health::History::default(),
        };
        // The record that the run was stopped over, if it was.
        let pending: Option<GanRecord> = run.saved(PENDING)?;
        let (mut step, mut seconds_before) = (0, 0.0);
        if let Some((position, archive)) = run.checkpoint.take() {
            (step, seconds_before) = (position.step, position.seconds);
            let path = run.directory.checkpoint_path(step);
            adversaries.restore(&archive.tensors, step).with_context(|| path.display().to_string())?;
        }
        let config = &run.config;
        let plan = StepPlan::new(images.len(), config.batch_size, !config.no_shuffle, config.seed)?;
        let batches = data::batches(images.clone(), &plan, step, device)?;
        let latents = data::latents(&plan, config.latent_dim, step, device)?;
        let draws = match config.diffaugment.is_on() {
            true => Some(config.diffaugment.draws(&plan, images.shape(), step, device)?),
            false => None,
        };
        // Records after the checkpoint will be written again; one off the beat was the last of a shorter run.
        let (log_every, evaluate_every) = (config.log_every, config.evaluate_every);
        let pending_step = pending.as_ref().map(|record| record.step);
        let on_beat = |at: u64| {
            let evaluated = evaluate_every > 0 && (at + 1).is_multiple_of(evaluate_every);
            at.is_multiple_of(log_every) || evaluated || at + 1 == last_step
        };
        let kept = run.kept_records(|record: &GanRecord| {
            record.step < step && on_beat(record.step) && Some(record.step) != pending_step
        })?;
        let (health, schedule) =
            (HealthWatch::new(config.loss(), config.label_smoothing, history), config.schedule(last_step));
        run.begin()?;
        let log = RunLog::begin(&run.directory.metrics_path(), &kept)?;
        let config = &run.config;

        let span = if step == 0 { format!("{last_step} steps") } else { format!("steps {step} to {last_step}") };
        console.note(&format!(
            "training {} on {data_name}: {} images, batch {}, loss {}, {span}, {}, {} threads",
            config.model.name(),
            images.len(),
            config.batch_size,
            format!("{:?}", config.loss()).to_lowercase(),
            crate::device::name(device),
            rayon::current_num_threads(),
        ));
        console.detail(&format!("{steps_per_epoch} steps an epoch; run {}", run.directory.weights.display()));
        console.detail(&format!("recipe {}", config.recipe_text()));
        for note in &run.notes {
            console.warning(note);
        }
        Ok(Self {
            health,
            adversaries,
            batches,
            latents,
            draws,
            schedule,
            data_name: data_name.to_string(),
            steps_per_epoch,
            step,
            last_step,
            log,
            judge,
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
        let mut progress = self.console.training(first_step, self.last_step);
        let (mut logged_at, mut logged_step) = (Instant::now(), first_step);
        loop {
            if let Some(mut record) = self.pending.take() {
                record.scores = self.evaluate(stop)?;
                progress.show_again(self.step);
                match record.scores.is_none() && stop.signal().is_some() {
                    true => self.pending = Some(record), // evaluated when the run goes on
                    false => self.write(&record, json)?,
                }
            }
            if self.step.is_multiple_of(config.sample_every) || self.step == self.last_step {
                self.draw_grid()?;
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

            let real = self.batches.next()?; // (N, H, W, C)
            let latents = self.latents.next()?; // (N, Z) each
            let draws = self.draws.as_mut().map(Prefetcher::next).transpose()?; // (3N, 4)
            let inputs = StepInputs { real, latents, draws, lr_scale: self.schedule.rate(self.step) };
            let outcome = self.adversaries.step_on(&inputs)?;
            let step = self.step;
            // From here on the networks are those after this step, whatever stops the loop.
            self.step += 1;
            progress.tick(self.step);

            let evaluates = self.evaluates_after(self.step);
            if step.is_multiple_of(config.log_every) || evaluates || self.step == self.last_step {
                // The only place of the loop where the host waits for the device: the rate is that of finished steps.
                outcome.g_loss.to_scalar::<f32>()?;
                let images = (self.step - logged_step) * config.batch_size as u64;
                let rate = images as f64 / logged_at.elapsed().as_secs_f64();
                (logged_at, logged_step) = (Instant::now(), self.step);
                let record = self.record(step, &outcome, &inputs.real, rate)?;
                progress.report(&TrainingStatus {
                    step: self.step,
                    epoch: record.epoch + 1,
                    epochs: Some(self.last_step.div_ceil(self.steps_per_epoch)),
                    figures: vec![Figure::Plain("D", record.d_loss.into()), Figure::Plain("G", record.g_loss.into())],
                    images_per_second: record.images_per_second,
                });
                match evaluates {
                    true => self.pending = Some(record),
                    false => self.write(&record, json)?,
                }
            }
        }
    }

    fn write(&mut self, record: &GanRecord, json: bool) -> anyhow::Result<()> {
        let line = self.log.append(record)?;
        match json {
            true => self.console.data_line(&line),
            false => Ok(()),
        }
    }

    /// Fetches what is logged of a step, and looks whether the run is well.
    fn record(
        &mut self,
        step: u64,
        outcome: &StepOutcome,
        real: &Tensor,
        images_per_second: f64,
    ) -> anyhow::Result<GanRecord> {
        let loss = self.run.config.loss();
        let record = GanRecord {
            step,
            epoch: step / self.steps_per_epoch,
            seconds: self.seconds(),
            images_per_second,
            d_loss: outcome.d_loss.to_scalar()?,
            g_loss: outcome.g_loss.to_scalar()?,
            real_score: loss.logged_score(&outcome.real_scores)?.to_scalar()?,
            fake_score: loss.logged_score(&outcome.fake_scores)?.to_scalar()?,
            scores: None,
        };
        for (name, loss) in [("D's loss", record.d_loss), ("G's loss", record.g_loss)] {
            if !loss.is_finite() {
                let suspects = suspects(&self.adversaries.state())?;
                return Err(self.run.diverged(self.step, &format!("{name} is {loss}; {suspects}")));
            }
        }
        let variety_of = |images: &Tensor| -> candle_core::Result<f32> {
            Ok(variety(&images.flatten_all()?.to_vec1::<f32>()?, images.elem_count() / images.dim(0)?))
        };
        let relative_variety = variety_of(&outcome.fakes)? / variety_of(real)?;
        self.console.detail(&format!("step {step}: variety {relative_variety:.3}"));
        let vitals = Vitals { d_loss: record.d_loss, g_loss: record.g_loss, relative_variety };
        // A step off the beat may be the last of a run that goes on: one that was never stopped does not see it.
        if !step.is_multiple_of(self.run.config.log_every) {
            return Ok(record);
        }
        if let Some((_, line)) = self.health.observe(vitals) {
            self.console.warning(&format!("step {step}: {line}"));
        }
        Ok(record)
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.seconds_before + self.began.elapsed().as_secs_f64()
    }
}
