//! The Inception score (Salimans et al., 1606.03498) as torch-fidelity computes it.

use candle_core::{Device, Result, Tensor, bail};

use super::classes::classifier_score;
use super::numpy_random::NumpyRandom;

/// Parts that the images are cut into, and the seed of their order before: torch-fidelity's defaults.
const SPLITS: usize = 10;
const SEED: u32 = 2020;

/// The score of the parts of a set of images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InceptionScore {
    /// From 1 to the number of classes.
    pub mean: f64,
    /// The standard deviation between parts.
    pub spread: f64,
}

/// [`classifier_score`] of each tenth of the images, of which there are `scores` (N, C), in an order that numpy draws: to
/// the last digits what torch-fidelity says of the same scores. An error where there are fewer than ten.
pub fn inception_score(scores: &Tensor) -> Result<InceptionScore> {
    let count = scores.dim(0)?;
    if count < SPLITS {
        bail!("an Inception score needs at least {SPLITS} images, found {count}");
    }
    let order = NumpyRandom::new(SEED).permutation(count);
    let mut values = Vec::with_capacity(SPLITS);
    for split in 0..SPLITS {
        let part = &order[split * count / SPLITS..(split + 1) * count / SPLITS];
        values.push(classifier_score(&scores.index_select(&Tensor::new(part, &Device::Cpu)?, 0)?)?);
    }
    let mean = values.iter().sum::<f64>() / SPLITS as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / SPLITS as f64;
    Ok(InceptionScore { mean, spread: variance.sqrt() })
}
