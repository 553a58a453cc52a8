//! Distances between rows of features, and the nearest of them, by products of matrices of a few rows at a time: the
//! whole table of distances is never held.

use candle_core::{Device, Result, Storage, Tensor, bail};
use rayon::prelude::*;

use super::host_rows;
use crate::ops::{Activation, linear};

/// Rows whose distances to all others are held at a time: 10 MB at 10,000 others.
const BLOCK: usize = 256;

/// Points whose distances to others are asked for.
pub struct Points {
    /// (N, D), relative to an origin
    rows: Tensor,
    /// The squared length of each row.
    squares: Vec<f32>,
}

/// What is near to each point among the others of its own set, as squared distances.
#[derive(Clone, Debug, PartialEq)]
pub struct Nearest {
    /// To the nearest other point.
    pub first: Vec<f32>,
    /// To the k-th nearest other point.
    pub kth: Vec<f32>,
}

impl Points {
    /// The rows of `features` (N, D), seen from `origin` (D). Distances do not depend on the origin, but rounding does:
    /// points are compared best when it lies among them. An error where a feature is NaN or infinite.
    pub fn new(features: &Tensor, origin: &[f64]) -> Result<Self> {
        let (mut values, count, width) = host_rows(features)?;
        if width != origin.len() || width == 0 {
            bail!("points of {width} numbers around an origin of {}", origin.len());
        }
        if values.iter().any(|value| !value.is_finite()) {
            bail!("features hold NaN or infinity: no distances");
        }
        values.par_chunks_mut(width).for_each(|row| {
            row.iter_mut().zip(origin).for_each(|(value, origin)| *value = (f64::from(*value) - origin) as f32);
        });
        let square = |row: &[f32]| row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() as f32;
        let squares = values.par_chunks_exact(width).map(square).collect();
        Ok(Self { rows: Tensor::from_vec(values, (count, width), &Device::Cpu)?, squares })
    }

    /// The number of points.
    pub fn len(&self) -> usize {
        self.squares.len()
    }

    /// Whether there are no points.
    pub fn is_empty(&self) -> bool {
        self.squares.is_empty()
    }

    /// Calls `take` with the squared distances of some rows to all of `others`, block after block: the number of the
    /// first row, and (rows, M).
    pub(crate) fn for_each_block(&self, others: &Points, mut take: impl FnMut(usize, &[f32])) -> Result<()> {
        for start in (0..self.len()).step_by(BLOCK) {
            let count = BLOCK.min(self.len() - start);
            let products = linear(&self.rows.narrow(0, start, count)?, &others.rows, None, Activation::Identity)?;
            let (products, _) = products.storage_and_layout();
            let Storage::Cpu(products) = &*products else { bail!("distances are computed on the CPU") };
            let mut block = products.as_slice::<f32>()?.to_vec(); // (count, M)
            let rows = block.par_chunks_exact_mut(others.len()).zip(&self.squares[start..start + count]);
            rows.for_each(|(row, square)| {
                for (value, other) in row.iter_mut().zip(&others.squares) {
                    // Rounding must not make a distance negative.
                    *value = (square + other - 2.0 * *value).max(0.0);
                }
            });
            take(start, &block);
        }
        Ok(())
    }

    /// The nearest and the `k`-th nearest other point of each. An error where there are no `k` others.
    pub fn nearest(&self, k: usize) -> Result<Nearest> {
        if k == 0 || self.len() <= k {
            bail!("{k} nearest others of a point need at least {} points, found {}", k + 1, self.len());
        }
        let mut nearest = Nearest { first: Vec::with_capacity(self.len()), kth: Vec::with_capacity(self.len()) };
        self.for_each_block(self, |start, block| {
            let rows = block.par_chunks_exact(self.len()).enumerate();
            let found: Vec<(f32, f32)> = rows.map(|(row, distances)| smallest(distances, start + row, k)).collect();
            nearest.first.extend(found.iter().map(|(first, _)| first));
            nearest.kth.extend(found.iter().map(|(_, kth)| kth));
        })?;
        Ok(nearest)
    }
}

/// The smallest and the `k`-th smallest of `distances`, that at `own` left out.
fn smallest(distances: &[f32], own: usize, k: usize) -> (f32, f32) {
    let mut best = vec![f32::INFINITY; k]; // ascending
    for (index, &distance) in distances.iter().enumerate() {
        if distance < best[k - 1] && index != own {
            let place = best.partition_point(|&nearer| nearer <= distance);
            best[place..].rotate_right(1);
            best[place] = distance;
        }
    }
    (best[0], best[k - 1])
}

/// The row of `bank` (M, D) that is nearest to each of `queries` (N, D), with the squared distance; of equal ones the
/// first. An error where the bank is empty.
pub fn nearest_rows(queries: &Points, bank: &Points) -> Result<Vec<(f32, u32)>> {
    if bank.is_empty() {
        bail!("nothing is nearest in an empty set");
    }
    let mut nearest = Vec::with_capacity(queries.len());
    queries.for_each_block(bank, |_, block| {
        nearest.par_extend(block.par_chunks_exact(bank.len()).map(|distances| {
            let pairs = distances.iter().zip(0u32..);
            pairs.fold((f32::INFINITY, 0), |best, (&d, index)| if d < best.0 { (d, index) } else { best })
        }));
    })?;
    Ok(nearest)
}
