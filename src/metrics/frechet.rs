//! The Fréchet distance between two sets of features, each taken for a normal distribution (Dowson and Landau, 1982;
//! Heusel et al., 1706.08500). On Inception's features it is called FID.

use candle_core::{Result, Tensor, bail};
use nalgebra::{DMatrix, DVector, SymmetricEigen};
use rayon::prelude::*;

use super::host_rows;

/// Iterations of an eigenvalue decomposition, at most; each finds about one eigenvalue.
const MOST_ITERATIONS: usize = 100_000;

/// Mean and covariance of features.
#[derive(Clone, Debug)]
pub struct Gaussian {
    mean: DVector<f64>,
    covariance: DMatrix<f64>,
}

impl Gaussian {
    /// Of the rows of `features` (N, D), in f64; the covariance is the unbiased one, as `numpy.cov`'s. An error where N is
    /// below 2 or a feature is NaN or infinite.
    pub fn of(features: &Tensor) -> Result<Self> {
        let (values, count, width) = host_rows(features)?;
        if count < 2 || values.iter().any(|value| !value.is_finite()) {
            bail!("a covariance needs at least two rows of finite features, found {:?}", features.dims());
        }
        let columns: Vec<Vec<f64>> = (0..width)
            .into_par_iter()
            .map(|column| values.iter().skip(column).step_by(width).map(|value| f64::from(*value)).collect())
            .collect();
        let mean: Vec<f64> = columns.iter().map(|column| column.iter().sum::<f64>() / count as f64).collect();
        let centred: Vec<Vec<f64>> =
            columns.iter().zip(&mean).map(|(column, mean)| column.iter().map(|value| value - mean).collect()).collect();
        let product = |index: usize| {
            let (row, column) = (index % width, index / width);
            let pairs = centred[row].iter().zip(&centred[column]);
            pairs.map(|(one, other)| one * other).sum::<f64>() / (count - 1) as f64
        };
        // Both halves are computed, from the same products in the same order: symmetric to the bit.
        let covariance = (0..width * width).into_par_iter().map(product).collect();
        Ok(Self { mean: DVector::from_vec(mean), covariance: DMatrix::from_vec(width, width, covariance) })
    }

    /// The mean (D).
    pub fn mean(&self) -> &[f64] {
        self.mean.as_slice()
    }
}

/// |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½): squared, as the FID is. The trace of the square root is that of
/// (Σ₁^½ Σ₂ Σ₁^½)^½, which is symmetric, so that no complex numbers come up; eigenvalues that rounding made negative
/// count as 0.
pub fn frechet_distance(one: &Gaussian, other: &Gaussian) -> Result<f64> {
    if one.mean.len() != other.mean.len() {
        bail!("a Fréchet distance between {} and {} features", one.mean.len(), other.mean.len());
    }
    let eigen = decomposed(one.covariance.clone())?;
    let roots = eigen.eigenvalues.map(|value| value.max(0.0).sqrt());
    let root = &eigen.eigenvectors * DMatrix::from_diagonal(&roots) * eigen.eigenvectors.transpose();
    let product = &root * &other.covariance * &root;
    let symmetric = (&product + product.transpose()) * 0.5;
    let trace_of_root: f64 = decomposed(symmetric)?.eigenvalues.iter().map(|value| value.max(0.0).sqrt()).sum();
    let means = (&one.mean - &other.mean).norm_squared();
    // Of the same set twice it is 0, but for rounding.
    Ok((means + one.covariance.trace() + other.covariance.trace() - 2.0 * trace_of_root).max(0.0))
}

fn decomposed(matrix: DMatrix<f64>) -> Result<SymmetricEigen<f64, nalgebra::Dyn>> {
    match SymmetricEigen::try_new(matrix, f64::EPSILON, MOST_ITERATIONS) {
        Some(eigen) => Ok(eigen),
        None => bail!("the eigenvalues of a covariance were not found"),
    }
}
