//! How samples lie among real images, by their neighbourhoods: precision and recall (Kynkäänniemi et al., 1904.06991),
//! density and coverage (Naeem et al., 2002.09797), and the test of two samples by nearest neighbours (Lopez-Paz and
//! Oquab, 1610.06545; Xu et al., 1806.07755).

use candle_core::{Result, bail};
use rayon::prelude::*;

use crate::metrics::distances::{Nearest, Points};

/// Neighbours that make a point's ball, in both papers.
pub const NEIGHBOURS: usize = 5;

/// Fractions of 1, but for the density.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbourhoods {
    /// Samples that lie in the ball of a real image.
    pub precision: f64,
    /// Real images that lie in the ball of a sample.
    pub recall: f64,
    /// Balls of real images that a sample lies in, on average, a k-th each: 1 where samples lie as real images do, more
    /// where they crowd among them.
    pub density: f64,
    /// Real images with a sample in their ball.
    pub coverage: f64,
    /// Images, real ones and samples, whose nearest neighbour is of their own kind: 0.5 where the two cannot be told
    /// apart, 1 where they always can; below 0.5 samples are copies of the real images. A tie counts half.
    pub two_sample: f64,
}

/// Compares `samples` with `real` images, as many of both, given what [`Points::nearest`] found for each at the same k,
/// which is `k`. The ball of a point reaches to, and does not hold, its k-th nearest.
pub fn neighbourhoods(
    (real, near_real): (&Points, &Nearest),
    (samples, near_samples): (&Points, &Nearest),
    k: usize,
) -> Result<Neighbourhoods> {
    let count = real.len();
    if samples.len() != count || near_real.kth.len() != count || near_samples.kth.len() != count {
        bail!("neighbourhoods compare as many samples as real images, found {} and {count}", samples.len());
    }
    let mut balls = vec![0u32; count]; // of real images, that each sample lies in
    let mut nearest_real = vec![f32::INFINITY; count]; // to each sample
    let (mut recalled, mut covered, mut own_kind) = (0, 0, 0.0);
    real.for_each_block(samples, |start, block| {
        let rows = block.par_chunks_exact(count).zip(&near_real.first[start..]).zip(&near_real.kth[start..]);
        let of_rows: Vec<(bool, bool, f64)> = rows
            .map(|((distances, first), radius)| {
                let is_recalled = distances.iter().zip(&near_samples.kth).any(|(distance, radius)| distance < radius);
                let nearest = distances.iter().fold(f32::INFINITY, |nearest, &distance| nearest.min(distance));
                (is_recalled, nearest < *radius, is_own(*first, nearest))
            })
            .collect();
        recalled += of_rows.iter().filter(|row| row.0).count();
        covered += of_rows.iter().filter(|row| row.1).count();
        own_kind += of_rows.iter().map(|row| row.2).sum::<f64>();
        // Column by column, each by one thread.
        const SHARE: usize = 512;
        balls.par_chunks_mut(SHARE).zip(nearest_real.par_chunks_mut(SHARE)).enumerate().for_each(
            |(share, (balls, nearest))| {
                for (distances, radius) in block.chunks_exact(count).zip(&near_real.kth[start..]) {
                    let distances = &distances[share * SHARE..][..balls.len()];
                    for ((distance, balls), nearest) in distances.iter().zip(&mut *balls).zip(&mut *nearest) {
                        *balls += u32::from(distance < radius);
                        *nearest = nearest.min(*distance);
                    }
                }
            },
        );
    })?;
    own_kind += near_samples.first.iter().zip(&nearest_real).map(|(own, other)| is_own(*own, *other)).sum::<f64>();
    let part = |number: usize| number as f64 / count as f64;
    Ok(Neighbourhoods {
        precision: part(balls.iter().filter(|balls| **balls > 0).count()),
        recall: part(recalled),
        density: balls.iter().map(|balls| f64::from(*balls)).sum::<f64>() / (k * count) as f64,
        coverage: part(covered),
        two_sample: own_kind / (2 * count) as f64,
    })
}

fn is_own(own: f32, other: f32) -> f64 {
    match own.total_cmp(&other) {
        std::cmp::Ordering::Less => 1.0,
        std::cmp::Ordering::Equal => 0.5,
        std::cmp::Ordering::Greater => 0.0,
    }
}
