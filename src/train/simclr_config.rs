//! Everything that decides what a SimCLR run computes: the flags of `pretrain-simclr`, the saved configuration and the
//! defaults are this one struct.

use anyhow::bail;
use serde::{Deserialize, Serialize};

use crate::autograd::Precision;
use crate::checkpoint::Measure;
use crate::data::test_part::TestPart;
use crate::error::Error;
use crate::models::{EncoderArchitecture, Stem};
use crate::normalisation::Normalisation;
use crate::optim::Decay;
use crate::train::keep_best::{check_keep_best, is_zero};
use crate::train::normalise::Normalise;
pub use crate::train::simclr_choices::{KnnReference, OptimizerKind, ViewBatches};
use crate::train::simclr_images::cifar_size;
use crate::train::simclr_optimizer::check_clip_norm;

/// What to pretrain, on what, how long, and how often to write what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct SimclrConfig {
    /// Encoder
    #[arg(long, value_enum, default_value_t = EncoderArchitecture::Resnet9)]
    pub encoder: EncoderArchitecture,

    /// First layers of the encoder [default: imagenet for resnet18 and resnet50 from --image-size 96 on, else small]
    #[arg(long, value_enum)]
    #[serde(default)] // runs from before had the small one
    pub stem: Option<Stem>,

    /// Height and width of the views, in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = cifar_size())]
    #[serde(default = "cifar_size")] // of runs from before
    pub image_size: usize,

    /// Whether crops are taken of the images in their own sizes; runs from before took them of images made to fit
    #[arg(skip = true)]
    #[serde(default)]
    pub crops_originals: bool,

    /// Mean and standard deviation that pixels are normalised by
    #[arg(long, value_enum, default_value_t = Normalise::Cifar10)]
    #[serde(default)] // runs from before were normalised so
    pub normalise: Normalise,

    /// The statistics themselves, once the images are known; runs from before do not say them
    #[arg(skip)]
    #[serde(default)]
    pub normalisation: Option<Normalisation>,

    /// Training images: shapes (built in), cifar10, another named set, a directory of images or data files, or
    /// a .tar or .zip of images
    #[arg(long, value_name = "NAME|DIR|FILE", default_value = "shapes")]
    pub data: String,

    /// Train on N images only: the first N of a named or built-in set, a fixed, class-balanced choice of any other
    #[arg(long, value_name = "N")]
    pub train_images: Option<usize>,

    /// Whether such a choice is made; runs from before it took the first images of every set
    #[arg(skip = true)]
    #[serde(default)]
    pub balanced_parts: bool,

    /// Leave out pictures that cannot be decoded, with a warning, instead of refusing the set
    #[arg(long)]
    #[serde(default)]
    pub skip_broken: bool,

    /// Fraction of the images to hold out for testing, the same of every class, if the data set has no test images but
    /// has classes; 0: none [default: 0.2]
    #[arg(long, value_name = "PART")]
    #[serde(default = "nothing")] // runs from before it were trained on all images
    pub test_part: Option<TestPart>,

    /// Train for N steps
    #[arg(long, value_name = "N", conflicts_with = "epochs")]
    pub steps: Option<u64>,

    /// Train for N epochs [default: 4]
    #[arg(long, value_name = "N")]
    pub epochs: Option<u64>,

    /// Images per batch, two views of each; an incomplete last batch is dropped
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub batch_size: usize,

    /// Number of parts to compute a batch in, one after another or in several processes, each with its own batch norm; the
    /// loss is that of all views. The results depend on it, not on the number of processes [default: the number of
    /// processes]
    #[arg(long, value_name = "N")]
    #[serde(default)]
    pub shards: Option<usize>,

    /// Batch norm over all of these parts; without it each part is normalised by itself, as if it were a batch
    #[arg(long)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")] // runs from before it had none
    pub sync_batch_norm: bool,

    /// Temperature of the NT-Xent loss
    #[arg(long, value_name = "T", default_value_t = 0.5)]
    pub temperature: f64,

    /// How the two views pass through the networks
    #[arg(long, value_enum, default_value_t = ViewBatches::Joint)]
    pub views: ViewBatches,

    /// Optimizer [default: adamw for vit-tiny, else adam]
    #[arg(long, value_enum)]
    pub optimizer: Option<OptimizerKind>,

    /// Learning rate after warm-up [default: 1e-3 for adam, 5e-4 for adamw, 0.06 * N / 128 for sgd, 0.3 * N / 256 for lars, with batch
    /// size N]
    #[arg(long, value_name = "RATE")]
    pub lr: Option<f64>,

    /// Learning rate schedule after warm-up
    #[arg(long, value_enum, default_value_t = Decay::Cosine)]
    pub schedule: Decay,

    /// Steps of linear warm-up from 0
    #[arg(long, value_name = "STEPS", default_value_t = 100)]
    pub warmup_steps: u64,

    /// Weight decay, added to the gradient as an L2 penalty; adamw applies its own to weights, apart from the gradient.
    /// lars and adamw leave out biases and norms [default: 0.05 for adamw, else 1e-6]
    #[arg(long, value_name = "W")]
    pub weight_decay: Option<f64>,

    /// Clip the global norm of the gradients to this value
    #[arg(long, value_name = "NORM")]
    #[serde(default)] // runs from before did not
    pub clip_norm: Option<f64>,

    /// Adam's beta1, the decay of the first moment
    #[arg(long, value_name = "B", default_value_t = 0.9)]
    pub beta1: f64,

    /// Adam's beta2, the decay of the second moment
    #[arg(long, value_name = "B", default_value_t = 0.999)]
    pub beta2: f64,

    /// Adam's epsilon
    #[arg(long, value_name = "E", default_value = "1e-8")]
    pub eps: f64,

    /// Momentum of sgd and lars
    #[arg(long, value_name = "M", default_value_t = 0.9)]
    pub momentum: f64,

    /// Trust coefficient of lars
    #[arg(long, value_name = "T", default_value_t = 1e-3)]
    pub trust: f64,

    /// Smallest crop, as a fraction of the image area
    #[arg(long, value_name = "PART", default_value_t = 0.08)]
    pub min_crop: f64,

    /// Probability of a horizontal flip
    #[arg(long, value_name = "P", default_value_t = 0.5)]
    pub flip: f32,

    /// Probability of colour jitter
    #[arg(long, value_name = "P", default_value_t = 0.8)]
    pub jitter: f32,

    /// Strength of the jitter of brightness, contrast and saturation: factors from 1 - S to 1 + S
    #[arg(long, value_name = "PART", default_value_t = 0.4)]
    pub jitter_strength: f32,

    /// Strength of the hue jitter, as a fraction of the colour circle
    #[arg(long, value_name = "PART", default_value_t = 0.1)]
    pub hue: f32,

    /// Probability of conversion to grey
    #[arg(long, value_name = "P", default_value_t = 0.2)]
    pub grey: f32,

    /// Precision of matrix products and convolutions. Weights, optimizer state and sums are always f32
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    #[serde(default)] // runs from before it were in f32
    pub precision: Precision,

    /// Random seed of the initial weights, the data order and the views
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Steps between checkpoints
    #[arg(long, value_name = "STEPS", default_value_t = 500)]
    pub checkpoint_every: u64,

    /// Steps between lines of metrics.jsonl
    #[arg(long, value_name = "STEPS", default_value_t = 10)]
    pub log_every: u64,

    /// Measure the kNN accuracy of the features every so many epochs and after the last step; it needs labels. 0:
    /// never, and no validation images are held out
    #[arg(long, value_name = "EPOCHS", default_value_t = 5)]
    pub knn_every: u64,

    /// Images to classify by their nearest training images
    #[arg(long, value_enum, default_value_t = KnnReference::Validation)]
    #[serde(default)] // runs from before took the test images
    pub knn_reference: KnnReference,

    /// Keep the encoder of the best kNN accuracy as encoder_best.safetensors, which `gan finetune`, `gan embed` and `gan
    /// evaluate` then take of the run
    #[arg(long, value_name = "knn", value_parser = Measure::of_encoders)]
    #[serde(default, skip_serializing_if = "Option::is_none")] // runs from before it kept none
    pub keep_best: Option<Measure>,

    /// End the run after K measurements in a row without a new best; 0: never. A run that has ended so goes on with more
    /// steps or epochs or another K
    #[arg(long, value_name = "K", default_value_t = 0)]
    #[serde(default, skip_serializing_if = "is_zero")] // runs from before it had none
    pub patience: u64,

    /// Number of checkpoints to keep
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub keep: usize,

    /// Refused: the loss compares each view with all others of the batch, so gradients cannot be accumulated over parts
    /// of it
    #[arg(long, value_name = "N", visible_alias = "gradient-accumulation", hide = true)]
    #[serde(skip)]
    pub accumulate: Option<u64>,
}

