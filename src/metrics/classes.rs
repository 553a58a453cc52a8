//! What a classifier says of samples: how sure it is, and whether all classes come up.

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use super::host_rows;
use crate::metrics::accuracy::predictions;

/// exp of the mean of KL(p(y|x) || p(y)) over the images, p being the softmax of `scores` (N, C): from 1, where all images
/// look alike to the classifier, to C, where it is sure of each and all classes come up equally. With Inception in the
/// classifier's place it is the Inception score (Salimans et al., 1606.03498). An error where N is 0 or a score is NaN.
pub fn classifier_score(scores: &Tensor) -> Result<f64> {
    let (scores, count, classes) = host_rows(scores)?;
    if count == 0 || classes == 0 || scores.iter().any(|score| score.is_nan()) {
        bail!("a classifier score needs rows of scores without NaN, found {count} of {classes}");
    }
    let logs: Vec<Vec<f64>> = scores.par_chunks_exact(classes).map(log_softmax).collect();
    let mut marginal = vec![0.0; classes];
    for log in &logs {
        marginal.iter_mut().zip(log).for_each(|(sum, log)| *sum += log.exp() / count as f64);
    }
    let divergence = |log: &Vec<f64>| -> f64 {
        // A probability of 0 adds nothing, and nothing has to be known of its logarithm.
        let terms = log.iter().zip(&marginal).filter(|(log, _)| log.exp() > 0.0);
        terms.map(|(log, marginal)| log.exp() * (log - marginal.ln())).sum()
    };
    // Rounding must not make it less than 1.
    Ok((logs.iter().map(divergence).sum::<f64>() / count as f64).max(0.0).exp())
}

fn log_softmax(scores: &[f32]) -> Vec<f64> {
    let largest = scores.iter().fold(f64::NEG_INFINITY, |largest, &score| largest.max(f64::from(score)));
    let sum: f64 = scores.iter().map(|&score| (f64::from(score) - largest).exp()).sum();
    scores.iter().map(|&score| f64::from(score) - largest - sum.ln()).collect()
}

/// How many of the images, of which there are `scores` (N, C), are taken for each class (C).
pub fn histogram(scores: &Tensor) -> Result<Vec<u64>> {
    let mut counts = vec![0; scores.dim(1)?];
    predictions(scores)?.iter().for_each(|&class| counts[class as usize] += 1);
    Ok(counts)
}

/// KL(samples || real) between two [`histogram`]s, in nats: 0 where the classes come up alike; finite where samples lack a
/// class (the other direction is not), infinite where they have one that real images have not. An error where a histogram
/// is empty or they are not of the same classes.
pub fn class_divergence(samples: &[u64], real: &[u64]) -> Result<f64> {
    let totals = [samples, real].map(|counts| counts.iter().sum::<u64>() as f64);
    if samples.len() != real.len() || totals.contains(&0.0) {
        bail!("a divergence between histograms of {} and {} classes", samples.len(), real.len());
    }
    let term = |(&sample, &real): (&u64, &u64)| match sample {
        0 => 0.0,
        _ => {
            let (p, q) = (sample as f64 / totals[0], real as f64 / totals[1]);
            p * (p / q).ln()
        }
    };
    Ok(samples.iter().zip(real).map(term).sum::<f64>().max(0.0))
}

/// How many classes of a [`histogram`] hold more than `part` of the images.
pub fn classes_above(histogram: &[u64], part: f64) -> u64 {
    let total = histogram.iter().sum::<u64>() as f64;
    histogram.iter().filter(|&&count| count as f64 > part * total).count() as u64
}
