//! What the two networks minimise, of a batch.

use candle_core::{ModuleT, Result, Tensor};

use super::batch::Batch;
use super::scored::Seen;
use super::{Adversaries, StepKind, StepOutcome};
use crate::autograd;

/// What D makes of a batch.
pub(super) struct Judged {
    /// D's loss with its penalties.
    pub minimised: Tensor,
    /// G's loss is that on D's fakes, or not known yet where G is updated.
    pub outcome: StepOutcome,
}

impl Adversaries {
    /// D's loss on a batch and on fakes that G draws now.
    pub(super) fn judge(&self, batch: &Batch, kind: StepKind) -> Result<Judged> {
        let real = batch.seen(&batch.real, 0)?; // (N, H, W, C)
        let latents = batch.latents(0)?; // (N, Z), or (N, Z + K)
        let fakes = autograd::inference(|| self.generator.forward_t(&latents, true))?.detach(); // (N, H, W, C)
        let seen = batch.seen(&fakes, 1)?; // (N, H, W, C)
        let [of_real, of_fakes] = [0, 1].map(|part| batch.classes(part).cloned()); // (N, K)
        let penalties = self.penalties.of_step(kind.penalties_are_due);
        let mut batches = vec![
            Seen { images: real, classes: of_real, penalty: penalties.at_real },
            Seen { images: seen, classes: of_fakes, penalty: penalties.at_fakes },
        ];
        if penalties.between.is_some() {
            let between = |of: fn(&Seen) -> Option<&Tensor>| match (of(&batches[0]), of(&batches[1])) {
                (Some(real), Some(fakes)) => batch.between(real, fakes).map(Some),
                _ => Ok(None),
            };
            let (images, classes) = (between(|seen| Some(&seen.images))?, between(|seen| seen.classes.as_ref())?);
            batches.extend(images.map(|images| Seen { images, classes, penalty: penalties.between }));
        }
        let (scores, penalties) = self.scored(&batches)?; // (N, 1) each
        let (real_scores, fake_scores) = (&scores[0], &scores[1]);
        let d_loss = self.loss.discriminator(real_scores, fake_scores, self.label_smoothing)?;
        let minimised = penalties.iter().try_fold(d_loss.clone(), |sum, penalty| autograd::add(&sum, penalty))?;
        let (real_scores, fake_scores) = (real_scores.detach(), fake_scores.detach());
        let g_loss = match kind.updates_generator {
            true => d_loss.detach(), // until its own is known
            false => self.loss.generator(&fake_scores, Some(&real_scores))?,
        };
        let d_loss = d_loss.detach();
        Ok(Judged { minimised, outcome: StepOutcome { d_loss, g_loss, real_scores, fake_scores, fakes } })
    }

    /// G's loss, by D as it is now.
    pub(super) fn g_loss(&self, batch: &Batch) -> Result<Tensor> {
        let fakes = self.generator.forward_t(&batch.latents(1)?, true)?; // (N, H, W, C)
        let seen = batch.seen(&fakes, 2)?; // (N, H, W, C)
        let real_scores = match self.loss.is_of_pairs() {
            true => Some(autograd::inference(|| {
                let real = batch.seen(&batch.real, 0)?; // (N, H, W, C)
                self.detached_discriminator.scores(&real, batch.classes(0), true) // (N, 1)
            })?),
            false => None,
        };
        let fake_scores = self.detached_discriminator.scores(&seen, batch.classes(2), true)?; // (N, 1)
        self.loss.generator(&fake_scores, real_scores.as_ref())
    }
}
