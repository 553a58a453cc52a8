//! The principal components of features: where they spread the most.
//!
//! By orthogonal iteration with Rayleigh-Ritz steps on the covariance (Golub and Van Loan, "Matrix computations", 8.2
//! and 8.4): a handful of its eigenvectors at the cost of a few products, in f64, the same bytes on any number of threads.

use candle_core::{Device, Result, Tensor, bail};
use rayon::prelude::*;

use super::host_rows;
use crate::ops::{Activation, linear};
use crate::rng::Stream;

/// Directions that are followed beside those asked for: they speed the others up.
const SPARE: usize = 10;
/// The iteration ends when no eigenvector is off by more than this part of the largest eigenvalue ...
const TOLERANCE: f64 = 1e-10;
/// ... or after so many rounds, when the components differ too little to be told apart.
const MOST_ROUNDS: usize = 300;
/// A vector that is shorter than this part of its former self lies in the span of those before it.
const DEPENDENT: f64 = 1e-10;

/// Points in the coordinates of their principal components.
#[derive(Clone, Debug, PartialEq)]
pub struct Pca {
    /// (N, components): the centred features along each component, the one of the largest variance first.
    pub points: Vec<Vec<f64>>,
    /// (components): the part of the features' whole variance along each; 0 where there is none.
    pub explained: Vec<f64>,
}

/// The first `components` principal components of `features` (N, D), each turned so that its largest entry is positive.
/// Directions in which nothing varies, or which D does not have, are all zeros. An error where N is 0 or a feature is
/// NaN or infinite.
pub fn pca(features: &Tensor, components: usize) -> Result<Pca> {
    let (mut centred, count, width) = host_rows(features)?;
    if count == 0 || centred.iter().any(|value| !value.is_finite()) {
        bail!("principal components need finite features, found {} of {:?}", broken(&centred), features.dims());
    }
    centre(&mut centred, count, width);
    let covariance = Covariance::of(&centred, count, width)?;
    let (directions, variances) = covariance.eigenvectors(components);
    let points = centred.par_chunks_exact(width.max(1)).map(|row| project(row, &directions)).collect();
    let whole = covariance.trace();
    let explained = variances.iter().map(|variance| if whole > 0.0 { variance / whole } else { 0.0 }).collect();
    Ok(Pca { points, explained })
}

fn broken(values: &[f32]) -> String {
    let count = values.iter().filter(|value| !value.is_finite()).count();
    format!("{count} NaN or infinite values in features")
}

/// Subtracts from each column of (N, D) its mean.
fn centre(values: &mut [f32], count: usize, width: usize) {
    // Sums of f32 are exact in f64, so that columns that do not vary become zeros and not rounding errors.
    let mut sums = vec![0.0; width];
    for row in values.chunks_exact(width.max(1)) {
        sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    for row in values.chunks_exact_mut(width.max(1)) {
        row.iter_mut().zip(&sums).for_each(|(value, sum)| *value = (f64::from(*value) - sum / count as f64) as f32);
    }
}

fn project(row: &[f32], directions: &[Vec<f64>]) -> Vec<f64> {
    let along = |direction: &Vec<f64>| row.iter().zip(direction).map(|(&value, part)| f64::from(value) * part).sum();
    directions.iter().map(along).collect()
}

/// A symmetric matrix (D, D).
struct Covariance {
    values: Vec<f32>,
    width: usize,
}

impl Covariance {
    /// Xᵀ X of centred rows X (N, D): all that the components depend on, up to a factor.
    fn of(centred: &[f32], count: usize, width: usize) -> Result<Self> {
        if width == 0 {
            return Ok(Self { values: Vec::new(), width });
        }
        // Rows as long as they may be would overflow: the largest value is 1.
        let largest = centred.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        let scaled =
            if largest > 0.0 { centred.iter().map(|value| value / largest).collect() } else { centred.to_vec() };
        let columns = Tensor::from_vec(scaled, (count, width), &Device::Cpu)?.t()?.contiguous()?; // (D, N)
        let values = linear(&columns, &columns, None, Activation::Identity)?; // (D, D)
        Ok(Self { values: values.flatten_all()?.to_vec1()?, width })
    }

    fn trace(&self) -> f64 {
        (0..self.width).map(|index| f64::from(self.values[index * self.width + index])).sum()
    }

    /// The products with each of `vectors` (D).
    fn times(&self, vectors: &[Vec<f64>]) -> Vec<Vec<f64>> {
        // All of them at once, side by side: one walk over the matrix.
        let beside: Vec<f64> =
            (0..self.width).flat_map(|index| vectors.iter().map(move |vector| vector[index])).collect();
        let product = |row: &[f32]| {
            let mut sums = vec![0.0; vectors.len()];
            for (&value, parts) in row.iter().zip(beside.chunks_exact(vectors.len())) {
                sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += f64::from(value) * part);
            }
            sums
        };
        let rows: Vec<Vec<f64>> = self.values.par_chunks_exact(self.width.max(1)).map(product).collect();
        (0..vectors.len()).map(|vector| rows.iter().map(|row| row[vector]).collect()).collect()
    }

    /// The eigenvectors of the `count` largest eigenvalues, with these.
    fn eigenvectors(&self, count: usize) -> (Vec<Vec<f64>>, Vec<f64>) {
        let mut start = Stream::new(0, "projection").at(0);
        let mut random = || (0..self.width).map(|_| f64::from(start.symmetric())).collect::<Vec<f64>>();
        let mut basis: Vec<Vec<f64>> = (0..(count + SPARE).min(self.width)).map(|_| random()).collect();
        orthonormalise(&mut basis);
        let mut values = vec![0.0; basis.len()];
        for _ in 0..MOST_ROUNDS {
            let image = self.times(&basis);
            let inner: Vec<Vec<f64>> =
                basis.iter().map(|vector| image.iter().map(|other| dot(vector, other)).collect()).collect();
            let (turns, eigenvalues) = symmetric_eigen(inner);
            (basis, values) = (combined(&basis, &turns), eigenvalues);
            let image = combined(&image, &turns); // of the turned basis
            let off = |index: usize| {
                let pairs = image[index].iter().zip(&basis[index]);
                pairs.map(|(image, vector)| (image - values[index] * vector).powi(2)).sum::<f64>().sqrt()
            };
            if (0..count.min(basis.len())).all(|index| off(index) <= TOLERANCE * values[0]) {
                break;
            }
            basis = image;
            orthonormalise(&mut basis);
        }
        basis.resize(count, vec![0.0; self.width]);
        values.resize(count, 0.0);
        basis.iter_mut().for_each(|vector| fix_sign(vector));
        (basis, values)
    }
}

