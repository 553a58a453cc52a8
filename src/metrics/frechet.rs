//! The Fréchet distance between two sets of features, each taken for a normal distribution (Dowson and Landau, 1982;
//! Heusel et al., 1706.08500). On Inception's features it is called FID.

use std::ops::Range;
use std::sync::OnceLock;

use candle_core::{Result, Tensor, bail};

use super::host_rows;
use super::symmetric::{Factor, Rows, eigenvalues, factor, product_with_itself, transposed_product};

/// Mean and covariance of features.
#[derive(Clone, Debug)]
pub struct Gaussian {
    mean: Vec<f64>,
    /// (D, D)
    covariance: Vec<f64>,
    /// Of the covariance; computed once.
    factor: OnceLock<Factor>,
}

impl Gaussian {
    /// Of the rows of `features` (N, D), in f64; the covariance is the unbiased one, as `numpy.cov`'s. An error where N is
    /// below 2 or a feature is NaN or infinite.
    pub fn of(features: &Tensor) -> Result<Self> {
        let (values, count, width) = host_rows(features)?;
        if count < 2 || values.iter().any(|value| !value.is_finite()) {
            bail!("a covariance needs at least two rows of finite features, found {:?}", features.dims());
        }
        let mut mean = vec![0.0; width];
        for row in values.chunks_exact(width.max(1)) {
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        mean.iter_mut().for_each(|sum| *sum /= count as f64);
        let write = |row: usize, columns: Range<usize>, centred: &mut [f64]| {
            let values = values[row * width..][columns.clone()].iter().zip(&mean[columns]);
            centred.iter_mut().zip(values).for_each(|(centred, (value, mean))| *centred = f64::from(*value) - mean);
        };
        let mut covariance = product_with_itself(&Rows { rows: count, columns: width, write });
        covariance.iter_mut().for_each(|sum| *sum /= (count - 1) as f64);
        Ok(Self { mean, covariance, factor: OnceLock::new() })
    }

    /// The mean (D).
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    fn trace(&self) -> f64 {
        self.covariance.iter().step_by(self.mean.len() + 1).sum()
    }

    fn factor(&self) -> &Factor {
        self.factor.get_or_init(|| factor(&self.covariance, self.mean.len()))
    }
}

/// |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½): squared, as the FID is.
///
/// With Σ₁ = F₁F₁ᵀ and Σ₂ = F₂F₂ᵀ the trace of the square root is the sum of the singular values of F₁ᵀF₂: of the roots of
/// the eigenvalues of a symmetric matrix, so that no complex numbers come up. It is as large as the smaller rank: of fewer
/// samples than features no eigenvalue is rounding. Those that rounding made negative count as 0.
pub fn frechet_distance(one: &Gaussian, other: &Gaussian) -> Result<f64> {
    if one.mean.len() != other.mean.len() {
        bail!("a Fréchet distance between {} and {} features", one.mean.len(), other.mean.len());
    }
    let (mut small, mut large) = (one.factor(), other.factor());
    if small.rank > large.rank {
        (small, large) = (large, small);
    }
    let product = transposed_product(&rows(&large.values, large.rank), &rows(&small.values, small.rank));
    let square = product_with_itself(&rows(&product, small.rank));
    let trace_of_root: f64 = eigenvalues(square, small.rank)?.iter().map(|value| value.max(0.0).sqrt()).sum();
    let means: f64 = one.mean.iter().zip(&other.mean).map(|(one, other)| (one - other).powi(2)).sum();
    // Of the same set twice it is 0, but for rounding.
    Ok((means + one.trace() + other.trace() - 2.0 * trace_of_root).max(0.0))
}

/// A matrix of so many columns, row after row.
fn rows(values: &[f64], columns: usize) -> Rows<impl Fn(usize, Range<usize>, &mut [f64]) + Sync> {
    let write = move |row: usize, range: Range<usize>, into: &mut [f64]| {
        into.copy_from_slice(&values[row * columns..][range]);
    };
    Rows { rows: values.len().checked_div(columns).unwrap_or(0), columns, write }
}
