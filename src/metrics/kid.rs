//! The kernel distance between two sets of features (Bińkowski et al., 1801.01401). On Inception's features it is called
//! KID.

use candle_core::{Device, Result, Storage, Tensor, bail};
use rayon::prelude::*;

use super::host_rows;
use crate::ops::{Activation, linear};
use crate::rng::Stream;

/// How the estimate is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KidPlan {
    /// Number of subsets of each set.
    pub subsets: usize,
    /// Rows of each set in a subset, drawn without replacement.
    pub size: usize,
    /// Seed of the draw of the subsets.
    pub seed: u64,
}

impl KidPlan {
    /// The authors' choice: 100 subsets of 1,000, or of all rows where a set is smaller.
    pub fn new(seed: u64, samples: usize, real: usize) -> Self {
        Self { subsets: 100, size: 1000.min(samples).min(real), seed }
    }
}

/// The squared maximum mean discrepancy over the subsets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kid {
    /// 0 on average where both sets are of one distribution; then it may be below 0.
    pub mean: f64,
    /// The standard deviation between subsets.
    pub spread: f64,
}

/// The unbiased estimate of the squared maximum mean discrepancy between `samples` (N, D) and `real` (M, D) features under
/// the cubic kernel (x·y / D + 1)³. An error where a subset is larger than a set or has fewer than two rows.
pub fn kid(samples: &Tensor, real: &Tensor, plan: KidPlan) -> Result<Kid> {
    let ((sample_count, width), (real_count, real_width)) = (samples.dims2()?, real.dims2()?);
    if width != real_width || plan.subsets == 0 || plan.size < 2 || plan.size > sample_count.min(real_count) {
        bail!(
            "KID of {:?} against {:?} features in {} subsets of {}",
            samples.dims(),
            real.dims(),
            plan.subsets,
            plan.size
        );
    }
    let (samples, real) = (host_rows(samples)?.0, host_rows(real)?.0);
    let stream = Stream::new(plan.seed, "kid");
    let mut values = Vec::with_capacity(plan.subsets);
    for subset in 0..plan.subsets as u64 {
        let mut generator = stream.at(subset);
        let mut draw = |rows: &[f32], count: usize| {
            let chosen = generator.permutation(count);
            let chosen = chosen[..plan.size].iter().flat_map(|row| &rows[*row as usize * width..][..width]);
            Tensor::from_vec(chosen.copied().collect::<Vec<f32>>(), (plan.size, width), &Device::Cpu)
        };
        let (some_samples, some_real) = (draw(&samples, sample_count)?, draw(&real, real_count)?);
        let within = kernel_mean(&some_samples, &some_samples, true)? + kernel_mean(&some_real, &some_real, true)?;
        values.push(within - 2.0 * kernel_mean(&some_samples, &some_real, false)?);
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
    Ok(Kid { mean, spread: variance.sqrt() })
}

/// The mean of the kernel over all pairs of a row of `one` and a row of `other`; with `distinct`, which is for a set with
/// itself, without the pairs of a row with itself.
fn kernel_mean(one: &Tensor, other: &Tensor, distinct: bool) -> Result<f64> {
    let (count, width) = one.dims2()?;
    let products = linear(one, other, None, Activation::Identity)?; // (N, N)
    let (products, _) = products.storage_and_layout();
    let Storage::Cpu(products) = &*products else { bail!("kernels are computed on the CPU") };
    let scale = 1.0 / width as f64;
    let rows = products.as_slice::<f32>()?.par_chunks_exact(count).enumerate();
    let sums: Vec<f64> = rows
        .map(|(row, products)| {
            let kernel = |product: &f32| (f64::from(*product) * scale + 1.0).powi(3);
            let all: f64 = products.iter().map(kernel).sum();
            if distinct { all - kernel(&products[row]) } else { all }
        })
        .collect();
    let pairs = count * if distinct { count - 1 } else { count };
    Ok(sums.iter().sum::<f64>() / pairs as f64)
}
