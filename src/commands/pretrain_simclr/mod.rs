//! Pretrains an encoder by SimCLR: the loop of `gan pretrain-simclr`, straight down.

mod files;
mod record;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::bail;
use candle_core::Device;

use crate::checkpoint::header::HEALTH;
use crate::commands::images::Reading;
use crate::commands::{Invocation, batch_in_words, check_sync_batch_norm, images};
use crate::data::{self, Dataset, ImageSet, Prefetcher, StepPlan, ViewBatch, ViewPlan, steps_per_epoch};
use crate::error::Error;
use crate::optim::Schedule;
use crate::report::{Console, Figure, SimclrRecord};
use crate::run::{BestSoFar, Run, Session, Timetable};
use crate::train::collapse::CollapseWatch;
use crate::train::contrastive::Contrastive;
use crate::train::simclr_config::{KnnReference, SimclrConfig};

/// Trains, saves, draws; returns the directory of the weights.
pub fn pretrain(config: SimclrConfig, call: &Invocation) -> anyhow::Result<PathBuf> {
    let &Invocation { options, device, processes, console, .. } = call;
    let default_name = config.encoder.name();
    let mut run = Run::open(config, default_name, call.typed, options)?;
    let mut config = run.config.clone();
    config.validate()?;
    if options.resume.is_none() {
        config.refuse_idle(call.typed)?;
    }
    run.check_precision(config.precision, config.steps, device)?;
    check_sync_batch_norm(config.sync_batch_norm, device)?;
    // The images may have to be downloaded: what needs none is refused before.
    run.refuse_past(config.steps)?;
    let SimclrConfig { balanced_parts, skip_broken, .. } = config;
    let reading = Reading { balanced_parts, skip_broken, data_dir: run.data_dir.clone() };
    let dataset = images::open(&run.places.find("data", &config.data), config.target(), &reading, call)?;
    run.identify(&dataset, options.changed_data, console)?;
    let dataset = images::without_test_part(dataset, config.test_part, console)?;
    // Without labels there is no kNN accuracy, and nothing to hold out.
    let validates = config.watches_validation() && !dataset.train.labels().is_empty();
    let dataset = images::cut(dataset, config.train_images, validates, config.batch_size, console)?;
    let images = TrainingImages::of(dataset, config.knn_reference);
    if config.keep_best.is_some() && !images.are_labelled() {
        bail!(Error::Input(format!(
            "--keep-best knn: {} has no classes, so there is no kNN accuracy\nput the pictures in one folder a class, or \
             leave --keep-best out",
            config.data
        )));
    }
    if !run.is_resumed() {
        config.normalisation = Some(config.normalise.of(&*images.train)?);
        config.shards =
            call.shard_count(config.shards, |shards| SimclrConfig { shards, ..config.clone() }.validate())?;
        run.config = config.clone();
    }
    run.processes = processes.communicator().clone();
    let shards = call.shards(config.shards)?;
    run.agree(None)?;

    let mut best = BestSoFar::of(&mut run, config.keep_best, config.patience)?;
    let timetable = timetable(&config, &images);
    let schedule = config.schedule(timetable.last_step);
    let timetable = best.as_ref().map_or(timetable, |best| best.timetable(timetable, run.step()));
    run.check_precision(config.precision, Some(timetable.last_step), device)?;
    let mut networks = Contrastive::new(&config, device)?;
    networks.set_shards(processes.on_cards(shards, device)?);
    let (state, encoder) = (networks.state(), networks.encoder_parameters());
    run.check(&timetable, &best.as_ref().map_or(state.clone(), |best| best.with_room(state, &encoder.tensors())))?;
    let expected = encoder.signature();
    run.restore(|state, step| match &mut best {
        Some(best) => networks.restore(&best.restore(state, &expected)?, step),
        None => networks.restore(state, step),
    })?;
    let watch = CollapseWatch::new(config.batch_size, run.saved(HEALTH)?.unwrap_or_default());
    let views = views(&config, &images.train, run.step(), call)?;
    let is_new = run.step() == 0;
    let mut session: Session<_, SimclrRecord> = Session::begin(run, timetable, call.monitor())?;
    if let Some(record) = &mut session.pending {
        // To the bit, which a decimal need not be.
        record.lr = schedule.rate(record.step);
    }
    let (count, name) = (images.train.len(), config.encoder.name());
    let batch = batch_in_words(config.batch_size, config.shards, config.sync_batch_norm);
    let (data, size, span) = (&config.data, config.image_size, session.span());
    let what = format!("pretraining {name} on {data}: {count} images, views of {size}x{size}, {batch}, {span}");
    session.announce(&what, &call.trained_on());
    let device = device.clone();
    let mut training =
        Training { session, networks, views, images, watch, config, knn_top1: None, best, schedule, device, console };
    if is_new {
        let drawn = training.draw_views();
        training.session.together(drawn)?;
    }
    training.run_steps()?;
    training.finish()?;
    Ok(training.session.run.directory.weights.clone())
}

