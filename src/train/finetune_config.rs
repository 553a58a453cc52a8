//! Everything that decides what `finetune` computes: its flags, the saved configuration and the defaults are this one
//! struct.

use std::path::PathBuf;

use anyhow::bail;
use serde::{Deserialize, Serialize};

use crate::autograd::Precision;
use crate::data::test_part::TestPart;
use crate::error::Error;
use crate::models::EncoderArchitecture;
use crate::normalisation::Normalisation;
use crate::optim::AdamConfig;
use crate::train::labels::Labels;
use crate::train::normalise::Normalise;
use crate::train::simclr_images::check_image_size;
use crate::train::simclr_optimizer::check_clip_norm;

/// What is trained with the labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A linear layer on the frozen encoder (linear probe)
    Linear,
    /// The encoder and the linear layer, end to end
    Full,
    /// First one, then the other
    Both,
}

/// What to fine-tune, on how many labels, against what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct FinetuneConfig {
    /// Pretrained encoder: a file (.safetensors or PyTorch's .pth), a checkpoint, a run by its name or directory (its best
    /// encoder, if it keeps one), or `bundled` [default: the newest run's, else bundled]
    #[arg(long, value_name = "FILE|DIR|bundled")]
    pub weights: Option<PathBuf>,

    /// Architecture that the encoder must have [default: any]
    #[arg(long, value_enum)]
    pub encoder: Option<EncoderArchitecture>,

    /// Height and width that images are resized to, in pixels [default: the encoder's]
    #[arg(long, value_name = "PIXELS")]
    #[serde(default)] // runs from before took the encoder's
    pub image_size: Option<usize>,

    /// Whether crops are taken of the images in their own sizes; runs from before took them of images made to fit
    #[arg(skip = true)]
    #[serde(default)]
    pub crops_originals: bool,

    /// Mean and standard deviation that pixels are normalised by [default: the encoder's]
    #[arg(long, value_enum)]
    #[serde(default)] // runs from before took the encoder's
    pub normalise: Option<Normalise>,

    /// The statistics themselves, where they are not the encoder's
    #[arg(skip)]
    #[serde(default)]
    pub normalisation: Option<Normalisation>,

    /// Labelled images: shapes (built in), cifar10, another named set, a directory, or a .tar or .zip of images
    /// [default: what the encoder was pretrained on]
    #[arg(long, value_name = "NAME|DIR|FILE")]
    pub data: Option<String>,

    /// Leave out pictures that cannot be decoded, with a warning, instead of refusing the set
    #[arg(long)]
    #[serde(default)]
    pub skip_broken: bool,

    /// Fraction of the images to hold out for testing, the same of every class, if the data set has no test images
    /// [default: 0.2, or its validation images]
    #[arg(long, value_name = "PART")]
    #[serde(default)]
    pub test_part: Option<TestPart>,

    /// Training images to use the labels of: a fraction (0.1, 1.0) or a number
    #[arg(long, value_name = "PART|N", default_value = "0.1")]
    pub labels: Labels,

    /// Choose the labelled images class by class instead of taking the first ones, as the course does; matters for
    /// named and built-in sets only
    #[arg(long)]
    pub stratified: bool,

    /// Whether it is; runs from before it took the first images of every set
    #[arg(skip = true)]
    #[serde(default)]
    pub balanced_parts: bool,

    /// What to train
    #[arg(long, value_enum, default_value_t = Mode::Linear)]
    pub mode: Mode,

    /// Also train on an untrained encoder, for comparison
    #[arg(long)]
    pub baseline: bool,

    /// Compute the features once, without augmentation: much faster; for --mode linear
    #[arg(long)]
    pub cached: bool,

    /// Train for N epochs
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub epochs: u64,

    /// Batch size, at most the number of labelled images; an incomplete last batch is dropped
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub batch_size: usize,

    /// Number of parts to compute a batch in, one after another or in several processes, each with its own batch norm. The
    /// results depend on it, not on the number of processes [default: the number of processes]
    #[arg(long, value_name = "N")]
    #[serde(default)]
    pub shards: Option<usize>,

    /// Learning rate of Adam
    #[arg(long, value_name = "RATE", default_value_t = 1e-3)]
    pub lr: f64,

    /// L2 penalty, added to the gradient
    #[arg(long, value_name = "W", default_value = "1e-6")]
    pub weight_decay: f64,

    /// Clip the global norm of the gradients to this value; for --mode full
    #[arg(long, value_name = "NORM")]
    #[serde(default)] // runs from before did not
    pub clip_norm: Option<f64>,

    /// Precision of matrix products and convolutions. Weights, optimizer state and sums are always f32
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    #[serde(default)] // runs from before it were in f32
    pub precision: Precision,

    /// Random seed of the linear layer, the untrained encoder, the data order and the views
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Steps between checkpoints
    #[arg(long, value_name = "STEPS", default_value_t = 500)]
    pub checkpoint_every: u64,

    /// Number of checkpoints to keep
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub keep: usize,

    /// Write the features of the test images, or of all images if there are no labels, as (N, D) f32
    #[arg(long, value_name = "FILE.npy")]
    pub embeddings: Option<PathBuf>,
}

impl FinetuneConfig {
    /// [`Error::Setting`] where a value is out of range.
    pub fn validate(&self) -> anyhow::Result<()> {
        let positive = [
            ("epochs", self.epochs),
            ("batch_size", self.batch_size as u64),
            ("checkpoint_every", self.checkpoint_every),
            ("keep", self.keep as u64),
        ];
        for (name, value) in positive {
            if value == 0 {
                bail!(Error::setting(name, value, "expected at least 1"));
            }
        }
        check_image_size(self.image_size)?;
        if self.batch_size < 2 && self.mode != Mode::Linear {
            bail!(Error::setting("batch_size", 1, "batch norm needs at least 2 images a batch"));
        }
        if self.batch_size > 65_536 {
            bail!(Error::setting("batch_size", self.batch_size, "expected at most 65536"));
        }
        let (shards, batch_size) = (self.shards.unwrap_or(1), self.batch_size);
        if shards == 0 || !batch_size.is_multiple_of(shards) {
            bail!(Error::setting("shards", shards, format!("expected a divisor of the batch size, {batch_size}")));
        }
        if batch_size / shards < 2 && self.mode != Mode::Linear {
            bail!(Error::setting("shards", shards, "batch norm needs at least 2 images a shard"));
        }
        if self.cached && self.mode == Mode::Full {
            bail!(Error::setting("cached", "", "features that are trained cannot be kept; it goes with mode linear"));
        }
        check_clip_norm(self.clip_norm)?;
        if let (Some(norm), Mode::Linear) = (self.clip_norm, self.mode) {
            bail!(Error::setting("clip_norm", norm, "a linear layer is trained without it; it goes with mode full"));
        }
        for (name, value) in [("lr", self.lr), ("weight_decay", self.weight_decay)] {
            if !(value.is_finite() && value >= 0.0) {
                bail!(Error::setting(name, value, "expected a number of 0 or more"));
            }
        }
        if let Some(path) = &self.embeddings
            && path.extension().is_none_or(|extension| extension != "npy")
        {
            bail!(Error::setting("embeddings", path.display(), "expected a name that ends in .npy"));
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
