//! The losses of a generator and a discriminator on the discriminator's raw scores, each a mean over the batch.

use crate::autograd;
use candle_core::{Result, Tensor, bail};
use serde::{Deserialize, Serialize};

use crate::ops::{bce_with_logits, half_mean_square, hinge, scaled_mean};

/// Which game the two networks play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum AdversarialLoss {
    /// Binary cross-entropy, non-saturating: G maximises log D(G(z)) (Goodfellow et al., 1406.2661, section 3)
    Bce,
    /// Least squares with targets 1, 0 and 1 (Mao et al., 1611.04076, equation 9)
    Ls,
    /// Binary cross-entropy as first written: G minimises log(1 - D(G(z))), which saturates when D wins
    Minimax,
    /// Hinge: D aims at scores beyond 1 and -1, G at high ones (Lim and Ye, 1705.02894)
    Hinge,
    /// Wasserstein distance with a penalty on the norm of D's gradient between real images and fakes (Gulrajani et al.,
    /// 1704.00028)
    #[serde(rename = "wgan-gp")]
    WganGp,
    /// Each real image's score against that of a fake: softplus(-(D(x) - D(G(z)))) (Jolicoeur-Martineau, 1807.00734,
    /// RpGAN); with --r1 and --r2 the loss of R3GAN (2501.05441)
    Relativistic,
}

impl AdversarialLoss {
    /// What D minimises, from its scores on real images and on fakes, (N, 1) each. A scalar. D's target on real images is
    /// 1 - `smoothing`, on fakes 0: one-sided label smoothing (Salimans et al., 1606.03498, section 3.4). For
    /// cross-entropy the target is a probability, for least squares a score; G's target stays 1. The other losses
    /// have no target ([`has_targets`](Self::has_targets)) and leave `smoothing` out. The relativistic one takes the scores in
    /// pairs, row by row. That of `wgan-gp` is without its penalty, which
    /// [`gradient_penalty`](super::gradient_penalty) has.
    pub fn discriminator(self, real_scores: &Tensor, fake_scores: &Tensor, smoothing: f64) -> Result<Tensor> {
        let target = 1.0 - smoothing;
        match self {
            Self::Bce | Self::Minimax => {
                autograd::add(&bce_with_logits(real_scores, target)?, &bce_with_logits(fake_scores, 0.0)?)
            }
            Self::Ls => autograd::add(&half_mean_square(real_scores, target)?, &half_mean_square(fake_scores, 0.0)?),
            Self::Hinge => autograd::add(&hinge(real_scores, 1.0)?, &hinge(fake_scores, -1.0)?),
            Self::WganGp => autograd::add(&scaled_mean(real_scores, -1.0)?, &scaled_mean(fake_scores, 1.0)?),
            Self::Relativistic => bce_with_logits(&(real_scores - fake_scores)?, 1.0),
        }
    }

    /// What G minimises, from D's scores on its fakes, (N, 1), and where the loss [is of pairs](Self::is_of_pairs) those on
    /// as many real images. A scalar.
    ///
    /// # Errors
    /// Where it is of pairs and there are no real scores.
    pub fn generator(self, fake_scores: &Tensor, real_scores: Option<&Tensor>) -> Result<Tensor> {
        match self {
            Self::Bce => bce_with_logits(fake_scores, 1.0),
            Self::Ls => half_mean_square(fake_scores, 1.0),
            Self::Minimax => bce_with_logits(fake_scores, 0.0)?.neg(),
            Self::Hinge | Self::WganGp => scaled_mean(fake_scores, -1.0),
            Self::Relativistic => match real_scores {
                Some(real_scores) => bce_with_logits(&(fake_scores - real_scores)?, 1.0),
                None => bail!("the relativistic loss of a generator needs scores of real images"),
            },
        }
    }

