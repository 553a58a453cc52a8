//! The scores of a generator, or of images, on the features of Inception or of an encoder.

use std::path::Path;

use anyhow::{Context, bail};
use candle_core::Device;

use super::EvaluateConfig;
use crate::checkpoint::{Bundled, Weights};
use crate::commands::evaluate::generator::{RealImages, real_images, seen, warn_of_choice};
use crate::commands::evaluate::nearest::NearestImages;
use crate::commands::evaluate::subject::{self, Samples, Subject};
use crate::commands::processes::Processes;
use crate::commands::weights;
use crate::error::Error;
use crate::evaluator::{FeatureEvaluator, FeatureNetwork, Inception};
use crate::pretrained::TrainedEncoder;
use crate::report::{Console, FeatureScoresRow, feature_scores_table, summary};

/// Evaluates on the features of the network in `path`.
pub fn evaluate(
    config: &EvaluateConfig,
    path: &Path,
    device: &Device,
    processes: &Processes,
    json: bool,
    console: &Console,
) -> anyhow::Result<()> {
    let samples = match &config.images {
        Some(images) => Samples::opened(images, console)?,
        None => match subject::find(config, device)? {
            Subject::Generator(samples) => samples,
            Subject::Encoder(_) => bail!(Error::Usage(
                "--features: it is an encoder that is evaluated here, by its own features; leave the flag out".into()
            )),
        },
    };
    config.check_samples()?;
    let (name, count) = (samples.name(), samples.count(config.samples())?);
    let Some(data) = config.data.as_deref().or(samples.data()) else {
        bail!(Error::Usage(format!("{name}: name the real images to compare with: --data NAME|DIR")));
    };
    let network = network(config, path, device)?;
    console.note(&format!(
        "evaluating {} against {data}, by {}, on {}",
        samples.description(),
        network.description(),
        crate::device::name(device)
    ));
    let shape = samples.image_shape();
    let RealImages { dataset, held_out, searched } = real_images(config, &samples, data, console)?;
    super::agree(processes, config, Path::new(&format!("{name}, {}", network.sha256())), &dataset)?;
    let seen = seen(config, &samples, data, &dataset, held_out);
    let communicator = processes.communicator().clone();
    let mut evaluator = {
        let (real, training) = config.reference.choose(&dataset, count)?;
        let progress = console.items("real images", (real.len() + training.len()) as u64);
        let told = |done: usize| progress.set(done as u64);
        FeatureEvaluator::prepare(network, &dataset.name, (&real, &training), count, communicator, told)?
    };
    evaluator.samples_are_sorted = matches!(samples, Samples::Opened { .. });
    evaluator.warnings()?.iter().for_each(|warning| console.warning(warning));
    let images = evaluator.reference_images();
    if seen > 0 {
        console.warning(&format!(
            "{name} was trained on {} of the {images} reference images: a generator that copies them scores well",
            seen.min(images)
        ));
    }

    warn_of_choice(config, &samples, data, console);

    let mut rows = Vec::new();
    let seeds: Vec<u64> = (config.seed..config.seed + config.seeds).collect();
    let progress = console.items("samples", count as u64 * config.seeds);
    for (index, &seed) in seeds.iter().enumerate() {
        let draw = |first, some| samples.pixels(seed, first, some);
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
        let row = FeatureScoresRow {
            weights: name.clone(),
            data: dataset.name.clone(),
            reference: config.reference.words(),
            features: evaluator.network().description(),
            features_sha256: evaluator.network().sha256().to_string(),
            seed,
            n: count as u64,
            reference_images: images as u64,
            floor_images: evaluator.floor_images as u64,
            compared: evaluator.compared() as u64,
            frechet_ratio: measured.scores.frechet_floor.map(|floor| measured.scores.frechet / floor),
            scores: measured.scores,
            kid_spread: measured.kid_spread,
            inception_score_spread: measured.inception_score_spread,
            inception_score_reference: evaluator.real_score,
            nearest_train: distances.map(|(of_samples, _)| of_samples),
            nearest_train_reference: distances.map(|(_, of_reference)| of_reference),
            training_images: evaluator.floor().copied(),
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
        false => console.data_line(&feature_scores_table(&rows)),
        true if rows.len() > 1 => console.data_line(&summary(&rows, &seeds)?.to_string()),
        true => Ok(()),
    }
}

/// Inception, where the file holds it; else an encoder.
fn network(config: &EvaluateConfig, path: &Path, device: &Device) -> anyhow::Result<FeatureNetwork> {
    let located = weights::located(path, &config.weights_dir);
    if located.is_file() {
        let weights = Weights::open(&located)?;
        if Inception::is_in(&weights) {
            return Ok(FeatureNetwork::Inception(Box::new(Inception::load(&weights, config.inception, device)?)));
        }
    }
    if config.inception.is_some() {
        bail!(Error::Usage(format!("--inception: {} is not Inception V3", path.display())));
    }
    let source = weights::encoder(Some(path), None, &config.weights_dir)?;
    let sha256 = match source.path.is_file() {
        true => Weights::open(&source.path)?.sha256()?,
        false => Weights::bundled(Bundled::Encoder)?.sha256()?,
    };
    Ok(FeatureNetwork::Encoder(Box::new(TrainedEncoder::new(source, device)?), sha256))
}
