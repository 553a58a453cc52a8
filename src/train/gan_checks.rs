//! What no value of a GAN's configuration may be.

use anyhow::bail;

use crate::error::Error;
use crate::losses::adversarial::AdversarialLoss;
use crate::pretrained::reference::{MAX_SAMPLES, Reference};
use crate::train::adaptive_augmentation::Augment;
use crate::train::gan_config::{ADA_SPEED, GanConfig};
use crate::train::idle::{Reliant, refuse_idle};
use crate::train::keep_best::check_keep_best;
use crate::train::simclr_optimizer::check_clip_norm;

impl GanConfig {
    /// [`Error::Setting`] where a value is out of range.
    pub fn validate(&self) -> anyhow::Result<()> {
        let positive = [
            ("batch_size", self.batch_size as u64),
            ("latent_dim", self.latent_dim as u64),
            ("checkpoint_every", self.checkpoint_every),
            ("sample_every", self.sample_every),
            ("log_every", self.log_every),
            ("keep", self.keep as u64),
            ("r1_every", self.r1_every),
            ("discriminator_steps", self.discriminator_steps()),
            ("train_images", self.train_images.map_or(1, |images| images as u64)),
        ];
        for (name, value) in positive {
            if value == 0 {
                bail!(Error::setting(name, value, "expected at least 1"));
            }
        }
        if self.batch_size < 2 && self.model.has_batch_norm() {
            bail!(Error::setting("batch_size", 1, "batch norm needs at least 2 images a batch"));
        }
        let (shards, batch_size) = (self.shards.unwrap_or(1), self.batch_size);
        if shards == 0 || !batch_size.is_multiple_of(shards) {
            bail!(Error::setting("shards", shards, format!("expected a divisor of the batch size, {batch_size}")));
        }
        if batch_size / shards < 2 && self.model.has_batch_norm() && !self.sync_batch_norm {
            bail!(Error::setting("shards", shards, "batch norm needs at least 2 images a shard"));
        }
        self.validate_images()?;
        for (name, value) in [("batch_size", self.batch_size), ("latent_dim", self.latent_dim)] {
            if value > 65_536 {
                bail!(Error::setting(name, value, "expected at most 65536"));
            }
        }
        if !(10..=MAX_SAMPLES).contains(&self.evaluate_samples) {
            let problem = format!("expected 10 to {MAX_SAMPLES} samples");
            bail!(Error::setting("evaluate_samples", self.evaluate_samples, problem));
        }
        let by_tests = self.evaluate_reference == Reference::Test;
        let evaluations = ("evaluate_every", self.evaluate_every);
        check_keep_best(self.keep_best, self.patience, evaluations, ("evaluate_reference", by_tests))?;
        let not_negative = [
            ("lr", self.lr),
            ("discriminator_lr", self.discriminator_lr()),
            ("eps", self.eps),
            ("r1", self.r1),
            ("r2", self.r2),
            ("gradient_penalty", self.gradient_penalty),
        ];
        for (name, value) in not_negative {
            if !(value.is_finite() && value >= 0.0) {
                bail!(Error::setting(name, value, "expected a number of 0 or more"));
            }
        }
        for (name, value) in [("beta1", self.beta1), ("beta2", self.beta2), ("ema_decay", self.ema_decay)] {
            if !(0.0..1.0).contains(&value) {
                bail!(Error::setting(name, value, "expected a number from 0 to below 1"));
            }
        }
        check_clip_norm(self.clip_norm)?;
        if !(0.0..1.0).contains(&self.label_smoothing) {
            bail!(Error::setting("label_smoothing", self.label_smoothing, "expected a number from 0 to below 1"));
        }
        if self.label_smoothing > 0.0 && !self.loss().has_targets() {
            let problem = format!("the loss {} has no targets to smooth", self.loss().name());
            bail!(Error::setting("label_smoothing", self.label_smoothing, problem));
        }
        if !(self.ada_speed.is_finite() && self.ada_speed > 0.0) {
            bail!(Error::setting("ada_speed", self.ada_speed, "expected a number above 0"));
        }
        if self.augment == Augment::None && self.ada_speed != ADA_SPEED {
            bail!(Error::setting(
                "ada_speed",
                self.ada_speed,
                "there is no adaptive augmentation whose speed it could be"
            ));
        }
        if self.augment == Augment::Adaptive && self.diffaugment.is_on() {
            let problem = "adaptive augmentation has translations and colours of its own; leave one of the two out";
            bail!(Error::setting("diffaugment", self.diffaugment, problem));
        }
        Ok(())
    }

    /// [`Error::Setting`] where one of the `typed` fields, those that the user set, has no effect beside the others.
    pub fn refuse_idle(&self, typed: &[String]) -> anyhow::Result<()> {
        let (no_average, no_penalty) = ("no averaged generator is kept", "there is neither an R1 nor an R2 penalty");
        let (is_penalised, is_wgan_gp) = (self.r1 > 0.0 || self.r2 > 0.0, self.loss() == AdversarialLoss::WganGp);
        let not_wgan_gp = "it is of the loss wgan-gp; R1 and R2 go with any";
        let (no_scores, no_norm) = ("nothing is evaluated during training", "there is no batch norm in these networks");
        let (is_evaluated, reference) = (self.evaluate_every > 0, self.evaluate_reference.to_string());
        let classifier = self.evaluate_classifier.as_ref().map(|path| path.display().to_string());
        let settings = [
            ("ema_decay", self.ema_decay.to_string(), !self.no_ema, no_average),
            ("r1_every", self.r1_every.to_string(), is_penalised, no_penalty),
            ("gradient_penalty", self.gradient_penalty.to_string(), is_wgan_gp, not_wgan_gp),
            ("evaluate_samples", self.evaluate_samples.to_string(), is_evaluated, no_scores),
            ("evaluate_reference", reference, is_evaluated, no_scores),
            ("sync_batch_norm", String::new(), self.model.has_batch_norm(), no_norm),
            ("evaluate_classifier", classifier.unwrap_or_default(), is_evaluated, no_scores),
        ];
        let reliant = |(name, value, is_read, problem)| Reliant { name, value, is_read, problem };
        refuse_idle(settings.map(reliant), typed)
    }
}
