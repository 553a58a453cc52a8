//! The generator of a run, evaluated while it trains.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use candle_core::Device;

use super::Training;
use crate::checkpoint::Measure;
use crate::checkpoint::header::CONFIG;
use crate::commands::print_warnings;
use crate::data::Dataset;
use crate::error::Error;
use crate::evaluator::{Classifier, GeneratorEvaluator, Measured};
use crate::models::CLASSES;
use crate::pretrained::trained_on::TrainedOn;
use crate::pretrained::{self, Latents, SampleClasses};
use crate::report::{Console, Evaluation, GanRecord};
use crate::run::{BestSoFar, Places, Run};
use crate::train::gan_config::GanConfig;

/// The classifier that evaluates the run; `None` where nothing does.
pub(super) fn classifier(config: &GanConfig, places: &Places, device: &Device) -> anyhow::Result<Option<Classifier>> {
    let is_evaluated = config.evaluate_every > 0;
    let named = config.evaluate_classifier.as_deref().and_then(Path::to_str);
    let place = named.map(|named| PathBuf::from(places.find("evaluate_classifier", named)));
    let path = place.or_else(|| config.evaluate_classifier.clone());
    is_evaluated.then(|| Classifier::find(path.as_deref(), device)).transpose()
}

/// What evaluates the run: the classifier, and the real images of the whole `dataset`.
pub(super) fn evaluator(
    config: &GanConfig,
    classifier: Option<Classifier>,
    dataset: &Dataset,
    run: &Run<GanConfig>,
    device: &Device,
    console: &Console,
) -> anyhow::Result<Option<GeneratorEvaluator>> {
    let Some(classifier) = classifier else { return Ok(None) };
    let (reference, count, processes) = (&config.evaluate_reference, config.evaluate_samples, run.processes.clone());
    let evaluator = GeneratorEvaluator::prepare(classifier, dataset, reference, count, device, processes);
    let mut evaluator = evaluator.map_err(of_evaluate_reference)?;
    evaluator.samples_are_of_classes = config.class_names.len() == CLASSES;
    print_warnings(&evaluator, "--evaluate-classifier", console)?;
    let header = BTreeMap::from([(CONFIG.to_string(), serde_json::to_string(config)?)]);
    if let Some(run) = TrainedOn::of(&header)
        && let seen @ 1.. = config.evaluate_reference.seen_by(&run, dataset)
    {
        let (reference, images) = (&config.evaluate_reference, evaluator.reference_images());
        console.warning(&format!(
            "--evaluate-reference {reference}: the run trains on {seen} of these {images} images; --train-images or \
             --evaluate-reference validation keeps them apart"
        ));
    }
    Ok(Some(evaluator))
}

/// `gan evaluate` has the same setting as `reference`.
fn of_evaluate_reference(error: anyhow::Error) -> anyhow::Error {
    error.downcast::<Error>().map_or_else(
        |error| error,
        |error| match error {
            Error::TooFewImages { name: "reference", value, problem } => {
                Error::TooFewImages { name: "evaluate_reference", value, problem }.into()
            }
            error => error.into(),
        },
    )
}

impl Training<'_> {
    /// Adds to the record what was measured in the time `taken`, and keeps the generator where it is the best.
    pub(super) fn add_scores(
        &mut self,
        record: &mut GanRecord,
        measured: Measured,
        taken: Duration,
    ) -> anyhow::Result<()> {
        let (scores, clock) = (measured.scores, &self.session.clock);
        if let Some(best) = &mut self.best {
            let score = match self.config.keep_best {
                Some(Measure::Coverage) => scores.coverage,
                _ => scores.frechet,
            };
            let tensors = self.adversaries.sampled_parameters().tensors();
            best.observe(clock.step(), score, clock.is_measured_on_interval(), &tensors)?;
        }
        let best = self.best.as_ref().and_then(BestSoFar::record);
        record.evaluation = Some(Evaluation { evaluate_seconds: taken.as_secs_f64(), best });
        (record.scores, record.class_scores) = (Some(scores), measured.class_scores);
        Ok(())
    }

    /// The scores of the averaged generator, or of the only one, as `gan evaluate --seed SEED` finds them; `None` where a
    /// signal came in between, and in the processes that help. Nothing that training goes on from is changed.
    pub(super) fn evaluate(&self) -> anyhow::Result<Option<Measured>> {
        let Some(evaluator) = &self.evaluator else { return Ok(None) };
        let (config, generator) = (&self.config, self.adversaries.best_generator());
        let classes = SampleClasses::of(config.class_names.len());
        let latents = Latents::Drawn { seed: config.seed, space: config.latent_space() };
        let progress = self.console.items("evaluated", config.evaluate_samples as u64);
        let draw = |first: usize, count: usize| {
            let latents = classes.inputs(&latents, first as u64, count);
            Ok(pretrained::draw(generator, &latents, config.latent_dim + classes.count(), &self.device)?)
        };
        evaluator.measure(config.evaluate_samples, config.seed, draw, |done| {
            progress.set(done as u64);
            self.session.clock.stop.signal().is_none()
        })
    }
}
