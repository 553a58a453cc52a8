use crate::losses::adversarial::AdversarialLoss;
use crate::losses::gradient_penalty::GradientPenalty;
use crate::train::gan_config::GanConfig;

/// The penalties on the gradient of D's scores: where, with which weight, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Penalties {
    r1: f64,
    r2: f64,
    every: u64,
    /// Of `wgan-gp`, in every step; 0 for the other losses.
    lambda: f64,
}

/// Those of one step.
#[derive(Clone, Copy, Debug)]
pub struct StepPenalties {
    pub at_real: Option<GradientPenalty>,
    pub at_fakes: Option<GradientPenalty>,
    pub between: Option<GradientPenalty>,
}

impl Penalties {
    pub fn of(config: &GanConfig) -> Self {
        let lambda = if config.loss() == AdversarialLoss::WganGp { config.gradient_penalty } else { 0.0 };
        Self { r1: config.r1, r2: config.r2, every: config.r1_every, lambda }
    }

    /// Whether the step after `steps` others has R1 and R2.
    pub fn are_due(&self, steps: u64) -> bool {
        (self.r1 > 0.0 || self.r2 > 0.0) && steps.is_multiple_of(self.every)
    }

    /// Whether there is ever one.
    pub fn is_any(&self) -> bool {
        self.r1 > 0.0 || self.r2 > 0.0 || self.lambda > 0.0
    }

    /// Whether a penalty is taken between real images and fakes.
    pub fn interpolates(&self) -> bool {
        self.lambda > 0.0
    }

    /// Those of a step in which R1 and R2 are due, or not.
    pub fn of_step(&self, are_due: bool) -> StepPenalties {
        let zero_centred = |weight: f64| {
            let gamma = weight * self.every as f64;
            (are_due && weight > 0.0).then_some(GradientPenalty::ZeroCentred { gamma })
        };
        let between = self.interpolates().then_some(GradientPenalty::OneCentred { lambda: self.lambda });
        StepPenalties { at_real: zero_centred(self.r1), at_fakes: zero_centred(self.r2), between }
    }
}
