//! How good a generator or an encoder is: what `gan evaluate` does, and the scores of a training run.

mod config;
mod encoder;
mod features;
mod generator;
mod nearest;
mod neighbours;
mod subject;

use std::path::Path;

use candle_core::Device;

use crate::checkpoint::atomic;
use crate::commands::processes::Processes;
use crate::commands::{images, weights};
use crate::data::identity::Identity;
use crate::data::{DataOptions, Dataset};
use crate::evaluator::Classifier;
use crate::image_shape::ImageShape;
use crate::models::DigitClassifier;
use crate::report::Console;

pub use config::EvaluateConfig;
use subject::{Samples, Subject};

/// Does what `config` asks for, and writes what it finds to stdout.
pub fn evaluate(
    config: &EvaluateConfig,
    device: &Device,
    processes: &Processes,
    json: bool,
    console: &Console,
) -> anyhow::Result<()> {
    config.validate()?;
    config.output.as_deref().map_or(Ok(()), atomic::check)?;
    if let Some(path) = &config.features {
        return features::evaluate(config, path, device, processes, json, console);
    }
    let classifier = || Classifier::find(config.classifier.as_deref(), device);
    if let Some(path) = &config.images {
        let classifier = classifier()?;
        let samples = Samples::given(path, &classifier, console)?;
        return generator::evaluate(config, &samples, classifier, device, processes, json, console);
    }
    match subject::find(config, device)? {
        Subject::Generator(samples) if samples.image_shape() != DigitClassifier::IMAGE_SHAPE => {
            neighbours::evaluate(config, &samples, processes, json, console)
        }
        Subject::Generator(samples) => {
            generator::evaluate(config, &samples, classifier()?, device, processes, json, console)
        }
        Subject::Encoder(source) => encoder::evaluate(config, source, device, processes, json, console),
    }
}

/// Refuses processes that would evaluate something else than the first one, `what`, or on other images.
fn agree(processes: &Processes, config: &EvaluateConfig, what: &Path, dataset: &Dataset) -> anyhow::Result<()> {
    processes.agree(|| {
        Ok(vec![
            ("setting", format!("{config:?}")),
            ("network", what.display().to_string()),
            ("set of images", serde_json::to_string(&Identity::of(dataset)?)?),
        ])
    })
}

/// The data set of that name in `shape`; a download shows its progress. The network in the file `trained` was trained on it.
fn open(
    name: &str,
    shape: ImageShape,
    config: &EvaluateConfig,
    trained: Option<&Path>,
    console: &Console,
) -> anyhow::Result<Dataset> {
    let options = config.data_options.clone();
    let data_dir = options.data_dir.or_else(|| weights::data_dir_of(trained?));
    images::open_from(name, &DataOptions { data_dir, ..options }, shape, console)
}