fn timetable(config: &SimclrConfig, images: &TrainingImages) -> Timetable {
    let steps_per_epoch = steps_per_epoch(images.train.len(), config.batch_size);
    let measure_every = if images.are_labelled() { config.knn_every.saturating_mul(steps_per_epoch) } else { 0 };
    let (last_step, batch_size) = (config.last_step(steps_per_epoch), config.batch_size);
    let &SimclrConfig { log_every, checkpoint_every, keep, .. } = config;
    Timetable { last_step, steps_per_epoch, batch_size, log_every, measure_every, checkpoint_every, keep }
}

/// Two views of each image, from `first_step` on.
fn views(
    config: &SimclrConfig,
    images: &ImageSet,
    first_step: u64,
    call: &Invocation,
) -> anyhow::Result<Prefetcher<ViewBatch>> {
    let plan = StepPlan::new(images.len(), config.batch_size, true, config.seed)?.part(call.processes.part())?;
    let size = config.image_shape().height;
    let (augmentation, normalisation) = (config.augmentation(), config.normalisation());
    let views = ViewPlan { views_per_image: 2, size, augmentation, normalisation };
    data::views(images.source(), &plan, views, first_step, call.device)
}

/// What is trained on and watched by.
struct TrainingImages {
    name: String,
    train: ImageSet,
    /// The images that the kNN accuracy is of.
    watched: ImageSet,
    classes: usize,
}

impl TrainingImages {
    fn of(dataset: Dataset, reference: KnnReference) -> Self {
        let Dataset { name, classes, train, validation, test, .. } = dataset;
        let watched = match reference {
            KnnReference::Validation => validation,
            KnnReference::Test => test,
        };
        Self { name, train, watched, classes: classes.len() }
    }

    /// Whether there is a kNN accuracy.
    fn are_labelled(&self) -> bool {
        self.train.is_labelled() && self.watched.is_labelled()
    }
}

/// A run in training.
struct Training<'a> {
    session: Session<SimclrConfig, SimclrRecord>,
    networks: Contrastive,
    views: Prefetcher<ViewBatch>,
    images: TrainingImages,
    watch: CollapseWatch,
    config: SimclrConfig,
    /// As last measured.
    knn_top1: Option<f64>,
    /// The best encoder so far, if it is kept.
    best: Option<BestSoFar>,
    schedule: Schedule,
    device: Device,
    console: &'a Console,
}

impl Training<'_> {
    fn run_steps(&mut self) -> anyhow::Result<()> {
        loop {
            if let Some(mut record) = self.session.pending.take() {
                self.announce_measurement(record.images_per_second);
                let began = Instant::now();
                let accuracy = self.measure()?;
                if let Some(accuracy) = accuracy {
                    self.add_accuracy(&mut record, accuracy, began.elapsed())?;
                }
                self.session.complete(record, accuracy.is_some())?;
                self.session.end_without_better(self.best.as_ref(), accuracy.is_some())?;
            }
            if self.session.is_save_due()? {
                self.save()?;
            }
            let Some(step) = self.session.next_step()? else { return Ok(()) };

            let views = self.views.next()?.views; // (2N, H, W, 3)
            let lr = self.schedule.rate(step);
            let outcome = self.networks.step(&views, lr)?;
            self.session.clock.advance();

            if self.session.clock.is_logged() {
                let record = self.record(&outcome, lr)?;
                let mut figures = vec![Figure::Plain("loss", record.loss.into())];
                figures.extend(match &self.best {
                    Some(best) => best.figures(),
                    None => self.knn_top1.map(|accuracy| Figure::Percent("kNN", accuracy)).into_iter().collect(),
                });
                self.session.log(record, figures)?;
            }
        }
    }
}
