//! Everything that decides what training a digit classifier computes: its flags and the defaults are this one struct.

use anyhow::bail;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::optim::{AdamConfig, Decay, Schedule};

/// How the digit classifier is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[command(next_help_heading = "With --train-classifier")]
pub struct ClassifierConfig {
    /// Train for N steps
    #[arg(long, value_name = "N", default_value_t = 7000, requires = "train_classifier")]
    pub steps: u64,

    /// Batch size
    #[arg(long, value_name = "N", default_value_t = 128, requires = "train_classifier")]
    pub batch_size: usize,

    /// Train on the first N training images [default: all but the validation images; of MNIST the first 50000]
    #[arg(long, value_name = "N", requires = "train_classifier")]
    pub train_images: Option<usize>,

    /// Learning rate of Adam, with cosine decay to 0
    #[arg(long, value_name = "RATE", default_value_t = 2e-3, requires = "train_classifier")]
    pub lr: f64,
}

impl ClassifierConfig {
    /// [`Error::Setting`] where a value is out of range.
    pub fn validate(&self) -> anyhow::Result<()> {
        let train_images = self.train_images.map_or(1, |images| images as u64);
        let least =
            [("steps", self.steps, 1), ("batch_size", self.batch_size as u64, 2), ("train_images", train_images, 1)];
        for (name, value, least) in least {
            if value < least {
                bail!(Error::setting(name, value, format!("expected at least {least}")));
            }
        }
        if !(self.lr.is_finite() && self.lr >= 0.0) {
            bail!(Error::setting("lr", self.lr, "expected a number of 0 or more"));
        }
        Ok(())
    }

    /// The command that makes the same weights again.
    pub fn command(&self, data: &str, seed: u64) -> String {
        let Self { steps, batch_size, train_images, lr } = self;
        let part = train_images.map(|images| format!(" --train-images {images}")).unwrap_or_default();
        format!(
            "gan evaluate --train-classifier --data {data}{part} --seed {seed} --steps {steps} --batch-size {batch_size} \
             --lr {lr}"
        )
    }

    pub fn adam(&self) -> AdamConfig {
        AdamConfig { lr: self.lr, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 1e-4 }
    }

    /// The learning rates, with a warm-up.
    pub fn schedule(&self) -> Schedule {
        Schedule { peak: self.lr, warmup_steps: 100, steps: self.steps, decay: Decay::Cosine }
    }
}
