//! Where the latents of a generator come from: how many values, of which distribution.

use serde::{Deserialize, Serialize};

use crate::rng::Generator;

/// The distribution of each value of a latent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LatentDistribution {
    /// Uniform in (-1, 1), the course's
    #[default]
    Uniform,
    /// Standard normal, that of PyTorch's DCGAN example
    Normal,
}

impl LatentDistribution {
    /// Whether it is the course's, which saved networks that say nothing have.
    pub fn is_uniform(&self) -> bool {
        *self == Self::Uniform
    }
}

/// The latents of a generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatentSpace {
    /// Values in a latent.
    pub dim: usize,
    /// Of each value.
    pub distribution: LatentDistribution,
}

impl LatentSpace {
    /// Latents of `dim` values, uniform in (-1, 1).
    pub const fn uniform(dim: usize) -> Self {
        Self { dim, distribution: LatentDistribution::Uniform }
    }

    /// Random words that a latent takes.
    pub(crate) fn words(&self) -> usize {
        match self.distribution {
            LatentDistribution::Uniform => self.dim,
            LatentDistribution::Normal => 2 * self.dim,
        }
    }

    /// The next `count` latents, one after the other.
    pub(crate) fn draw(&self, generator: &mut Generator, count: usize) -> Vec<f32> {
        let values = 0..count * self.dim;
        match self.distribution {
            LatentDistribution::Uniform => values.map(|_| generator.symmetric()).collect(),
            LatentDistribution::Normal => values.map(|_| generator.normal()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn a_latent_takes_its_words() {
        for distribution in [LatentDistribution::Uniform, LatentDistribution::Normal] {
            let space = LatentSpace { dim: 7, distribution };
            let mut drawn = Stream::new(3, "latents").at(0);
            let mut skipped = drawn.clone();
            space.draw(&mut drawn, 5);
            skipped.skip(5 * space.words() as u64);
            assert_eq!(drawn.bits(), skipped.bits(), "{distribution:?}");
        }
    }
}