/// Gram-Schmidt, twice, since once is not enough for vectors that are nearly parallel. Dependent vectors become zeros.
fn orthonormalise(vectors: &mut [Vec<f64>]) {
    for index in 0..vectors.len() {
        let (before, rest) = vectors.split_at_mut(index);
        let vector = &mut rest[0];
        let length = dot(vector, vector).sqrt();
        for other in before.iter().chain(before.iter()) {
            let along = dot(vector, other);
            vector.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
        }
        let left = dot(vector, vector).sqrt();
        let factor = if left > DEPENDENT * length { 1.0 / left } else { 0.0 };
        vector.iter_mut().for_each(|value| *value *= factor);
    }
}

/// Eigenvectors of a small symmetric matrix, each as weights of its rows, by Jacobi's rotations; the largest
/// eigenvalue first.
fn symmetric_eigen(mut matrix: Vec<Vec<f64>>) -> (Vec<Vec<f64>>, Vec<f64>) {
    const MOST_SWEEPS: usize = 60;
    let size = matrix.len();
    let mut vectors: Vec<Vec<f64>> =
        (0..size).map(|row| (0..size).map(|column| f64::from(u8::from(row == column))).collect()).collect();
    for _ in 0..MOST_SWEEPS {
        let mut turned = false;
        for (p, q) in (0..size).flat_map(|p| (p + 1..size).map(move |q| (p, q))) {
            let beside = matrix[p][q];
            if beside.abs() <= 1e-18 * (matrix[p][p].abs() + matrix[q][q].abs()) {
                continue;
            }
            turned = true;
            let theta = (matrix[q][q] - matrix[p][p]) / (2.0 * beside);
            let tangent = if theta < 0.0 { -1.0 } else { 1.0 } / (theta.abs() + (theta * theta + 1.0).sqrt());
            let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
            let rotate = |one: f64, other: f64| (cosine * (one - tangent * other), cosine * (tangent * one + other));
            for row in &mut matrix {
                (row[p], row[q]) = rotate(row[p], row[q]);
            }
            for rows in [&mut matrix, &mut vectors] {
                let (above, below) = rows.split_at_mut(q);
                for (one, other) in above[p].iter_mut().zip(&mut below[0]) {
                    (*one, *other) = rotate(*one, *other);
                }
            }
        }
        if !turned {
            break;
        }
    }
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|&one, &other| matrix[other][other].total_cmp(&matrix[one][one]));
    (
        order.iter().map(|&index| vectors[index].clone()).collect(),
        order.iter().map(|&index| matrix[index][index]).collect(),
    )
}

/// The vectors whose parts along `vectors` are the rows of `weights`.
fn combined(vectors: &[Vec<f64>], weights: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let combine = |weights: &Vec<f64>| {
        let mut sum = vec![0.0; vectors.first().map_or(0, Vec::len)];
        for (vector, weight) in vectors.iter().zip(weights) {
            sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += weight * value);
        }
        sum
    };
    weights.iter().map(combine).collect()
}

fn fix_sign(vector: &mut [f64]) {
    let largest =
        vector.iter().fold(0.0f64, |largest, &value| if value.abs() > largest.abs() { value } else { largest });
    if largest < 0.0 {
        vector.iter_mut().for_each(|value| *value = -*value);
    }
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}
