//! Trains the digit classifier: `gan evaluate --train-classifier`, a straight loop of a few minutes, which leaves one file.
//! It keeps no run and does not resume. With the other loops it shares the clock: log interval, rate, progress, signals.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::bail;
use candle_core::{DType, Device, Tensor};
use serde::Serialize;

use crate::autograd::{self, Precision};
use crate::checkpoint::header::{MADE, NETWORK};
use crate::checkpoint::{self, Archive, atomic};
use crate::commands::images;
use crate::data::test_part::TestPart;
use crate::data::warp::warped_batches;
use crate::data::{DataOptions, Dataset, ImageSet, StepPlan};
use crate::distributed::Alone;
use crate::error::Error;
use crate::evaluator::{Classifier, DEFAULT_DATA};
use crate::losses::classification::cross_entropy;
use crate::metrics::top_k;
use crate::models::{CLASSES, DigitClassifier, NetworkDescription};
use crate::optim::Optimizer;
use crate::params::Parameters;
use crate::report::{Console, Figure, Monitor, counted};
use crate::run::{Clock, StopRequest, Timetable};
use crate::train::classifier_config::ClassifierConfig;

/// Steps between two looks at the loss.
const LOG_EVERY: u64 = 50;

/// What to train on, and where to write the classifier.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// A named set, or a directory; else [`DEFAULT_DATA`].
    pub data: Option<&'a str>,
    /// Where named sets lie, and how a set is held.
    pub data_options: &'a DataOptions,
    pub test_part: Option<TestPart>,
    pub seed: u64,
    pub output: &'a Path,
}

/// How a file of weights came about: its header entry [`MADE`].
#[derive(Clone, Debug, Serialize)]
struct Made<'a> {
    command: String,
    data: &'a str,
    seed: u64,
    steps: u64,
    batch_size: usize,
    lr: f64,
    /// The first so many of the data set.
    train_images: usize,
    /// Top-1 on the validation images, where none of them was trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    validation_accuracy: Option<f64>,
    /// Top-1 on the test images, a fraction of 1, of the weights as they are in the file.
    accuracy: f64,
    test_images: usize,
}

/// Trains on training images, writes the weights in f16, and says their accuracy on the test images, and on the validation
/// images if it is none of theirs that was trained on.
pub fn train(
    config: &ClassifierConfig,
    task: Task,
    device: &Device,
    json: bool,
    console: &Console,
) -> anyhow::Result<()> {
    config.validate()?;
    atomic::check(task.output)?;
    let name = task.data.unwrap_or(DEFAULT_DATA);
    let dataset = images::open_from(name, task.data_options, DigitClassifier::IMAGE_SHAPE, console)?;
    let dataset = images::with_test_part(dataset, task.test_part, true, console)?;
    check(&dataset)?;
    let held_out = dataset.held_out();
    let keeps_apart = config.train_images.is_none_or(|first| first <= held_out.start);
    let mut dataset = images::cut(dataset, config.train_images, keeps_apart, config.batch_size, console)?;
    if !keeps_apart {
        dataset.validation = dataset.train.select(&[]);
    }
    let parameters = Parameters::new(task.seed, "digit_classifier", device);
    run_steps(config, &dataset, task.seed, &parameters, device, console)?;
    let (accuracy, validation_accuracy) = write(config, &dataset, task.seed, task.output, &parameters, device)?;

    let (images, path) = (dataset.test.len(), task.output.display().to_string());
    console.note(&format!("{path}: accuracy {:.2} % on the {images} test images of {name}", 100.0 * accuracy));
    let fields = serde_json::json!({
        "path": path, "data": name, "accuracy": accuracy, "validation_accuracy": validation_accuracy
    });
    console.data_line(&if json { fields.to_string() } else { path })
}