/// Passes over the images where neither --steps nor --epochs is given.
const EPOCHS: u64 = 4;

fn nothing() -> Option<TestPart> {
    Some(TestPart::NONE)
}

impl SimclrConfig {
    /// [`Error::Setting`] where a value is out of range.
    pub fn validate(&self) -> anyhow::Result<()> {
        if let Some(parts) = self.accumulate.filter(|parts| *parts != 1) {
            let (of_part, of_all) = (self.batch_size, self.batch_size as u64 * parts);
            let problem = format!(
                "gradients cannot be added up over parts of a SimCLR batch\n\
                 each view is told apart from all others of its batch, so {parts} batches of {of_part} have fewer \
                 negatives than one of {of_all}: another loss, not the same in parts\n\
                 give a larger batch size, and shards to compute it in parts with the loss of all views"
            );
            bail!(Error::setting("accumulate", parts, problem));
        }
        let positive = [
            ("checkpoint_every", self.checkpoint_every),
            ("log_every", self.log_every),
            ("keep", self.keep as u64),
            ("train_images", self.train_images.map_or(1, |images| images as u64)),
        ];
        for (name, value) in positive {
            if value == 0 {
                bail!(Error::setting(name, value, "expected at least 1"));
            }
        }
        self.validate_images()?;
        if self.batch_size < 2 {
            let problem = "the loss tells images of a batch apart, so a batch has at least 2";
            bail!(Error::setting("batch_size", self.batch_size, problem));
        }
        let (shards, batch_size) = (self.shards.unwrap_or(1), self.batch_size);
        if shards == 0 || !batch_size.is_multiple_of(shards) {
            bail!(Error::setting("shards", shards, format!("expected a divisor of the batch size, {batch_size}")));
        }
        if batch_size / shards < 2 && !self.sync_batch_norm {
            bail!(Error::setting("shards", shards, "batch norm needs at least 2 images a shard"));
        }
        if self.batch_size > 32_768 {
            bail!(Error::setting("batch_size", self.batch_size, "expected at most 32768"));
        }
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            bail!(Error::setting("temperature", self.temperature, "expected a number above 0"));
        }
        let not_negative = [
            ("lr", self.lr()),
            ("weight_decay", self.weight_decay()),
            ("eps", self.eps),
            ("trust", self.trust),
            ("jitter_strength", self.jitter_strength.into()),
        ];
        for (name, value) in not_negative {
            if !(value.is_finite() && value >= 0.0) {
                bail!(Error::setting(name, value, "expected a number of 0 or more"));
            }
        }
        for (name, value) in [("beta1", self.beta1), ("beta2", self.beta2), ("momentum", self.momentum)] {
            if !(0.0..1.0).contains(&value) {
                bail!(Error::setting(name, value, "expected a number from 0 to below 1"));
            }
        }
        check_clip_norm(self.clip_norm)?;
        let by_tests = self.knn_reference == KnnReference::Test;
        check_keep_best(self.keep_best, self.patience, ("knn_every", self.knn_every), ("knn_reference", by_tests))?;
        for (name, value) in [("flip", self.flip), ("jitter", self.jitter), ("grey", self.grey)] {
            if !(0.0..=1.0).contains(&value) {
                bail!(Error::setting(name, value, "expected a probability, from 0 to 1"));
            }
        }
        if !(self.min_crop > 0.0 && self.min_crop <= 1.0) {
            bail!(Error::setting("min_crop", self.min_crop, "expected a part of the area, to 1"));
        }
        if !(0.0..=0.5).contains(&self.hue) {
            bail!(Error::setting("hue", self.hue, "expected a part of the circle, from 0 to 0.5"));
        }
        Ok(())
    }

    /// Whether choices are made by the validation images, so that the run does not train on them.
    pub fn watches_validation(&self) -> bool {
        self.knn_every > 0 && self.knn_reference == KnnReference::Validation
    }

    /// `--steps`, or the steps of `--epochs`.
    pub fn last_step(&self, steps_per_epoch: u64) -> u64 {
        self.steps.unwrap_or_else(|| self.epochs.unwrap_or(EPOCHS).saturating_mul(steps_per_epoch))
    }
}