    /// Its name, as the program's flags and saved configurations have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bce => "bce",
            Self::Ls => "ls",
            Self::Minimax => "minimax",
            Self::Hinge => "hinge",
            Self::WganGp => "wgan-gp",
            Self::Relativistic => "relativistic",
        }
    }

    /// Whether G's loss compares each fake with a real image.
    pub fn is_of_pairs(self) -> bool {
        self == Self::Relativistic
    }

    /// Whether D's scores have targets, which can be smoothed.
    pub fn has_targets(self) -> bool {
        matches!(self, Self::Bce | Self::Ls | Self::Minimax)
    }

    /// What the log says of D's scores, (N, 1): their mean, a scalar, on the scale of D's targets. For cross-entropy that
    /// of their sigmoid, D's belief that the images are real; else that of the scores themselves, which aim at 1 and 0 for
    /// least squares, beyond 1 and -1 for hinge. For `wgan-gp` and the relativistic loss only their difference means
    /// something.
    pub fn logged_score(self, scores: &Tensor) -> Result<Tensor> {
        match self {
            Self::Bce | Self::Minimax => candle_nn::ops::sigmoid(scores)?.mean_all(),
            Self::Ls | Self::Hinge | Self::WganGp | Self::Relativistic => scores.mean_all(),
        }
    }

    /// The score above which D takes an image for real: half-way between its targets. None where a constant added to all
    /// scores changes nothing.
    pub fn threshold(self) -> Option<f64> {
        match self {
            Self::Bce | Self::Minimax | Self::Hinge => Some(0.0),
            Self::Ls => Some(0.5),
            Self::WganGp | Self::Relativistic => None,
        }
    }

    /// The loss of a discriminator that knows every image, the least there is: the entropy of its targets. That of
    /// `wgan-gp` has no bound.
    pub fn least(self, smoothing: f64) -> f64 {
        let of = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
        match self {
            Self::Bce | Self::Minimax => of(smoothing) + of(1.0 - smoothing),
            Self::Ls | Self::Hinge | Self::Relativistic => 0.0,
            Self::WganGp => f64::NEG_INFINITY,
        }
    }

    /// The loss of a discriminator that cannot tell real from fake: log 4 where it answers 1/2, 1/4 by squares, 2 by hinge,
    /// log 2 of equal pairs. None where it says nothing: of `wgan-gp` it is 0, and the least loss has no bound.
    pub fn chance_level(self) -> Option<f32> {
        match self {
            Self::Bce | Self::Minimax => Some(2.0 * std::f32::consts::LN_2),
            Self::Ls => Some(0.25),
            Self::Hinge => Some(2.0),
            Self::Relativistic => Some(std::f32::consts::LN_2),
            Self::WganGp => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};
    use clap::ValueEnum;

    /// The scores of the assignment's own checks.
    const REAL: [f64; 10] = [
        0.93487311,
        -1.01698916,
        -0.57304769,
        -0.88162704,
        -1.40129389,
        -1.45395693,
        -1.54239755,
        -0.57273325,
        0.98584429,
        0.13312152,
    ];
    const FAKE: [f64; 10] = [
        -1.80865868,
        0.09030055,
        -0.4428902,
        -0.07879368,
        -0.37655044,
        0.32084742,
        -0.28590837,
        1.01376281,
        0.99241439,
        0.39394346,
    ];

    /// (N, 1), f32.
    fn scores(values: &[f64]) -> Tensor {
        let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        Tensor::new(values, &Device::Cpu).unwrap().unsqueeze(1).unwrap()
    }

    fn assert_close(found: Tensor, expected: f64) {
        let found = f64::from(found.to_scalar::<f32>().unwrap());
        assert!((found - expected).abs() / expected.abs() < 1e-6, "{found} is not {expected}");
    }

    #[test]
    fn the_assignments_values_come_out() {
        let (real, fake) = (scores(&REAL), scores(&FAKE));
        assert_close(AdversarialLoss::Bce.discriminator(&real, &fake, 0.0).unwrap(), 1.84239839);
        assert_close(AdversarialLoss::Bce.generator(&fake, None).unwrap(), 0.7712862);
        assert_close(AdversarialLoss::Ls.discriminator(&real, &fake, 0.0).unwrap(), 1.87702936);
        assert_close(AdversarialLoss::Ls.generator(&fake, None).unwrap(), 0.81695479);
    }

    /// Smoothed targets, from the definitions in f64.
    #[test]
    fn smoothing_moves_the_target_of_real_images_alone() {
        let (real, fake) = (scores(&REAL), scores(&FAKE));
        let mean = |scores: &[f64], of: &dyn Fn(f64) -> f64| scores.iter().map(|&s| of(s)).sum::<f64>() / 10.0;
        let log_sigmoid = |s: f64| -(1.0 + (-s).exp()).ln();
        for smoothing in [0.0, 0.1, 0.3] {
            let target = 1.0 - smoothing;
            let bce = -mean(&REAL, &|s| target * log_sigmoid(s) + smoothing * log_sigmoid(-s))
                - mean(&FAKE, &|s| log_sigmoid(-s));
            assert_close(AdversarialLoss::Bce.discriminator(&real, &fake, smoothing).unwrap(), bce);
            let ls = mean(&REAL, &|s| (s - target).powi(2) / 2.0) + mean(&FAKE, &|s| s * s / 2.0);
            assert_close(AdversarialLoss::Ls.discriminator(&real, &fake, smoothing).unwrap(), ls);
        }
        // Nothing is less than what the best score has.
        let best = scores(&[(0.9f64 / 0.1).ln()]);
        let sure = scores(&[-1e4]);
        assert_close(AdversarialLoss::Bce.discriminator(&best, &sure, 0.1).unwrap(), AdversarialLoss::Bce.least(0.1));
        assert_eq!(AdversarialLoss::Bce.least(0.0), 0.0);
    }

    #[test]
    fn what_is_logged_of_scores_has_the_scale_of_the_targets() {
        let mean = |of: &dyn Fn(f64) -> f64| REAL.iter().map(|&score| of(score)).sum::<f64>() / 10.0;
        for loss in AdversarialLoss::value_variants().iter().filter(|loss| loss.threshold() != Some(0.0)) {
            assert_close(loss.logged_score(&scores(&REAL)).unwrap(), mean(&|score| score));
        }
        assert_close(AdversarialLoss::Hinge.logged_score(&scores(&REAL)).unwrap(), mean(&|score| score));
        for loss in [AdversarialLoss::Bce, AdversarialLoss::Minimax] {
            let expected = mean(&|score| 1.0 / (1.0 + (-score).exp()));
            assert_close(loss.logged_score(&scores(&REAL)).unwrap(), expected);
        }
    }

    /// The original generator loss in f64: mean(log(1 - σ(s))).
    #[test]
    fn minimax_is_the_negative_of_the_discriminators_share() {
        let expected: f64 = FAKE.iter().map(|&s| (1.0 / (1.0 + s.exp())).ln()).sum::<f64>() / 10.0;
        assert_close(AdversarialLoss::Minimax.generator(&scores(&FAKE), None).unwrap(), expected);
    }

    /// From the definitions, in f64.
    #[test]
    fn the_newer_losses_are_those_of_their_papers() {
        let (real, fake) = (scores(&REAL), scores(&FAKE));
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / 10.0;
        let hinge =
            mean(&mut REAL.iter().map(|s| (1.0 - s).max(0.0))) + mean(&mut FAKE.iter().map(|s| (1.0 + s).max(0.0)));
        assert_close(AdversarialLoss::Hinge.discriminator(&real, &fake, 0.0).unwrap(), hinge);
        let of_fakes = mean(&mut FAKE.iter().copied());
        assert_close(
            AdversarialLoss::WganGp.discriminator(&real, &fake, 0.0).unwrap(),
            of_fakes - mean(&mut REAL.iter().copied()),
        );
        for loss in [AdversarialLoss::Hinge, AdversarialLoss::WganGp] {
            assert_close(loss.generator(&fake, None).unwrap(), -of_fakes);
        }
        let softplus = |value: f64| value.exp().ln_1p();
        let pairs = || REAL.iter().zip(&FAKE);
        let loss = AdversarialLoss::Relativistic;
        assert_close(loss.discriminator(&real, &fake, 0.0).unwrap(), mean(&mut pairs().map(|(r, f)| softplus(f - r))));
        assert_close(loss.generator(&fake, Some(&real)).unwrap(), mean(&mut pairs().map(|(r, f)| softplus(r - f))));
        assert!(loss.generator(&fake, None).is_err());
    }

    /// Of D that cannot tell, where scores have a middle; and at hinge's kinks no gradient, as PyTorch has it.
    #[test]
    fn chance_and_kinks() {
        for loss in AdversarialLoss::value_variants() {
            let Some(chance) = loss.chance_level() else { continue };
            let undecided = scores(&[loss.threshold().unwrap_or(7.0)]);
            assert_close(loss.discriminator(&undecided, &undecided, 0.0).unwrap(), chance.into());
        }
        let [real, fake] = [1.0, -1.0].map(|score| Var::from_tensor(&scores(&[score])).unwrap());
        let gradients = AdversarialLoss::Hinge.discriminator(&real, &fake, 0.0).unwrap().backward().unwrap();
        for scores in [&real, &fake] {
            assert_eq!(gradients.get(scores).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap(), [0.0]);
        }
    }

    #[test]
    fn gradients_are_sigmoid_minus_target_everywhere() {
        let points = [-1e4, -30.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 30.0, 1e4];
        for target in [0.0, 1.0] {
            let scores = Var::from_tensor(&scores(&points)).unwrap();
            let loss = bce_with_logits(&scores, target).unwrap();
            assert!(loss.to_scalar::<f32>().unwrap().is_finite());
            let gradients = loss.backward().unwrap();
            let gradient = gradients.get(&scores).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for (&score, gradient) in points.iter().zip(gradient) {
                let expected = (1.0 / (1.0 + (-score).exp()) - target) / points.len() as f64;
                assert!((f64::from(gradient) - expected).abs() < 1e-7, "at {score}: {gradient}, not {expected}");
            }
        }
    }

    #[test]
    fn scores_of_ten_thousand_give_finite_losses_and_gradients() {
        for loss in AdversarialLoss::value_variants() {
            let real = Var::from_tensor(&scores(&[-1e4, 1e4])).unwrap();
            let fake = Var::from_tensor(&scores(&[1e4, -1e4])).unwrap();
            for value in [loss.discriminator(&real, &fake, 0.0).unwrap(), loss.generator(&fake, Some(&real)).unwrap()] {
                assert!(value.to_scalar::<f32>().unwrap().is_finite(), "{loss:?}");
                let gradients = value.backward().unwrap();
                for scores in [&real, &fake].into_iter().filter_map(|scores| gradients.get(scores)) {
                    let gradient = scores.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                    assert!(gradient.iter().all(|g| g.is_finite()), "{loss:?}: {gradient:?}");
                }
            }
        }
    }
}
