//! A generator of `stacked-mnist`: how many of its 1,000 modes it has found, and how evenly.

use std::path::Path;

use anyhow::bail;
use candle_core::Device;

use super::EvaluateConfig;
use crate::commands::evaluate::generator::real_images;
use crate::commands::evaluate::subject::Samples;
use crate::commands::processes::Processes;
use crate::data;
use crate::data::stacked::MODES;
use crate::error::Error;
use crate::evaluator::classifier::pixels;
use crate::evaluator::{Classifier, mode_histogram};
use crate::metrics::class_divergence;
use crate::pretrained::reference::Reference;
use crate::report::{Console, ModesRow, summary};

/// Samples where no number is given: those of the literature's tables.
const SAMPLES: usize = 26_000;

/// The data set, where it is the one that has modes, unless a picture of samples is asked for.
pub fn data_of<'a>(config: &'a EvaluateConfig, samples: &'a Samples) -> Option<&'a str> {
    let data = config.data.as_deref().or(samples.data());
    data.filter(|data| config.output.is_none() && data::is_stacked_mnist(data))
}

pub fn evaluate(
    config: &EvaluateConfig,
    (data, samples): (&str, &Samples),
    classifier: Classifier,
    device: &Device,
    processes: &Processes,
    json: bool,
    console: &Console,
) -> anyhow::Result<()> {
    let (count, shape) = (samples.count(config.n.unwrap_or(SAMPLES))?, samples.image_shape());
    console.note(&format!("evaluating {} against {data}, on {}", samples.description(), crate::device::name(device)));
    let dataset = real_images(config, samples, data, console)?.dataset;
    super::agree(processes, config, Path::new(&samples.name()), &dataset)?;
    let communicator = &**processes.communicator();
    let real = match config.reference {
        Reference::Test => dataset.test.clone(),
        Reference::Validation => dataset.validation_images()?,
        Reference::Train(..) => {
            bail!(Error::Usage(format!("--reference {}: of {data} expected test or validation", config.reference)))
        }
    };
    let real = real.first(count);
    let modes_of = |histogram: &[u64]| {
        let found = histogram.iter().filter(|count| **count > 0).count() as u64;
        class_divergence(histogram, &[1; MODES]).map(|divergence| (found, divergence))
    };
    let progress = console.items("digits of real images", real.len() as u64);
    let look = |first, some| pixels(&*real, first, some);
    let of_real = mode_histogram(
        &classifier,
        (real.shape()?, real.len()),
        device,
        communicator,
        |done| progress.set(done as u64),
        look,
    )?;
    let (reference_modes, reference_mode_divergence) = modes_of(&of_real)?;
    let seeds: Vec<u64> = (config.seed..config.seed + config.seeds).collect();
    let mut rows = Vec::new();
    for &seed in &seeds {
        let progress = console.items("samples", count as u64);
        let draw = |first, some| samples.draw(seed, first, some);
        let found =
            mode_histogram(&classifier, (shape, count), device, communicator, |done| progress.set(done as u64), draw)?;
        let (modes, mode_divergence) = modes_of(&found)?;
        let row = ModesRow {
            weights: samples.name(),
            data: dataset.name.clone(),
            classifier: classifier.description.clone(),
            seed,
            n: count as u64,
            modes,
            mode_divergence,
            reference_images: real.len() as u64,
            reference_modes,
            reference_mode_divergence,
        };
        if communicator.rank() == 0 {
            console.data_line(&if json { serde_json::to_string(&row)? } else { row.to_string() })?;
        }
        rows.push(row);
    }
    match json && rows.len() > 1 && communicator.rank() == 0 {
        true => console.data_line(&summary(&rows, &seeds)?.to_string()),
        false => Ok(()),
    }
}
