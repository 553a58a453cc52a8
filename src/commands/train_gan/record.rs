//! What is logged of a step, and whether the run is well.

use candle_core::Tensor;

use super::Training;
use crate::checkpoint::header::HEALTH;
use crate::report::GanRecord;
use crate::run::Run;
use crate::train::adversaries::StepOutcome;
use crate::train::augment_strength::AugmentStrength;
use crate::train::gan_config::GanConfig;
use crate::train::health::{History, StepStats, variety};

/// What the health of the run is judged by, as far as its checkpoint says.
pub(super) fn history(run: &Run<GanConfig>) -> anyhow::Result<History> {
    match run.is_resumed() {
        true => Ok(run.saved(HEALTH)?.unwrap_or_else(History::unknown)),
        false => Ok(History::default()),
    }
}

impl Training<'_> {
    /// Fetches what is logged of the step just done: the only place of the loop where the host waits for the device.
    pub(super) fn record(&mut self, outcome: &StepOutcome, real: &Tensor) -> anyhow::Result<GanRecord> {
        outcome.g_loss.to_scalar::<f32>()?; // the rate is that of finished steps
        let (loss, mark) = (self.config.loss(), self.session.clock.mark());
        let communication = self.session.communication();
        let record = GanRecord {
            step: mark.step,
            epoch: mark.epoch,
            seconds: mark.seconds,
            images_per_second: mark.images_per_second,
            d_loss: outcome.d_loss.to_scalar()?,
            g_loss: outcome.g_loss.to_scalar()?,
            real_score: loss.logged_score(&outcome.real_scores)?.to_scalar()?,
            fake_score: loss.logged_score(&outcome.fake_scores)?.to_scalar()?,
            augment_p: self.inputs.strength().map(AugmentStrength::p),
            scores: None,
            class_scores: None,
            evaluation: None,
            communication,
        };
        for (name, loss) in [("D's loss", record.d_loss), ("G's loss", record.g_loss)] {
            if !loss.is_finite() {
                return Err(self.session.loss_diverged(name, loss, &self.adversaries.state()));
            }
        }
        let variety_of = |images: &Tensor| -> candle_core::Result<f32> {
            Ok(variety(&images.flatten_all()?.to_vec1::<f32>()?, images.elem_count() / images.dim(0)?))
        };
        let all = |images: &Tensor| self.adversaries.gather(images);
        let relative_variety = variety_of(&all(&outcome.fakes)?)? / variety_of(&all(real)?)?;
        self.console.detail(&format!("step {}: variety {relative_variety:.3}", mark.step));
        // So many steps of G as there are of both where each updates both.
        let is_looked_at = (mark.step / self.config.log_every).is_multiple_of(self.config.discriminator_steps());
        if self.session.clock.is_on_interval() && is_looked_at {
            let stats = StepStats { d_loss: record.d_loss, g_loss: record.g_loss, relative_variety };
            if let Some((_, text)) = self.health.observe(stats) {
                self.console.warning(&format!("step {}: {text}", mark.step));
            }
        }
        Ok(record)
    }
}
