//! How good a generator or an encoder is: what `gan evaluate` does, and the scores of a training run.

mod config;
mod encoder;
mod generator;
mod nearest;
mod subject;

use anyhow::bail;
use candle_core::Device;

use crate::checkpoint::atomic;
use crate::commands::train_classifier;
use crate::data::Dataset;
use crate::error::Failure;
use crate::evaluator::{Classifier, DEFAULT_DATA};
use crate::image_shape::ImageShape;
use crate::models::DigitClassifier;
use crate::report::Console;
use crate::run::images;

pub use config::{EvaluateConfig, MOST_SAMPLES};
use subject::{Samples, Subject};

/// Does what `config` asks for, and writes what it finds to stdout.
pub fn evaluate(config: &EvaluateConfig, device: &Device, json: bool, console: &Console) -> anyhow::Result<()> {
    config.validate()?;
    config.output.as_deref().map_or(Ok(()), atomic::check)?;
    if config.train_classifier {
        return train_a_classifier(config, device, json, console);
    }
    let classifier = || Classifier::find(config.classifier.as_deref(), device);
    if let Some(path) = &config.images {
        let classifier = classifier()?;
        let samples = Samples::given(path, &classifier, console)?;
        return generator::evaluate(config, &samples, classifier, device, json, console);
    }
    match subject::find(config, device)? {
        Subject::Generator(samples) => generator::evaluate(config, &samples, classifier()?, device, json, console),
        Subject::Encoder(source) => encoder::evaluate(config, source, device, json, console),
    }
}

fn train_a_classifier(config: &EvaluateConfig, device: &Device, json: bool, console: &Console) -> anyhow::Result<()> {
    let Some(output) = &config.output else {
        bail!(Failure::Usage("--train-classifier needs -o FILE.safetensors to write to".into()));
    };
    let name = config.data.as_deref().unwrap_or(DEFAULT_DATA);
    let dataset = open(name, DigitClassifier::IMAGE_SHAPE, config, console)?;
    let dataset = images::with_test_part(dataset, config.test_part, true, console)?;
    let (images, path) = (dataset.test.len(), output.display().to_string());
    let (accuracy, validation_accuracy) =
        train_classifier::train(&config.classifier_config, dataset, config.seed, output, device, console)?;
    console.note(&format!("{path}: accuracy {:.2} % on the {images} test images of {name}", 100.0 * accuracy));
    let fields = serde_json::json!({
        "path": path, "data": name, "accuracy": accuracy, "validation_accuracy": validation_accuracy
    });
    match json {
        true => console.data_line(&fields.to_string()),
        false => console.data_line(&path),
    }
}

/// The data set of that name in `shape`; a download shows its progress.
fn open(name: &str, shape: ImageShape, config: &EvaluateConfig, console: &Console) -> anyhow::Result<Dataset> {
    images::open_from(name, config.data_dir.as_deref(), shape, console)
}
