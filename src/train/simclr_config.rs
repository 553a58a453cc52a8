//! Everything that decides what a SimCLR run computes: the flags of `pretrain-simclr`, the saved configuration and the
//! defaults are this one struct.

use anyhow::bail;
use candle_core::Var;
use serde::{Deserialize, Serialize};

use crate::autograd::Precision;
use crate::data::augment::Augmentation;
use crate::data::test_part::TestPart;
use crate::error::Failure;
use crate::models::EncoderArchitecture;
use crate::optim::{AdamConfig, Decay, Optimizer, Schedule, SgdConfig};

/// Which optimizer moves the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    Adam,
    /// With momentum
    Sgd,
    /// With momentum and layer-wise rates, for large batches
    Lars,
}

/// How the two views of a batch go through the networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ViewBatches {
    /// As one batch of 2N: batch norm sees both
    Joint,
    /// As two batches of N, one after the other, as the course does it
    Separate,
}

/// Which images the kNN accuracy is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum KnnReference {
    /// Those that the set keeps for it, else a part of the training images that the run does not train on (CIFAR-10's last
    /// 5000)
    Validation,
    /// The test images, which are for the last word
    #[default]
    Test,
}

/// What to pretrain, on what, how long, and how often to write what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct SimclrConfig {
    /// The encoder f
    #[arg(long, value_enum, default_value_t = EncoderArchitecture::Resnet9)]
    pub encoder: EncoderArchitecture,

    /// shapes (built in), cifar10, another named set, or a directory of its files or of images
    #[arg(long, value_name = "NAME|DIR", default_value = "shapes")]
    pub data: String,

    /// Train on N of the training images: the first of a named or built-in set, of another set a fixed choice that holds
    /// every class in proportion
    #[arg(long, value_name = "N")]
    pub train_images: Option<usize>,

    /// Whether such a choice is made; runs from before it took the first images of every set
    #[arg(skip = true)]
    #[serde(default)]
    pub balanced_parts: bool,

    /// Of a set with classes that brings no test images, hold this part of its images out, for finetune and evaluate to
    /// test on; 0: none [default: 0.2]
    #[arg(long, value_name = "PART")]
    #[serde(default = "nothing")] // runs from before it were trained on all images
    pub test_part: Option<TestPart>,

    /// Stop after N steps
    #[arg(long, value_name = "N", conflicts_with = "epochs")]
    pub steps: Option<u64>,

    /// Stop after N passes over the images [default: 4]
    #[arg(long, value_name = "N")]
    pub epochs: Option<u64>,

    /// Images a step, two views of each; the last partial batch of an epoch is dropped
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub batch_size: usize,

    /// Temperature of the loss
    #[arg(long, value_name = "T", default_value_t = 0.5)]
    pub temperature: f64,

    /// How the two views go through the networks
    #[arg(long, value_enum, default_value_t = ViewBatches::Joint)]
    pub views: ViewBatches,

    /// What moves the weights
    #[arg(long, value_enum, default_value_t = OptimizerKind::Adam)]
    pub optimizer: OptimizerKind,

    /// Learning rate after the warm-up [default: 1e-3 for adam, 0.06 * N / 128 for sgd, 0.3 * N / 256 for lars]
    #[arg(long, value_name = "RATE")]
    pub lr: Option<f64>,

    /// How the learning rate goes from there to the end of the run
    #[arg(long, value_enum, default_value_t = Decay::Cosine)]
    pub schedule: Decay,

    /// Steps in which the learning rate rises from 0
    #[arg(long, value_name = "STEPS", default_value_t = 100)]
    pub warmup_steps: u64,

    /// L2 penalty, added to the gradient; lars spares biases and batch norms
    #[arg(long, value_name = "W", default_value_t = 1e-6)]
    pub weight_decay: f64,

    /// Adam's decay of the first moment
    #[arg(long, value_name = "B", default_value_t = 0.9)]
    pub beta1: f64,

    /// Adam's decay of the second moment
    #[arg(long, value_name = "B", default_value_t = 0.999)]
    pub beta2: f64,

    /// Adam's epsilon
    #[arg(long, value_name = "E", default_value_t = 1e-8)]
    pub eps: f64,

    /// Momentum of sgd and lars
    #[arg(long, value_name = "M", default_value_t = 0.9)]
    pub momentum: f64,

    /// LARS's trust coefficient
    #[arg(long, value_name = "T", default_value_t = 1e-3)]
    pub trust: f64,

    /// Least area of a crop, as a part of the image
    #[arg(long, value_name = "PART", default_value_t = 0.08, help_heading = "The views")]
    pub min_crop: f64,

    /// Probability that a view is mirrored
    #[arg(long, value_name = "P", default_value_t = 0.5, help_heading = "The views")]
    pub flip: f32,

    /// Probability that the colours of a view are changed
    #[arg(long, value_name = "P", default_value_t = 0.8, help_heading = "The views")]
    pub jitter: f32,

    /// By how much brightness, contrast and saturation change: their factors are within 1 ± this
    #[arg(long, value_name = "PART", default_value_t = 0.4, help_heading = "The views")]
    pub jitter_strength: f32,

    /// By how much hue changes, as a part of the circle either way
    #[arg(long, value_name = "PART", default_value_t = 0.1, help_heading = "The views")]
    pub hue: f32,

    /// Probability that a view has no colour
    #[arg(long, value_name = "P", default_value_t = 0.2, help_heading = "The views")]
    pub grey: f32,

    /// Precision of the factors of products of matrices and convolutions, where the device has it; weights, moments
    /// and sums are f32
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    #[serde(default)] // runs from before it were in f32
    pub precision: Precision,

    /// Seed of the initial weights, the order of the images and the views
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Steps between two checkpoints
    #[arg(long, value_name = "STEPS", default_value_t = 500)]
    pub checkpoint_every: u64,

    /// Steps between two lines of metrics.jsonl
    #[arg(long, value_name = "STEPS", default_value_t = 10)]
    pub log_every: u64,

    /// 0 measures no kNN accuracy, and holds no image out for validation; else the epochs between two measurements, each of
    /// the features of all images, which needs labels. The last step is measured too, however few there were
    #[arg(long, value_name = "EPOCHS", default_value_t = 5)]
    pub knn_every: u64,

    /// The images whose classes are asked of the training images
    #[arg(long, value_enum, default_value_t = KnnReference::Validation)]
    #[serde(default)] // runs from before took the test images
    pub knn_reference: KnnReference,

    /// Checkpoints that are kept
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub keep: usize,

    /// Refused: the loss compares each view with all others of its batch, so a batch cannot be had in parts
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
    /// Refuses values that cannot be meant, naming the flag. Exit code 2.
    pub fn validate(&self) -> anyhow::Result<()> {
        if let Some(parts) = self.accumulate.filter(|parts| *parts != 1) {
            bail!(Failure::Usage(format!(
                "--accumulate {parts}: gradients cannot be added up over parts of a SimCLR batch\n\
                 each view is told apart from all others of its batch, so {parts} batches of {} have fewer negatives than \
                 one of {}: another loss, not the same in parts\ngive a larger --batch-size, or --optimizer lars with it",
                self.batch_size,
                self.batch_size as u64 * parts,
            )));
        }
        let positive = [
            ("--checkpoint-every", self.checkpoint_every),
            ("--log-every", self.log_every),
            ("--keep", self.keep as u64),
            ("--train-images", self.train_images.map_or(1, |images| images as u64)),
        ];
        for (flag, value) in positive {
            if value == 0 {
                bail!(Failure::Usage(format!("{flag} 0: expected at least 1")));
            }
        }
        if self.batch_size < 2 {
            bail!(Failure::Usage(format!(
                "--batch-size {}: the loss tells images of a batch apart, so a batch has at least 2",
                self.batch_size
            )));
        }
        if self.batch_size > 32_768 {
            bail!(Failure::Usage("--batch-size ends at 32768".into()));
        }
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            bail!(Failure::Usage(format!("--temperature {}: expected a number above 0", self.temperature)));
        }
        let not_negative = [
            ("--lr", self.lr()),
            ("--weight-decay", self.weight_decay),
            ("--eps", self.eps),
            ("--trust", self.trust),
            ("--jitter-strength", self.jitter_strength.into()),
        ];
        for (flag, value) in not_negative {
            if !(value.is_finite() && value >= 0.0) {
                bail!(Failure::Usage(format!("{flag} {value}: expected a number of 0 or more")));
            }
        }
        for (flag, value) in [("--beta1", self.beta1), ("--beta2", self.beta2), ("--momentum", self.momentum)] {
            if !(0.0..1.0).contains(&value) {
                bail!(Failure::Usage(format!("{flag} {value}: expected a number from 0 to below 1")));
            }
        }
        for (flag, value) in [("--flip", self.flip), ("--jitter", self.jitter), ("--grey", self.grey)] {
            if !(0.0..=1.0).contains(&value) {
                bail!(Failure::Usage(format!("{flag} {value}: expected a probability, from 0 to 1")));
            }
        }
        if !(self.min_crop > 0.0 && self.min_crop <= 1.0) {
            bail!(Failure::Usage(format!("--min-crop {}: expected a part of the area, to 1", self.min_crop)));
        }
        if !(0.0..=0.5).contains(&self.hue) {
            bail!(Failure::Usage(format!("--hue {}: expected a part of the circle, from 0 to 0.5", self.hue)));
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

    /// `--lr`, or the optimizer's usual one: for LARS that of the SimCLR paper, for SGD what is customary on CIFAR-10.
    pub fn lr(&self) -> f64 {
        self.lr.unwrap_or(match self.optimizer {
            OptimizerKind::Adam => 1e-3,
            OptimizerKind::Sgd => 0.06 * self.batch_size as f64 / 128.0,
            OptimizerKind::Lars => 0.3 * self.batch_size as f64 / 256.0,
        })
    }

    /// The learning rates of a run of `steps` steps.
    pub fn schedule(&self, steps: u64) -> Schedule {
        Schedule { peak: self.lr(), warmup_steps: self.warmup_steps, steps, decay: self.schedule }
    }

    pub fn optimizer(&self, parameters: Vec<(String, Var)>) -> candle_core::Result<Optimizer> {
        let Self { beta1, beta2, eps, weight_decay, momentum, .. } = *self;
        let trust = (self.optimizer == OptimizerKind::Lars).then_some(self.trust);
        match self.optimizer {
            OptimizerKind::Adam => {
                let config = AdamConfig { lr: self.lr(), beta1, beta2, eps, weight_decay };
                Optimizer::adam(parameters, config)
            }
            OptimizerKind::Sgd | OptimizerKind::Lars => {
                Optimizer::sgd(parameters, SgdConfig { momentum, weight_decay, trust })
            }
        }
    }

    pub fn augmentation(&self) -> Augmentation {
        Augmentation {
            scale: [self.min_crop, 1.0],
            flip: self.flip,
            jitter: self.jitter,
            brightness: self.jitter_strength,
            contrast: self.jitter_strength,
            saturation: self.jitter_strength,
            hue: self.hue,
            grey: self.grey,
            ..Default::default()
        }
    }
}
