//! The scores of a generator, seed after seed.

use anyhow::Context;
use candle_core::Device;

use super::nearest::NearestImages;
use super::subject::Samples;
use super::{Classifier, DEFAULT_DATA, EvaluateConfig, Judge, SHAPE};
use crate::report::{Console, GeneratorRow, scores_table, summary};

pub fn evaluate(
    config: &EvaluateConfig,
    samples: &Samples,
    device: &Device,
    json: bool,
    console: &Console,
) -> anyhow::Result<()> {
    let count = samples.count(config.n)?;
    let data = config.data.as_deref().or(samples.data()).unwrap_or(DEFAULT_DATA);
    console.note(&format!("evaluating {} against {data}, on {}", samples.description(), crate::device::name(device)));
    let classifier = Classifier::find(config.classifier.as_deref(), device)?;
    let dataset = super::open(data, SHAPE, config, console)?;
    let judge = Judge::prepare(classifier, &dataset, &config.reference, count, device)?;
    if let Some(doubt) = judge.doubt() {
        console.warning(&doubt);
    }

    let mut rows = Vec::new();
    let seeds: Vec<u64> = (config.seed..config.seed + config.seeds).collect();
    let progress = console.items("samples", count as u64 * config.seeds);
    for (index, &seed) in seeds.iter().enumerate() {
        let mut nearest = NearestImages::new(config.output.as_deref().filter(|_| index == 0), count);
        let draw = |first, some| {
            let images = samples.draw(seed, first, some, device)?;
            nearest.take(&images);
            Ok(images)
        };
        let measured = judge.measure(count, seed, draw, |done| {
            progress.set((index * count + done) as u64);
            true
        })?;
        let measured = measured.context("not all samples were measured")?;
        let distances = nearest.finish(&dataset, &config.reference)?;
        let row = GeneratorRow {
            weights: samples.name(),
            data: dataset.name.clone(),
            reference: config.reference.words(),
            classifier: judge.classifier().description.clone(),
            classifier_accuracy: judge.accuracy,
            seed,
            n: count as u64,
            reference_images: judge.reference_images() as u64,
            floor_images: judge.floor_images as u64,
            compared: judge.compared() as u64,
            frechet_ratio: measured.scores.frechet / measured.scores.frechet_floor,
            scores: measured.scores,
            kid_spread: measured.kid_spread,
            histogram: measured.histogram,
            nearest_train: distances.map(|(of_samples, _)| of_samples),
            nearest_train_reference: distances.map(|(_, of_reference)| of_reference),
            classifier_score_reference: judge.reference_score()?,
            training_images: *judge.floor(),
        };
        if json {
            console.data_line(&serde_json::to_string(&row)?)?;
        }
        rows.push(row);
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
