//! How good a generator or an encoder is: what `gan evaluate` does, and the scores of a training run.

mod config;
mod encoder;
mod features;
mod generator;
mod modes;
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
use crate::pretrained::trained_on::TrainedOn;
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
    if let Some(output) = &config.output {
        processes.refuse_common_output(output)?;
        atomic::check(output)?;
    }
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
        Subject::Generator(samples) if modes::data_of(config, &samples).is_some() => {
            let data = modes::data_of(config, &samples).unwrap_or_default();
            modes::evaluate(config, (data, &samples), classifier()?, device, processes, json, console)
        }
        Subject::Generator(samples) if samples.image_shape() != DigitClassifier::IMAGE_SHAPE => {
            neighbours::evaluate(config, &samples, processes, json, console)
        }
        Subject::Generator(samples) => {
            generator::evaluate(config, &samples, classifier()?, device, processes, json, console)
        }
        Subject::Encoder(source) => encoder::evaluate(config, *source, device, processes, json, console),
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

/// The data set of that name in `shape`; a download shows its progress. `trained` is what was trained on it, in its file.
fn open(
    name: &str,
    shape: ImageShape,
    config: &EvaluateConfig,
    trained: Option<(&TrainedOn, &Path)>,
    console: &Console,
) -> anyhow::Result<Dataset> {
    let options = config.data_options.clone();
    let data_dir = options.data_dir.or_else(|| weights::data_dir_of(trained?.1));
    let place = trained.map(|(trained, _)| trained.found()).filter(|_| config.data.is_none());
    images::open_from(place.unwrap_or(name), &DataOptions { data_dir, ..options }, shape, console)
}
