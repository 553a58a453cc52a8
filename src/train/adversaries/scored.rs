//! What D says of batches, and the penalties on how its scores change with their pixels.

use candle_core::{Result, Tensor, Var, bail};

use super::Adversaries;
use crate::autograd::{self, Precision};
use crate::losses::gradient_penalty::{GradientPenalty, minimised};

/// Images as D sees them, (N, H, W, C).
#[derive(Clone)]
pub(super) struct Seen {
    pub images: Tensor,
    /// One-hot, (N, K), of a conditional GAN.
    pub classes: Option<Tensor>,
    pub penalty: Option<GradientPenalty>,
}

impl Adversaries {
    /// D's scores of batches of as many images each, (N, 1) each, and what is to be minimised for each penalty, a scalar.
    pub(super) fn scored(&self, batches: &[Seen]) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        // Before anything else is on the tape: a backward pass takes all that is.
        let directions: Vec<Option<Tensor>> =
            batches.iter().map(|batch| self.direction(batch)).collect::<Result<_>>()?;
        let mut scores: Vec<Option<Tensor>> = vec![None; batches.len()];
        let mut penalties = Vec::new();
        for group in self.passes(batches) {
            let direction: Vec<Tensor> = group.iter().filter_map(|&batch| directions[batch].clone()).collect();
            let (of_group, penalty) =
                self.pass(&group.iter().map(|&batch| &batches[batch]).collect::<Vec<_>>(), &direction)?;
            let count = of_group.dim(0)? / group.len();
            for (place, batch) in group.into_iter().enumerate() {
                scores[batch] = Some(autograd::narrow_rows(&of_group, place * count, count)?);
            }
            penalties.extend(penalty);
        }
        Ok((scores.into_iter().flatten().collect(), penalties))
    }

    /// Which batches go through D together: those without a penalty and those with one, unless a layer of it looks across
    /// the images of a batch.
    fn passes(&self, batches: &[Seen]) -> Vec<Vec<usize>> {
        if self.discriminator.looks_across_images() {
            return (0..batches.len()).map(|batch| vec![batch]).collect();
        }
        let (with, without): (Vec<usize>, Vec<usize>) =
            (0..batches.len()).partition(|&batch| batches[batch].penalty.is_some());
        [without, with].into_iter().filter(|group| !group.is_empty()).collect()
    }

    /// The scores of several batches in one pass, and what is minimised for their penalties by the derivatives of the scores
    /// along `directions`, of each batch one or of none.
    fn pass(&self, batches: &[&Seen], directions: &[Tensor]) -> Result<(Tensor, Option<Tensor>)> {
        let images = Tensor::cat(&batches.iter().map(|batch| &batch.images).collect::<Vec<_>>(), 0)?;
        let classes: Vec<&Tensor> = batches.iter().filter_map(|batch| batch.classes.as_ref()).collect();
        let classes = (!classes.is_empty()).then(|| Tensor::cat(&classes, 0)).transpose()?;
        if directions.is_empty() {
            return Ok((self.discriminator.scores(&images, classes.as_ref(), true)?, None));
        }
        let images = Var::from_tensor(&images)?;
        let along = Tensor::cat(directions, 0)?;
        // In another precision a unit near 0 might be on here and off where the direction was computed.
        autograd::in_precision(Precision::F32, || {
            let scores = self.discriminator.scores(&images, classes.as_ref(), true)?;
            let derivatives = autograd::tangent(&scores, &images, &along)?; // (N, 1)
            Ok((scores, Some(minimised(&derivatives)?)))
        })
    }

    /// Along which the derivative of a batch's scores is taken for its penalty, (N, H, W, C).
    fn direction(&self, Seen { images, classes, penalty }: &Seen) -> Result<Option<Tensor>> {
        let Some(penalty) = penalty else { return Ok(None) };
        let images = Var::from_tensor(images)?;
        let gradients = autograd::in_precision(Precision::F32, || {
            let scores = self.observing_discriminator.scores(&images, classes.as_ref(), true)?; // (N, 1)
            autograd::backward(&scores) // of their sum
        });
        match gradients?.remove(&images) {
            Some(gradients) => penalty.direction(&gradients).map(Some),
            None => bail!("D's scores do not depend on its images"),
        }
    }
}
