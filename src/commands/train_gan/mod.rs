//! Trains a GAN: the loop of `gan train-gan`, straight down.

mod classes;
mod files;
mod record;
mod scores;

use std::path::PathBuf;

use candle_core::{Device, Tensor};

use crate::commands::images::Reading;
use crate::commands::{Invocation, images, shards};
use crate::data::memory::MemorySize;
use crate::data::{self, ImageSet, Prefetcher, StepPlan, steps_per_epoch};
use crate::evaluator::GeneratorEvaluator;
use crate::image_shape::ImageShape;
use crate::optim::Schedule;
use crate::report::{Console, Figure, GanRecord};
use crate::run::{Run, Session, Timetable};
use crate::train::adversaries::{Adversaries, StepInputs};
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
    run.check_precision(config.precision, config.steps, device)?;
    // What can be refused without the images is: their download may take long.
    run.refuse_past(config.steps)?;
    if let (true, Some(free)) = (device.is_cpu(), MemorySize::free()) {
        config.check_memory(free)?;
    }
    let classifier = scores::classifier(&config, device)?;
    let GanConfig { balanced_parts, skip_broken, .. } = config;
    let reading = Reading { balanced_parts, skip_broken };
    let dataset = match config.channels {
        Some(_) => images::open(&config.data, config.image_shape(), reading, call)?,
        None => images::open_in_own_colours(&config.data, config.image_shape().height, reading, call)?,
    };
    run.config.channels = Some(dataset.train.shape()?.channels);
    run.config.class_names = classes::names(&config, &dataset)?;
    if !run.is_resumed() {
        run.config.shards = call.shards(run.config.shards);
    }
    run.processes = processes.communicator().clone();
    let config = run.config.clone();
    config.validate()?;
    run.identify(&dataset, options.changed_data)?;
    let shards = shards(config.shards, processes)?;
    run.agree()?;
    let dataset = match config.test_part {
        Some(_) => images::with_test_part(dataset, config.test_part, false, console)?,
        None => dataset,
    };
    let evaluator = scores::evaluator(&config, classifier, &dataset, device, console)?;
    let dataset = images::cut(dataset, config.train_images, config.watches_validation(), config.batch_size, console)?;

    let timetable = timetable(&config, &dataset.train);
    run.check_precision(config.precision, Some(timetable.last_step), device)?;
    let mut adversaries = Adversaries::new(&config, device)?;
    adversaries.set_shards(shards);
    run.check(&timetable, &adversaries.state())?;
    run.restore(|state, step| adversaries.restore(state, step))?;
    let health = HealthWatch::new(config.loss(), config.label_smoothing, record::history(&run)?);
    let images = dataset.train.len();
    let inputs = Inputs::start(&config, dataset.train, run.step(), call)?;
    let session = Session::begin(run, timetable, call.monitor())?;
    let (loss, batch) = (format!("{:?}", config.loss()).to_lowercase(), config.batch_size);
    let (on, span) = (&dataset.name, session.span());
    let of_classes = match config.class_names.len() {
        0 => String::new(),
        classes => format!(", conditional on {classes} classes"),
    };
    let name = config.model.name();
    let of_shape = match config.image_shape() {
        ImageShape::COURSE => String::new(),
        shape => format!(" of {shape}"),
    };
    let what =
        format!("training {name} on {on}: {images} images{of_shape}, batch {batch}, loss {loss}{of_classes}, {span}");
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

/// What the steps are made of.
struct Inputs {
    batches: Prefetcher<Tensor>,
    latents: Prefetcher<[Tensor; 2]>,
    draws: Option<Prefetcher<Tensor>>,
    classes: Option<Prefetcher<[Tensor; 3]>>,
}

impl Inputs {
    /// From `first_step` on. The images are given away: a device that has its own copy needs no other.
    fn start(config: &GanConfig, images: ImageSet, first_step: u64, call: &Invocation) -> anyhow::Result<Self> {
        let (augment, shape, device) = (config.diffaugment, images.shape()?, call.device);
        let plan = StepPlan::new(images.len(), config.batch_size, !config.no_shuffle, config.seed)?;
        let plan = plan.part(call.processes.part())?;
        let draws = augment.is_on().then(|| augment.draws(&plan, shape, first_step, device)).transpose()?;
        let latents = data::latents(&plan, config.latent_space(), first_step, device)?;
        let (labels, classes) = (images.labels().to_vec(), config.class_names.len());
        let classes = (classes > 0).then(|| data::class_batches(labels, classes, &plan, first_step, device));
        let batches = data::batches(images.source(), &plan, first_step, device)?;
        Ok(Self { batches, latents, draws, classes: classes.transpose()? })
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
                self.draw_grid()?;
            }
            if self.session.is_save_due()? {
                self.save()?;
            }
            let Some(step) = self.session.next_step()? else { return Ok(()) };

            let real = self.inputs.batches.next()?; // (N, H, W, C)
            let latents = self.inputs.latents.next()?; // (N, Z) each
            let draws = self.inputs.draws.as_mut().map(Prefetcher::next).transpose()?; // (3N, 4)
            let classes = self.inputs.classes.as_mut().map(Prefetcher::next).transpose()?; // (N, K) each
            let inputs = StepInputs { real, latents, draws, classes, lr_scale: self.schedule.rate(step) };
            let outcome = self.adversaries.step_on(&inputs)?;
            self.session.clock.advance();

            if self.session.clock.is_logged() {
                let record = self.record(&outcome, &inputs.real)?;
                let (d_loss, g_loss) = (record.d_loss.into(), record.g_loss.into());
                self.session.log(record, vec![Figure::Plain("D", d_loss), Figure::Plain("G", g_loss)])?;
            }
        }
    }
}
