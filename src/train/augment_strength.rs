//! How much adaptive augmentation there is: the probability p of each transformation, raised while D is too sure of real
//! images and lowered while it is not (Karras et al., 2006.06676, section 3.1).

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

/// The share of real images that D is to take for real, less that of those that it takes for fakes.
const TARGET: f64 = 0.6;

/// Steps from one change of p to the next.
const INTERVAL: u64 = 4;

/// Where p has come to: the header entry `gan.augment` of a checkpoint. All of it whole numbers, which JSON keeps exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Raises of p without those that were taken back.
    raises: u64,
    /// Steps since p was looked at last.
    steps: u64,
    /// The real images of those steps that D took for real, less those that it took for fakes.
    signs: i64,
}

/// The probability p of each transformation.
#[derive(Debug)]
pub struct AugmentStrength {
    progress: Progress,
    /// By how much p changes at once.
    raise: f64,
    /// Real images of a step.
    batch_size: usize,
    /// The score from which on D takes an image for real; none where that is the score of a fake.
    threshold: Option<f64>,
    /// The sum of the signs of the last steps' scores, on the device: it is fetched when p is looked at.
    signs: Option<Tensor>,
}

impl AugmentStrength {
    /// From `progress` on. `images` is how many real images it takes from p = 0 to 1 at most.
    pub fn new(progress: Progress, batch_size: usize, images: f64, threshold: Option<f64>) -> Self {
        let raise = batch_size as f64 * INTERVAL as f64 / images;
        Self { progress, raise, batch_size, threshold, signs: None }
    }

    /// The probability of each transformation.
    pub fn p(&self) -> f64 {
        (self.progress.raises as f64 * self.raise).min(1.0)
    }

    /// Takes note of D's scores of a step's real images and fakes, (N, 1) each. The host waits for the device every fourth
    /// step.
    pub fn observe(&mut self, real_scores: &Tensor, fake_scores: &Tensor) -> Result<()> {
        let above = match self.threshold {
            Some(threshold) => (real_scores - threshold)?,
            None => (real_scores - fake_scores)?,
        };
        // Whole numbers far below 2^24: exact in any order.
        let signs = above.sign()?.sum_all()?;
        let signs = match &self.signs {
            Some(before) => (before + signs)?,
            None => signs,
        };
        self.signs = Some(signs);
        self.progress.steps += 1;
        if self.progress.steps < INTERVAL {
            return Ok(());
        }
        let (Progress { raises, .. }, signs) = (self.progress, self.progress()?.signs);
        let mean = signs as f64 / (INTERVAL as f64 * self.batch_size as f64);
        let raises = if mean > TARGET && self.p() < 1.0 {
            raises + 1
        } else if mean < TARGET {
            raises.saturating_sub(1)
        } else {
            raises
        };
        (self.progress, self.signs) = (Progress { raises, ..Progress::default() }, None);
        Ok(())
    }

    /// Where p has come to. The host waits for the device.
    pub fn progress(&self) -> Result<Progress> {
        let signs = self.signs.as_ref().map_or(Ok(0.0), Tensor::to_scalar::<f32>)?;
        Ok(Progress { signs: self.progress.signs + signs as i64, ..self.progress })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn scores(positive: usize, threshold: f32) -> Tensor {
        let scores: Vec<f32> = (0..10).map(|at| threshold + if at < positive { 0.1 } else { -0.1 }).collect();
        Tensor::from_vec(scores, (10, 1), &Device::Cpu).unwrap()
    }

    #[test]
    fn p_rises_above_the_target_falls_below_it_and_stays_at_it() {
        // The last is of a loss under which a fake's score is the threshold.
        for (threshold, middle) in [(Some(0.0), 0.0), (Some(0.5), 0.5), (None, 3.0)] {
            let mut strength = AugmentStrength::new(Progress::default(), 10, 200.0, threshold);
            let fakes = (scores(0, middle) + 0.1).unwrap();
            let mut after = |positive| {
                for _ in 0..INTERVAL {
                    strength.observe(&scores(positive, middle), &fakes).unwrap();
                }
                strength.p()
            };
            // A mean sign of 0.8 is above 0.6, one of 0.4 below it.
            let found = [9, 9, 7, 8, 9, 9, 9, 9, 9, 9, 0].map(&mut after);
            let expected = [0.2, 0.4, 0.2, 0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0, 0.8];
            assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12), "{found:?}");
        }
    }

    #[test]
    fn it_goes_on_from_any_step_as_if_it_had_never_stopped() {
        let mut whole = AugmentStrength::new(Progress::default(), 10, 200.0, Some(0.0));
        let mut stopped = AugmentStrength::new(Progress::default(), 10, 200.0, Some(0.0));
        for step in 0..23 {
            let text = serde_json::to_string(&stopped.progress().unwrap()).unwrap();
            stopped = AugmentStrength::new(serde_json::from_str(&text).unwrap(), 10, 200.0, Some(0.0));
            for strength in [&mut whole, &mut stopped] {
                let real = scores(6 + step % 5, 0.0);
                strength.observe(&real, &real).unwrap();
            }
            assert_eq!(whole.p().to_bits(), stopped.p().to_bits());
            assert_eq!(whole.progress().unwrap(), stopped.progress().unwrap());
        }
    }
}