fn run_steps(
    config: &ClassifierConfig,
    dataset: &Dataset,
    seed: u64,
    parameters: &Parameters,
    device: &Device,
    console: &Console,
) -> anyhow::Result<()> {
    let shape = dataset.train.shape()?;
    let network = DigitClassifier::new(shape, parameters.builder())?;
    let mut optimizer = Optimizer::adam(parameters.trainable(), config.adam())?;
    let (schedule, train) = (config.schedule(), &dataset.train);
    let plan = StepPlan::new(train.len(), config.batch_size, true, seed)?;
    let timetable = Timetable {
        last_step: config.steps,
        steps_per_epoch: plan.steps_per_epoch(),
        batch_size: config.batch_size,
        log_every: LOG_EVERY,
        measure_every: 0,
        checkpoint_every: config.steps,
        keep: 0,
    };
    let mut batches = warped_batches(train.source(), &plan)?;
    console.note(&format!(
        "training the digit classifier on {}: {}, batch {}, {}, {}",
        dataset.name,
        counted(dataset.train.len(), "image"),
        config.batch_size,
        counted(config.steps, "step"),
        crate::device::name(device)
    ));
    let mut clock = Clock::start(timetable, (0, 0.0), Monitor::new(console, false), StopRequest::listen()?);
    while let Some(step) = clock.next_step()? {
        let batch = batches.next()?;
        let images = Tensor::from_vec(batch.pixels, ((), shape.height, shape.width, shape.channels), device)?; // (N, H, W, C)
        let labels = Tensor::new(batch.labels, device)?; // (N)
        let loss = autograd::training_step(Precision::F32, || {
            let features = network.features(&images, true)?; // (N, 128)
            let loss = cross_entropy(&network.scores(&features)?, &labels)?;
            optimizer.prepare(schedule.rate(step))?;
            optimizer.minimise(&loss, None)?;
            Ok::<_, candle_core::Error>(loss.detach())
        })?;
        clock.advance();
        if clock.is_logged() {
            // The only place of the loop where the host waits for the device.
            let loss = loss.to_scalar::<f32>()?;
            clock.mark();
            if !loss.is_finite() {
                let (what, last_good, largest) = (format!("the loss is {loss}"), None, None);
                bail!(Error::Diverged { step, what, last_good, largest });
            }
            clock.show(vec![Figure::Plain("loss", loss.into())], true);
        }
    }
    Ok(())
}

/// What is written is what is measured: the weights are rounded first.
fn write(
    config: &ClassifierConfig,
    dataset: &Dataset,
    seed: u64,
    output: &Path,
    parameters: &Parameters,
    device: &Device,
) -> anyhow::Result<(f64, Option<f64>)> {
    let mut tensors = BTreeMap::new();
    for (name, tensor) in parameters.tensors() {
        let tensor = tensor.to_device(&Device::Cpu)?;
        let is_float = tensor.dtype() == DType::F32;
        tensors.insert(name, if is_float { tensor.to_dtype(DType::F16)? } else { tensor });
    }
    let mut archive = Archive { tensors, metadata: BTreeMap::new() };
    let classifier = Classifier::new(&archive, "the digit classifier", device)?;
    let accuracy_on = |images: &ImageSet| -> anyhow::Result<f64> {
        Ok(top_k(&classifier.activations_of(&**images, device, &Alone)?.scores, &images.labels(), 1)?)
    };
    let accuracy = accuracy_on(&dataset.test)?;
    let validation_accuracy = match dataset.validation.labels().is_empty() {
        true => None,
        false => Some(accuracy_on(&dataset.validation)?),
    };
    let made = Made {
        command: config.command(&dataset.name, seed),
        data: &dataset.name,
        seed,
        steps: config.steps,
        batch_size: config.batch_size,
        lr: config.lr,
        train_images: dataset.train.len(),
        validation_accuracy,
        accuracy,
        test_images: dataset.test.len(),
    };
    archive.metadata.insert(MADE.into(), serde_json::to_string(&made)?);
    archive.metadata.insert(NETWORK.into(), serde_json::to_string(&NetworkDescription::digit_classifier())?);
    checkpoint::write(output, &archive)?;
    Ok((accuracy, validation_accuracy))
}

/// [`Error::Input`] where a part is missing or not labelled with the ten classes.
fn check(dataset: &Dataset) -> anyhow::Result<()> {
    let in_range = |images: &ImageSet| images.labels().iter().all(|label| (*label as usize) < CLASSES);
    for images in [&dataset.train, &dataset.test] {
        if !images.is_labelled() || !in_range(images) {
            bail!(Error::Input(format!(
                "--data {}: a classifier needs training and test images with labels of at most {CLASSES} classes; found \
                 {} and {} images, {} classes",
                dataset.name,
                dataset.train.len(),
                dataset.test.len(),
                dataset.classes.len()
            )));
        }
    }
    Ok(())
}
