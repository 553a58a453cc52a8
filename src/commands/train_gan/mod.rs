//! Trains a GAN: the loop of `gan train-gan`, straight down.

mod announcement;
mod classes;
mod files;
mod init;
mod inputs;
mod record;
mod scores;

use std::path::PathBuf;
use std::time::Instant;

use candle_core::Device;

use crate::commands::images::Reading;
use crate::commands::train_gan::inputs::Inputs;
use crate::commands::{Invocation, check_penalties, check_sync_batch_norm, images};
use crate::data::memory::MemorySize;
use crate::data::{self, ImageSet, steps_per_epoch};
use crate::evaluator::GeneratorEvaluator;
use crate::optim::Schedule;
use crate::report::{Console, Figure, GanRecord};
use crate::run::{BestSoFar, Run, Session, Timetable};
use crate::train::adversaries::Adversaries;
use crate::train::gan_config::GanConfig;
use crate::train::health::HealthWatch;

/// Trains, saves, draws; returns the directory of the weights.
pub fn train(config: GanConfig, call: &Invocation) -> anyhow::Result<PathBuf> {
    let &Invocation { typed, options, device, processes, console, .. } = call;
    let config = match options.resume {
        None => config.clone().for_images(data::own_shape(&config.data), typed),
        Some(_) => config, // the saved one holds
    };
    let config = config.recipe.resolve(config.clone(), typed);
    let default_name = config.model.name();
    let mut run = Run::open(config, default_name, typed, options)?;
    let config = run.config.clone();
    config.validate()?;
    if options.resume.is_none() {
        config.refuse_idle(typed)?;
    }
    run.check_precision(config.precision, config.steps, device)?;
    check_sync_batch_norm(config.sync_batch_norm, device)?;
    check_penalties(&config, device)?;
    // What can be refused without the images is: their download may take long.
    run.refuse_past(config.steps)?;
    if let (true, Some(free)) = (device.is_cpu(), MemorySize::free()) {
        config.check_memory(free)?;
    }
    let classifier = scores::classifier(&config, &run.places, device)?;
    let GanConfig { balanced_parts, skip_broken, .. } = config;
    let reading = Reading { balanced_parts, skip_broken, data_dir: run.data_dir.clone() };
    let data = run.places.find("data", &config.data);
    let dataset = match config.channels {
        Some(_) => images::open(&data, config.image_shape(), &reading, call)?,
        None => images::open_in_own_colours(&data, config.image_shape().height, &reading, call)?,
    };
    run.config.channels = Some(dataset.train.shape()?.channels);
    run.config.class_names = classes::names(&config, &dataset)?;
    if !run.is_resumed() {
        let with = |shards| GanConfig { shards, ..run.config.clone() };
        run.config.shards = call.shard_count(run.config.shards, |shards| with(shards).validate())?;
    }
    run.processes = processes.communicator().clone();
    let config = run.config.clone();
    config.validate()?;
    run.identify(&dataset, options.changed_data, console)?;
    let shards = call.shards(config.shards)?;
    let dataset = match config.test_part {
        Some(_) => images::with_test_part(dataset, config.test_part, false, console)?,
        None => dataset,
    };
    // Before they share any work.
    run.agree(None)?;
    let evaluator = scores::evaluator(&config, classifier, &dataset, &run, device, console)?;
    let dataset = images::cut(dataset, config.train_images, config.watches_validation(), config.batch_size, console)?;
    classes::warning(&config, &dataset).iter().for_each(|warning| console.warning(warning));

    let mut best = BestSoFar::of(&mut run, config.keep_best, config.patience)?;
    let timetable = timetable(&config, &dataset.train);
    let schedule = config.schedule(timetable.last_step);
    let timetable = best.as_ref().map_or(timetable, |best| best.timetable(timetable, run.step()));
    run.check_precision(config.precision, Some(timetable.last_step), device)?;
    let mut adversaries = Adversaries::new(&config, device)?;
    adversaries.set_shards(processes.on_cards(shards, device)?);
    if !run.is_resumed() {
        run.config.init_networks = init::start_from(&adversaries, &config, &run.directory.name, options, console)?;
    }
    let config = run.config.clone();
    run.agree(None)?;
    let (state, sampled) = (adversaries.state(), adversaries.sampled_parameters());
    run.check(&timetable, &best.as_ref().map_or(state.clone(), |best| best.with_room(state, &sampled.tensors())))?;
    let expected = sampled.signature();
    run.restore(|state, step| match &mut best {
        Some(best) => adversaries.restore(&best.restore(state, &expected)?, step),
        None => adversaries.restore(state, step),
    })?;
    let health = HealthWatch::new(config.loss(), config.label_smoothing, record::history(&run)?);
    let images = dataset.train.len();
    let inputs = Inputs::start(&run, dataset.train, call)?;
    let session = Session::begin(run, timetable, call.monitor())?;
    let what = announcement::of(&config, images, &session.span());
    session.announce(&what, &call.trained_on());
    if let Some(rows) = files::rows(&config) {
        console.note(&rows);
    }
    console.detail(&format!("recipe {}", config.recipe_text()));
    let mut training = Training {
        session,
        adversaries,
        inputs,
        evaluator,
        best,
        health,
        schedule,
        data_name: dataset.name,
        device: device.clone(),
        console,
        config,
    };
    training.run_steps()?;
    training.finish()?;
    Ok(training.session.run.directory.weights.clone())
}

