//! How many modes of `stacked-mnist` a generator has found.

use std::fmt;

use serde::Serialize;

use crate::report::numbers::grouped;

/// What is found of a generator with one seed.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct ModesRow {
    /// The file of the generator.
    pub weights: String,
    pub data: String,
    pub classifier: String,
    pub seed: u64,
    /// Samples.
    pub n: u64,
    /// Modes that a sample is of, out of 1,000.
    pub modes: u64,
    /// KL(samples || all modes alike), in nats. It falls with the number of samples: of N that are of all modes alike, it is
    /// about 500 / N.
    pub mode_divergence: f64,
    /// Real images, and the same of them.
    pub reference_images: u64,
    pub reference_modes: u64,
    pub reference_mode_divergence: f64,
}

impl fmt::Display for ModesRow {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let count = |number: u64| grouped(number as f64);
        write!(
            f,
            "seed {}: {} of 1,000 modes, KL {:.4}, in {} samples; {} and {:.4} in {} real images of {}; digits by {}",
            self.seed,
            count(self.modes),
            self.mode_divergence,
            count(self.n),
            count(self.reference_modes),
            self.reference_mode_divergence,
            count(self.reference_images),
            self.data,
            self.classifier
        )
    }
}
