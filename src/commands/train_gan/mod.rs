//! Trains a GAN: the loop of `gan train-gan`, straight down.

mod announcement;
mod classes;
mod files;
mod init;
mod inputs;
mod record;
mod scores;

use std::path::PathBuf;

use candle_core::Device;

use crate::commands::images::Reading;
use crate::commands::train_gan::inputs::Inputs;
use crate::commands::{Invocation, check_penalties, check_sync_batch_norm, images, shards};
use crate::data::memory::MemorySize;
use crate::data::{self, ImageSet, steps_per_epoch};
use crate::evaluator::GeneratorEvaluator;
use crate::optim::Schedule;
use crate::report::{Console, Figure, GanRecord};
use crate::run::{Run, Session, Timetable};
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
    let classifier = scores::classifier(&config, device)?;
    let GanConfig { balanced_parts, skip_broken, .. } = config;
    let reading = Reading { balanced_parts, skip_broken, data_dir: run.data_dir.clone() };
    let dataset = match config.channels {
        Some(_) => images::open(&config.data, config.image_shape(), &reading, call)?,
        None => images::open_in_own_colours(&config.data, config.image_shape().height, &reading, call)?,
    };
    run.config.channels = Some(dataset.train.shape()?.channels);
    run.config.class_names = classes::names(&config, &dataset)?;
    if !run.is_resumed() {
        run.config.shards = call.shards(run.config.shards);
    }
    run.processes = processes.communicator().clone();
    let config = run.config.clone();
    config.validate()?;
    run.identify(&dataset, options.changed_data, console)?;
    let shards = shards(config.shards, processes)?;
    let dataset = match config.test_part {
        Some(_) => images::with_test_part(dataset, config.test_part, false, console)?,
        None => dataset,
    };
    // Before they share any work.
    run.agree("train-gan", None)?;
    let evaluator = scores::evaluator(&config, classifier, &dataset, &run, device, console)?;
    let dataset = images::cut(dataset, config.train_images, config.watches_validation(), config.batch_size, console)?;
    classes::warning(&config, &dataset).iter().for_each(|warning| console.warning(warning));

    let timetable = timetable(&config, &dataset.train);
    run.check_precision(config.precision, Some(timetable.last_step), device)?;
    let mut adversaries = Adversaries::new(&config, device)?;
    adversaries.set_shards(processes.on_cards(shards, device)?);
    if !run.is_resumed() {
        run.config.init_networks = init::start_from(&adversaries, &config, &run.directory.name, options, console)?;
    }
    let config = run.config.clone();
    run.agree("train-gan", None)?;
    run.check(&timetable, &adversaries.state())?;
    run.restore(|state, step| adversaries.restore(state, step))?;
    let health = HealthWatch::new(config.loss(), config.label_smoothing, record::history(&run)?);
    let images = dataset.train.len();
    let inputs = Inputs::start(&run, dataset.train, call)?;
    let session = Session::begin(run, timetable, call.monitor())?;
    let what = announcement::of(&config, images, &session.span());
    session.announce(&what, &call.trained_on());
    console.detail(&format!("recipe {}", config.recipe_text()));
    let mut training = Training {
        session,
        adversaries,
        inputs,
        evaluator,
        health,
        schedule: config.schedule(timetable.last_step),
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
                let measured = self.evaluate()?;
                let is_evaluated = measured.is_some();
                record.scores = measured.as_ref().map(|measured| measured.scores);
                record.class_scores = measured.and_then(|measured| measured.class_scores);
                self.session.complete(record, is_evaluated)?;
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
                self.session.log(record, vec![Figure::Plain("D", d_loss), Figure::Plain("G", g_loss)])?;
            }
        }
    }
}
