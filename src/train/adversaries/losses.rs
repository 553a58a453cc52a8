//! What the two networks minimise, of a batch.

use candle_core::{ModuleT, Result, Tensor, Var, bail};

use super::batch::Batch;
use super::{Adversaries, StepOutcome};
use crate::autograd::{self, Precision};
use crate::losses::gradient_penalty::{r1_penalty, r1_perturbations};

/// What D makes of a batch.
pub(super) struct Judged {
    /// D's loss with its penalty.
    pub minimised: Tensor,
    /// G's loss is not known yet.
    pub outcome: StepOutcome,
}

impl Adversaries {
    /// D's loss on a batch and on fakes that G draws now.
    pub(super) fn judge(&self, batch: &Batch, is_penalised: bool) -> Result<Judged> {
        let real = batch.seen(&batch.real, 0)?; // (N, H, W, C)
        let latents = batch.latents(0)?; // (N, Z), or (N, Z + K)
        let fakes = autograd::inference(|| self.generator.forward_t(&latents, true))?.detach(); // (N, H, W, C)
        let (of_real, of_fakes) = (batch.classes(0), batch.classes(1)); // (N, K)
        let mut images = vec![(real.clone(), of_real), (batch.seen(&fakes, 1)?, of_fakes)];
        let moved = match is_penalised {
            true => self.moved(&real, of_real)?.map(|images| (images, of_real)).to_vec(),
            false => Vec::new(),
        };
        let is_apart = is_penalised && autograd::precision() != Precision::F32;
        if !is_apart {
            images.extend_from_slice(&moved);
        }
        let mut scores = self.scores(&images)?; // (N, 1) each
        if is_apart {
            // The scores differ by less than such a precision's rounding.
            scores.extend(autograd::in_precision(Precision::F32, || self.scores(&moved))?);
        }
        let (real_scores, fake_scores) = (&scores[0], &scores[1]);
        let d_loss = self.loss.discriminator(real_scores, fake_scores, self.label_smoothing)?;
        let minimised = match &scores[2..] {
            [ahead, behind] => autograd::add(&d_loss, &r1_penalty(ahead, behind, self.penalty.weight)?)?,
            _ => d_loss.clone(),
        };
        let (real_scores, fake_scores) = (real_scores.detach(), fake_scores.detach());
        let (d_loss, g_loss) = (d_loss.detach(), d_loss.detach());
        Ok(Judged { minimised, outcome: StepOutcome { d_loss, g_loss, real_scores, fake_scores, fakes } })
    }

    /// G's loss, by D as it is now.
    pub(super) fn g_loss(&self, batch: &Batch) -> Result<Tensor> {
        let fakes = self.generator.forward_t(&batch.latents(1)?, true)?; // (N, H, W, C)
        let seen = batch.seen(&fakes, 2)?; // (N, H, W, C)
        self.loss.generator(&self.detached_discriminator.scores(&seen, batch.classes(2), true)?)
    }

    /// D's scores of batches of as many images, each with its classes if D is conditional, (N, 1) each: in one pass, unless
    /// a layer of it looks across the images of a batch.
    fn scores(&self, batches: &[(Tensor, Option<&Tensor>)]) -> Result<Vec<Tensor>> {
        if self.discriminator.looks_across_images() {
            return batches.iter().map(|(images, classes)| self.discriminator.scores(images, *classes, true)).collect();
        }
        let images: Vec<&Tensor> = batches.iter().map(|(images, _)| images).collect();
        let classes: Vec<&Tensor> = batches.iter().filter_map(|(_, classes)| *classes).collect();
        let classes = (!classes.is_empty()).then(|| Tensor::cat(&classes, 0)).transpose()?;
        let scores = self.discriminator.scores(&Tensor::cat(&images, 0)?, classes.as_ref(), true)?;
        let count = scores.dim(0)? / batches.len();
        (0..batches.len()).map(|part| autograd::narrow_rows(&scores, part * count, count)).collect()
    }

    /// Images moved along the gradients of their scores, and moved by as much the other way, (N, H, W, C) each.
    fn moved(&self, images: &Tensor, classes: Option<&Tensor>) -> Result<[Tensor; 2]> {
        let slopes = autograd::in_precision(Precision::F32, || self.slopes(images, classes))?;
        let steps = r1_perturbations(&slopes)?; // (N, H, W, C)
        Ok([(images + &steps)?, (images - &steps)?])
    }

    /// The gradient of each image's score in its pixels, (N, H, W, C) as the images.
    fn slopes(&self, images: &Tensor, classes: Option<&Tensor>) -> Result<Tensor> {
        let images = Var::from_tensor(images)?;
        let scores = self.detached_discriminator.scores(&images, classes, true)?; // (N, 1)
        // From a gradient of ones for each of the scores, the gradient of their sum.
        match autograd::backward(&scores)?.remove(&images) {
            Some(slopes) => Ok(slopes),
            None => bail!("D's scores do not depend on its images"),
        }
    }
}
