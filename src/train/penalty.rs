use crate::train::gan_config::GanConfig;

/// R1: its weight in a step that has it, and how often that is.
#[derive(Clone, Copy, Debug)]
pub struct Penalty {
    pub weight: f64,
    every: u64,
}

impl Penalty {
    pub fn of(config: &GanConfig) -> Self {
        Self { weight: config.r1 * config.r1_every as f64, every: config.r1_every }
    }

    /// Whether the step after `steps` others has it.
    pub fn is_due(&self, steps: u64) -> bool {
        self.weight > 0.0 && steps.is_multiple_of(self.every)
    }
}