fn timetable(config: &GanConfig, images: &ImageSet) -> Timetable {
    let steps_per_epoch = steps_per_epoch(images.len(), config.batch_size);
    Timetable {
        last_step: config.last_step(steps_per_epoch),
        steps_per_epoch,
        batch_size: config.batch_size,
        log_every: config.log_every,
        measure_every: config.evaluate_every,
        checkpoint_every: config.checkpoint_every,
        keep: config.keep,
    }
}

/// A run in training.
struct Training<'a> {
    session: Session<GanConfig, GanRecord>,
    adversaries: Adversaries,
    inputs: Inputs,
    /// What evaluates the generator, if anything does.
    evaluator: Option<GeneratorEvaluator>,
    /// The best generator so far, if it is kept.
    best: Option<BestSoFar>,
    health: HealthWatch,
    schedule: Schedule,
    data_name: String,
    device: Device,
    console: &'a Console,
    config: GanConfig,
}

impl Training<'_> {
    fn run_steps(&mut self) -> anyhow::Result<()> {
        loop {
            if let Some(mut record) = self.session.pending.take() {
                let began = Instant::now();
                let measured = self.evaluate()?;
                let is_evaluated = measured.is_some();
                if let Some(measured) = measured {
                    self.add_scores(&mut record, measured, began.elapsed())?;
                }
                self.session.complete(record, is_evaluated)?;
                self.session.end_without_better(self.best.as_ref(), is_evaluated)?;
            }
            if self.session.clock.step().is_multiple_of(self.config.sample_every) || self.session.clock.is_done() {
                self.session.together(self.draw_grid())?;
            }
            if self.session.is_save_due()? {
                self.save()?;
            }
            let Some(step) = self.session.next_step()? else { return Ok(()) };

            let inputs = self.inputs.next_step(self.schedule.rate(step))?;
            let outcome = self.adversaries.step_on(&inputs)?;
            self.inputs.observe(&outcome)?;
            self.session.clock.advance();

            if self.session.clock.is_logged() {
                let record = self.record(&outcome, &inputs.real)?;
                if self.session.clock.is_measured() {
                    self.adversaries.complete()?; // the first process evaluates; the others have a part of what it asks
                }
                let (d_loss, g_loss) = (record.d_loss.into(), record.g_loss.into());
                let mut figures = vec![Figure::Plain("D", d_loss), Figure::Plain("G", g_loss)];
                figures.extend(self.best.iter().flat_map(BestSoFar::figures));
                self.session.log(record, figures)?;
            }
        }
    }
}
