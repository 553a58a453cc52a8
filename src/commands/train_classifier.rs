//! Trains the digit classifier: a straight loop of a few minutes, which leaves one file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::bail;
use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::autograd::{self, Precision};
use crate::checkpoint::{self, Archive};
use crate::data::warp::warped_batches;
use crate::data::{Dataset, Images, StepPlan};
use crate::error::Failure;
use crate::evaluator::Classifier;
use crate::losses::classification::cross_entropy;
use crate::metrics::top_k;
use crate::models::{CLASSES, DigitClassifier};
use crate::optim::{AdamConfig, Decay, Optimizer, Schedule};
use crate::params::Parameters;
use crate::report::{Console, Figure, TrainingStatus};
use crate::run::header::MADE;
use crate::run::images;

/// Steps between two looks at the loss.
const LOG_EVERY: u64 = 50;

/// How the digit classifier is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[command(next_help_heading = "With --train-classifier")]
pub struct ClassifierConfig {
    /// Steps of training
    #[arg(long, value_name = "N", default_value_t = 7000, requires = "train_classifier")]
    pub steps: u64,

    /// Images a step
    #[arg(long, value_name = "N", default_value_t = 128, requires = "train_classifier")]
    pub batch_size: usize,

    /// Train on the first N training images [default: on all but the validation part, which are the first 50000 of
    /// MNIST's]
    #[arg(long, value_name = "N", requires = "train_classifier")]
    pub train_images: Option<usize>,

    /// Learning rate of Adam, which falls to 0 along half a cosine
    #[arg(long, value_name = "RATE", default_value_t = 2e-3, requires = "train_classifier")]
    pub lr: f64,
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

impl ClassifierConfig {
    /// Refuses values that cannot be meant, naming the flag. Exit code 2.
    pub fn validate(&self) -> anyhow::Result<()> {
        let train_images = self.train_images.map_or(1, |images| images as u64);
        let least = [
            ("--steps", self.steps, 1),
            ("--batch-size", self.batch_size as u64, 2),
            ("--train-images", train_images, 1),
        ];
        for (flag, value, least) in least {
            if value < least {
                bail!(Failure::Usage(format!("{flag} {value}: expected at least {least}")));
            }
        }
        if !(self.lr.is_finite() && self.lr >= 0.0) {
            bail!(Failure::Usage(format!("--lr {}: expected a number of 0 or more", self.lr)));
        }
        Ok(())
    }

    /// The command that makes the same weights again.
    fn command(&self, data: &str, seed: u64) -> String {
        let Self { steps, batch_size, train_images, lr } = self;
        let part = train_images.map(|images| format!(" --train-images {images}")).unwrap_or_default();
        format!(
            "gan evaluate --train-classifier --data {data}{part} --seed {seed} --steps {steps} --batch-size {batch_size} \
             --lr {lr}"
        )
    }
}

/// Trains on training images of `dataset`, writes the weights in f16 to `output`, and returns their accuracy on the test
/// images, and on the validation images if it is none of theirs that was trained on.
pub fn train(
    config: &ClassifierConfig,
    dataset: Dataset,
    seed: u64,
    output: &Path,
    device: &Device,
    console: &Console,
) -> anyhow::Result<(f64, Option<f64>)> {
    config.validate()?;
    check(&dataset)?;
    let held_out = dataset.held_out();
    let keeps_apart = config.train_images.is_none_or(|first| first <= held_out.start);
    let mut dataset = images::cut(dataset, config.train_images, keeps_apart, config.batch_size, console)?;
    if !keeps_apart {
        dataset.validation = Images::empty(dataset.train.shape());
    }
    let shape = dataset.train.shape();
    let parameters = Parameters::new(seed, "digit_classifier", device);
    let network = DigitClassifier::new(shape, parameters.builder())?;
    let adam = AdamConfig { lr: config.lr, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 1e-4 };
    let mut optimizer = Optimizer::adam(parameters.trainable(), adam)?;
    let schedule = Schedule { peak: config.lr, warmup_steps: 100, steps: config.steps, decay: Decay::Cosine };
    let train = Arc::new(dataset.train.clone());
    let plan = StepPlan::new(train.len(), config.batch_size, true, seed)?;
    let per_epoch = plan.steps_per_epoch();
    let mut batches = warped_batches(train, &plan)?;
    console.note(&format!(
        "training the digit classifier on {}: {} images, batch {}, {} steps, {}",
        dataset.name,
        dataset.train.len(),
        config.batch_size,
        config.steps,
        crate::device::name(device)
    ));

    let progress = console.training(0, config.steps);
    let (mut logged_at, mut logged_step) = (Instant::now(), 0);
    for step in 0..config.steps {
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
        progress.tick(step + 1);
        if (step + 1).is_multiple_of(LOG_EVERY) || step + 1 == config.steps {
            // The only place of the loop where the host waits for the device.
            let loss = loss.to_scalar::<f32>()?;
            if !loss.is_finite() {
                bail!(Failure::Diverged(format!("training diverged at step {step}: the loss is {loss}; lower --lr")));
            }
            let images = (step + 1 - logged_step) * config.batch_size as u64;
            progress.report(&TrainingStatus {
                step: step + 1,
                epoch: step / per_epoch + 1,
                epochs: Some(config.steps.div_ceil(per_epoch)),
                figures: vec![Figure::Plain("loss", loss.into())],
                images_per_second: images as f64 / logged_at.elapsed().as_secs_f64(),
            });
            (logged_at, logged_step) = (Instant::now(), step + 1);
        }
    }
    progress.finish();
    write(config, &dataset, seed, output, &parameters, device)
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
    let accuracy_on = |images: &Images| -> anyhow::Result<f64> {
        Ok(top_k(&classifier.judge_images(images, device)?.scores, &images.labels, 1)?)
    };
    let accuracy = accuracy_on(&dataset.test)?;
    let validation_accuracy = match dataset.validation.labels.is_empty() {
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
    checkpoint::write(output, &archive)?;
    Ok((accuracy, validation_accuracy))
}

/// [`Failure::Input`] where a part is missing or not labelled with the ten classes.
fn check(dataset: &Dataset) -> anyhow::Result<()> {
    let is_labelled = |images: &Images| !images.is_empty() && images.labels.len() == images.len();
    let in_range = |images: &Images| images.labels.iter().all(|label| (*label as usize) < CLASSES);
    for images in [&dataset.train, &dataset.test] {
        if !is_labelled(images) || !in_range(images) {
            bail!(Failure::Input(format!(
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
