//! The scores of a generator, seed after seed.

use std::path::Path;

use anyhow::Context;
use candle_core::Device;

use super::EvaluateConfig;
use crate::commands::evaluate::nearest::NearestImages;
use crate::commands::evaluate::subject::Samples;
use crate::commands::processes::Processes;
use crate::commands::{images, print_warnings};
use crate::data::{Dataset, ImageSet};
use crate::evaluator::{Classifier, DEFAULT_DATA, GeneratorEvaluator};
use crate::models::CLASSES;
use crate::pretrained::reference::Reference;
use crate::report::{Console, GeneratorRow, scores_table, summary};

pub fn evaluate(
    config: &EvaluateConfig,
    samples: &Samples,
    classifier: Classifier,
    device: &Device,
    processes: &Processes,
    json: bool,
    console: &Console,
) -> anyhow::Result<()> {
    config.check_samples()?;
    let count = samples.count(config.samples())?;
    let data = config.data.as_deref().or(samples.data()).unwrap_or(DEFAULT_DATA);
    console.note(&format!("evaluating {} against {data}, on {}", samples.description(), crate::device::name(device)));
    let shape = samples.image_shape();
    let RealImages { dataset, held_out, searched } = real_images(config, samples, data, console)?;
    super::agree(processes, config, Path::new(&samples.name()), &dataset)?;
    let communicator = processes.communicator().clone();
    let mut evaluator =
        GeneratorEvaluator::prepare(classifier, &dataset, &config.reference, count, device, communicator)?;
    evaluator.samples_are_of_classes = samples.classes() == CLASSES;
    if samples.classes() > 0 && !evaluator.samples_are_of_classes {
        console.note(&format!(
            "{}: its {} classes are not the {CLASSES} of the classifier; agreement with them is not measured",
            samples.name(),
            samples.classes()
        ));
    }
    evaluator.samples_are_sorted = matches!(samples, Samples::Given { .. });
    print_warnings(&evaluator, "--classifier", console)?;
    let seen = seen(config, samples, data, &dataset, held_out);
    if seen > 0 {
        let (name, images) = (samples.name(), evaluator.reference_images());
        let seen = seen.min(images);
        console.warning(&format!(
            "{name} was trained on {seen} of the {images} reference images: a generator that copies them scores well"
        ));
    }

    warn_of_choice(config, samples, data, console);

    let mut rows = Vec::new();
    let seeds: Vec<u64> = (config.seed..config.seed + config.seeds).collect();
    let progress = console.items("samples", count as u64 * config.seeds);
    for (index, &seed) in seeds.iter().enumerate() {
        let draw = |first, some| samples.draw(seed, first, some);
        let measured = evaluator.measure(count, seed, draw, |done| {
            progress.set((index * count + done) as u64);
            true
        })?;
        if processes.communicator().rank() > 0 {
            continue; // what is measured is the first one's
        }
        let measured = measured.context("not all samples were measured")?;
        let mut nearest = NearestImages::new(config.output.as_deref().filter(|_| index == 0), count, shape);
        for (first, some) in nearest.places(evaluator.samples_are_sorted) {
            nearest.take(&samples.draw(seed, first, some)?);
        }
        let distances = nearest.finish(&dataset, &config.reference, searched.as_ref())?;
        let row = GeneratorRow {
            weights: samples.name(),
            data: dataset.name.clone(),
            reference: config.reference.words(),
            features: evaluator.classifier().description.clone(),
            features_sha256: evaluator.classifier().sha256.clone(),
            classifier: evaluator.classifier().description.clone(),
            classifier_accuracy: evaluator.accuracy,
            seed,
            n: count as u64,
            reference_images: evaluator.reference_images() as u64,
            floor_images: evaluator.floor_images as u64,
            compared: evaluator.compared() as u64,
            frechet_ratio: measured.scores.frechet / measured.scores.frechet_floor,
            scores: measured.scores,
            kid_spread: measured.kid_spread,
            histogram: measured.histogram,
            class_scores: measured.class_scores,
            nearest_train: distances.map(|(of_samples, _)| of_samples),
            nearest_train_reference: distances.map(|(_, of_reference)| of_reference),
            classifier_score_reference: evaluator.reference_score()?,
            training_images: *evaluator.floor(),
        };
        if json {
            console.data_line(&serde_json::to_string(&row)?)?;
        }
        rows.push(row);
    }
    if processes.communicator().rank() > 0 {
        return Ok(());
    }
    if let Some(path) = &config.output {
        console.note(&format!("{}: samples, each beside the training image nearest to it", path.display()));
    }
    match json {
        false => console.data_line(&scores_table(&rows)),
        true if rows.len() > 1 => console.data_line(&summary(&rows, &seeds)?.to_string()),
        true => Ok(()),
    }
}

/// Says so where the real images are those that the generator was chosen by as the best of its run.
pub(super) fn warn_of_choice(config: &EvaluateConfig, samples: &Samples, data: &str, console: &Console) {
    let is_own = samples.trained_on().is_some_and(|trained| trained.is(data));
    if let Some(best) = samples.best().filter(|_| is_own && config.reference == Reference::Validation) {
        console.warning(&best.chosen_by_validation(&samples.name()));
    }
}

/// How many of the real images the generator was trained on, where it was trained on the set `data`.
pub(super) fn seen(
    config: &EvaluateConfig,
    samples: &Samples,
    data: &str,
    dataset: &Dataset,
    held_out: usize,
) -> usize {
    let trained = samples.trained_on().filter(|trained| trained.is(data));
    trained.map_or(0, |trained| match config.reference {
        Reference::Test => trained.seen_of_test_part(held_out, dataset.train.len() + held_out),
        _ => config.reference.seen_by(trained, dataset),
    })
}

/// What samples are held against.
pub(super) struct RealImages {
    pub dataset: Dataset,
    /// How many of its training images were held out to test on.
    pub held_out: usize,
    /// All images that the generator was trained on, those that are held out to test on here among them; where that is not
    /// known, all that it may have been trained on. `None`: the training images that are not of the reference.
    pub searched: Option<ImageSet>,
}

/// The data set that `data` names, in the shape of the samples. What is held out to test on is what the generator's run held
/// out, unless another part is asked for.
pub(super) fn real_images(
    config: &EvaluateConfig,
    samples: &Samples,
    data: &str,
    console: &Console,
) -> anyhow::Result<RealImages> {
    let trained = samples.trained_on().filter(|trained| trained.is(data));
    let dataset =
        crate::commands::evaluate::open(data, samples.image_shape(), config, trained.zip(samples.file()), console)?;
    let all = dataset.train.len();
    let searched = match (trained, &config.reference) {
        _ if config.output.is_none() => None,
        (Some(trained), _) => Some(trained.images(&dataset)?),
        (None, Reference::Test) => Some(dataset.train.clone()),
        (None, _) => None,
    };
    let test_part = config.test_part.or(trained.and_then(|trained| trained.test_part(&dataset)));
    let dataset = match config.reference == Reference::Test || test_part.is_some() {
        true => images::with_test_part(dataset, test_part, false, console)?,
        false => dataset,
    };
    let held_out = all - dataset.train.len();
    Ok(RealImages { dataset, held_out, searched })
}
