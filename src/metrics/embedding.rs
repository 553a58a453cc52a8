//! How contrastive embeddings lie on the sphere: alignment and uniformity (Wang and Isola, "Understanding contrastive
//! representation learning through alignment and uniformity on the hypersphere", 2005.10242).

use candle_core::{Device, Result, Tensor, bail};
use rayon::prelude::*;

use super::host_rows;
use crate::ops::{Activation, linear};

/// Rows of similarities that are held at a time.
const BLOCK: usize = 256;
/// Shorter rows are divided by this, as `torch.nn.functional.normalize` does: zeros stay zeros.
const SHORTEST: f64 = 1e-12;

/// `features` (N, D) with every row divided by its length: (N, D), f32 on the CPU.
pub fn unit_rows(features: &Tensor) -> Result<Tensor> {
    let (mut values, count, width) = host_rows(features)?;
    values.par_chunks_mut(width.max(1)).for_each(|row| {
        let length = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt().max(SHORTEST);
        row.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
    });
    Tensor::from_vec(values, (count, width), &Device::Cpu)
}

/// The mean of ||a - b||² over positive pairs, row i of `first` (N, D) and row i of `second` (N, D), on the sphere:
/// 0 where both views of every image coincide, 2 where they are orthogonal, 4 at most.
pub fn alignment(first: &Tensor, second: &Tensor) -> Result<f64> {
    if first.dims2()? != second.dims2()? || first.dim(0)? == 0 {
        bail!("alignment needs pairs of rows, found {:?} and {:?}", first.dims(), second.dims());
    }
    let (first, count, _) = host_rows(&unit_rows(first)?)?;
    let (second, ..) = host_rows(&unit_rows(second)?)?;
    let distances = first.iter().zip(&second).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
    Ok(distances.sum::<f64>() / count as f64)
}

/// The logarithm of the mean of exp(-2 ||x - y||²) over all pairs of different rows of `embeddings` (N, D), on the
/// sphere: 0 where all coincide, which is collapse; the lower, the better they fill the sphere (-4 where all are
/// orthogonal). An error for fewer than two rows.
pub fn uniformity(embeddings: &Tensor) -> Result<f64> {
    let points = unit_rows(embeddings)?; // (N, D)
    let count = points.dim(0)?;
    if count < 2 {
        bail!("uniformity needs at least two embeddings, found {count}");
    }
    let mut sum = 0.0;
    for start in (0..count).step_by(BLOCK) {
        let length = BLOCK.min(count - start);
        // Pairs of a row with those after it: none is counted twice, and no row with itself.
        let (some, others) = (points.narrow(0, start, length)?, points.narrow(0, start, count - start)?);
        let (cosines, _, width) = host_rows(&linear(&some, &others, None, Activation::Identity)?)?; // (B, N - start)
        let sums: Vec<f64> = cosines
            .par_chunks_exact(width)
            .enumerate()
            .map(|(row, cosines)| {
                // ||x - y||² = 2 - 2 x·y; rounding must not make it negative, nor hide a NaN.
                let potential = |&cosine: &f32| {
                    let squared = 2.0 - 2.0 * f64::from(cosine);
                    (-2.0 * if squared < 0.0 { 0.0 } else { squared }).exp()
                };
                cosines[row + 1..].iter().map(potential).sum()
            })
            .collect();
        sum += sums.iter().sum::<f64>();
    }
    Ok((sum / (count * (count - 1) / 2) as f64).ln())
}
