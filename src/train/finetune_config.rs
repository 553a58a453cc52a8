//! Everything that decides what `finetune` computes: its flags, the saved configuration and the defaults are this one
//! struct.

use std::path::PathBuf;

use anyhow::bail;
use serde::{Deserialize, Serialize};

use crate::autograd::Precision;
use crate::data::test_part::TestPart;
use crate::error::Failure;
use crate::models::EncoderArchitecture;
use crate::optim::AdamConfig;
use crate::train::labels::Labels;

/// What is trained with the labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A linear layer on the frozen encoder
    Linear,
    /// The encoder and the linear layer, end to end
    Full,
    /// One after the other
    Both,
}

/// What to fine-tune, on how many labels, against what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct FinetuneConfig {
    /// The pretrained encoder: a file (ours, or PyTorch's .pth), a checkpoint, the directory of a run, or `bundled`, the
    /// one that comes with gan [default: that of the newest run, else bundled]
    #[arg(long, value_name = "FILE|DIR|bundled")]
    pub weights: Option<PathBuf>,

    /// The encoder that is expected there [default: any]
    #[arg(long, value_enum)]
    pub encoder: Option<EncoderArchitecture>,

    /// shapes (built in), cifar10, another named set, or a directory of its files or of images [default: what the
    /// encoder was pretrained on]
    #[arg(long, value_name = "NAME|DIR")]
    pub data: Option<String>,

    /// Of a set that brings no test images, hold this part of its images out to test on: a fixed choice of every class
    /// [default: 0.2, or the validation images where it brings those]
    #[arg(long, value_name = "PART")]
    #[serde(default)]
    pub test_part: Option<TestPart>,

    /// How many training images show their labels: a part (0.1, 1.0) or a number of them
    #[arg(long, value_name = "PART|N", default_value = "0.1")]
    pub labels: Labels,

    /// Of a named or built-in set: the same part of each class, instead of the first images (the course's). Of any other
    /// set every class is taken in proportion anyway
    #[arg(long)]
    pub stratified: bool,

    /// Whether it is; runs from before it took the first images of every set
    #[arg(skip = true)]
    #[serde(default)]
    pub balanced_parts: bool,

    /// What is trained
    #[arg(long, value_enum, default_value_t = Mode::Linear)]
    pub mode: Mode,

    /// The same from an untrained encoder, for comparison
    #[arg(long)]
    pub baseline: bool,

    /// Linear: compute the features once, without augmentation: seconds instead of minutes
    #[arg(long)]
    pub cached: bool,

    /// Passes over the labelled images
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub epochs: u64,

    /// Images a step, or all that are labelled where they are fewer; the last partial batch of an epoch is dropped
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub batch_size: usize,

    /// Learning rate of Adam
    #[arg(long, value_name = "RATE", default_value_t = 1e-3)]
    pub lr: f64,

    /// L2 penalty, added to the gradient
    #[arg(long, value_name = "W", default_value_t = 1e-6)]
    pub weight_decay: f64,

    /// Precision of the factors of products of matrices and convolutions, where the device has it; weights, moments
    /// and sums are f32
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    #[serde(default)] // runs from before it were in f32
    pub precision: Precision,

    /// Seed of the linear layer, the untrained encoder, the order of the images and their views
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Steps between two checkpoints
    #[arg(long, value_name = "STEPS", default_value_t = 500)]
    pub checkpoint_every: u64,

    /// Checkpoints that are kept
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub keep: usize,

    /// Write h of the test images (or of all, if the set has no labels) as (N, D) f32, in their order
    #[arg(long, value_name = "FILE.npy")]
    pub embeddings: Option<PathBuf>,
}

impl FinetuneConfig {
    /// Refuses values that cannot be meant, naming the flag. Exit code 2.
    pub fn validate(&self) -> anyhow::Result<()> {
        let positive = [
            ("--epochs", self.epochs),
            ("--batch-size", self.batch_size as u64),
            ("--checkpoint-every", self.checkpoint_every),
            ("--keep", self.keep as u64),
        ];
        for (flag, value) in positive {
            if value == 0 {
                bail!(Failure::Usage(format!("{flag} 0: expected at least 1")));
            }
        }
        if self.batch_size < 2 && self.mode != Mode::Linear {
            bail!(Failure::Usage("--batch-size 1: batch norm needs at least 2 images a batch".into()));
        }
        if self.batch_size > 65_536 {
            bail!(Failure::Usage("--batch-size ends at 65536".into()));
        }
        if self.cached && self.mode == Mode::Full {
            bail!(Failure::Usage(
                "--cached: features that are trained cannot be kept; it goes with --mode linear".into()
            ));
        }
        for (flag, value) in [("--lr", self.lr), ("--weight-decay", self.weight_decay)] {
            if !(value.is_finite() && value >= 0.0) {
                bail!(Failure::Usage(format!("{flag} {value}: expected a number of 0 or more")));
            }
        }
        if let Some(path) = &self.embeddings
            && path.extension().is_none_or(|extension| extension != "npy")
        {
            bail!(Failure::Usage(format!("--embeddings {}: expected a name that ends in .npy", path.display())));
        }
        Ok(())
    }

    /// Whether each row, in their order, trains the encoder too.
    pub fn rows(&self) -> Vec<(EncoderKind, bool)> {
        let encoders = match self.baseline {
            true => vec![EncoderKind::Pretrained, EncoderKind::Untrained],
            false => vec![EncoderKind::Pretrained],
        };
        let modes: &[bool] = match self.mode {
            Mode::Linear => &[false],
            Mode::Full => &[true],
            Mode::Both => &[false, true],
        };
        modes.iter().flat_map(|full| encoders.iter().map(|encoder| (*encoder, *full))).collect()
    }

    pub fn adam(&self) -> AdamConfig {
        AdamConfig { lr: self.lr, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: self.weight_decay }
    }
}

/// Which encoder a row of the table is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncoderKind {
    Pretrained,
    Untrained,
}

impl EncoderKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pretrained => "pretrained",
            Self::Untrained => "untrained",
        }
    }
}
