//! What a GAN's configuration says of how weights are moved, and for how long.

use crate::image_shape::ImageShape;
use crate::models::Architecture;
use crate::optim::{AdamConfig, Schedule};
use crate::train::gan_config::GanConfig;

/// Steps after which a `dcgan` of 64x64 draws something: about an hour on two cores.
const LEAST_STEPS: u64 = 7_000;

impl GanConfig {
    pub(super) fn discriminator_lr(&self) -> f64 {
        self.discriminator_lr.unwrap_or(self.lr)
    }

    /// `--steps`, or the steps of `--epochs`, or those of the course.
    pub fn last_step(&self, steps_per_epoch: u64) -> u64 {
        let course = match self.model {
            Architecture::Vanilla | Architecture::Lsgan => 10,
            Architecture::Dcgan => 5,
        };
        let of_epochs = |epochs: u64| epochs.saturating_mul(steps_per_epoch);
        let least = if self.image_shape() == ImageShape::COURSE { 0 } else { LEAST_STEPS };
        self.steps.or(self.epochs.map(of_epochs)).unwrap_or_else(|| of_epochs(course).max(least))
    }

    /// By what the learning rates of a run of `steps` steps are multiplied.
    pub fn schedule(&self, steps: u64) -> Schedule {
        Schedule { peak: 1.0, warmup_steps: 0, steps, decay: self.schedule }
    }

    pub fn discriminator_adam(&self) -> AdamConfig {
        AdamConfig { lr: self.discriminator_lr(), ..self.generator_adam() }
    }

    pub fn generator_adam(&self) -> AdamConfig {
        AdamConfig { lr: self.lr, beta1: self.beta1, beta2: self.beta2, eps: self.eps, weight_decay: 0.0 }
    }
}
