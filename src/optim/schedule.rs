use serde::{Deserialize, Serialize};

/// How the learning rate goes after its warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// Cosine decay to 0 (Loshchilov and Hutter, 1608.03983, without restarts)
    Cosine,
    /// Linear decay to 0
    Linear,
    /// No decay
    Constant,
}

/// The learning rate of every step of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The rate that the warm-up ends at.
    pub peak: f64,
    /// Steps of a linear rise from 0; at most the whole run.
    pub warmup_steps: u64,
    /// Steps of the whole run.
    pub steps: u64,
    pub decay: Decay,
}

impl Schedule {
    /// The rate of `step`, counted from 0: peak * (step + 1) / warmup_steps at first, then as [`Decay`] says, reaching 0
    /// only after the last step.
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.peak * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let (done, all) = (step - self.warmup_steps, self.steps.saturating_sub(self.warmup_steps).max(1));
        match self.decay {
            Decay::Constant => self.peak,
            Decay::Cosine | Decay::Linear if done >= all => 0.0,
            Decay::Linear => self.peak * ((all - done) as f64 / all as f64),
            // libm's cosine has the same bits on every machine, and so have the weights that it leads to.
            Decay::Cosine => 0.5 * self.peak * (1.0 + libm::cos(std::f64::consts::PI * done as f64 / all as f64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_falls_and_stays() {
        let schedule = Schedule { peak: 0.4, warmup_steps: 4, steps: 12, decay: Decay::Cosine };
        let rates: Vec<f64> = (0..12).map(|step| schedule.rate(step)).collect();
        for (step, expected) in [(0, 0.1), (1, 0.2), (3, 0.4), (4, 0.4), (8, 0.2)] {
            assert!((rates[step] - expected).abs() < 1e-12, "step {step}: {}", rates[step]);
        }
        // torch.optim.lr_scheduler.CosineAnnealingLR(T_max=8): 0.4 * (1 + cos(pi * 7 / 8)) / 2
        assert!((rates[11] - 0.015224093497742652).abs() < 1e-12);
        assert!(rates[4..].windows(2).all(|pair| pair[1] < pair[0]) && rates[11] > 0.0);
        assert_eq!(schedule.rate(12), 0.0);
        let constant = Schedule { decay: Decay::Constant, ..schedule };
        assert_eq!((constant.rate(3), constant.rate(11), constant.rate(100)), (0.4, 0.4, 0.4));
        // torch.optim.lr_scheduler.LinearLR(start_factor=1, end_factor=0, total_iters=8)
        let linear = Schedule { decay: Decay::Linear, ..schedule };
        let expected = [0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05, 0.0];
        for (done, expected) in (4..).zip(expected) {
            assert!((linear.rate(done) - expected).abs() < 1e-12, "step {done}: {}", linear.rate(done));
        }
        let short = Schedule { warmup_steps: 100, ..schedule };
        assert!(short.rate(11) < 0.05, "a run shorter than its warm-up never gets to the peak");
    }
}
