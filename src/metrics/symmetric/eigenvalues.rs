use candle_core::{Result, bail};
use rayon::prelude::*;

use super::products::dot;
use crate::kernels::cpu::simd::vectorised;

/// Rows that a task takes at a time, at least.
const ROWS: usize = 16;

/// Iterations for an eigenvalue, at most; two or three are usual.
const MOST_ITERATIONS: usize = 50;

/// The eigenvalues of a symmetric matrix (N, N), both halves of which are read, in no order: by reflections to three
/// diagonals, then by implicit QL (Golub and Van Loan, Matrix Computations, 8.3). An error where they are not found, as of
/// NaN.
pub fn eigenvalues(matrix: Vec<f64>, size: usize) -> Result<Vec<f64>> {
    let (mut diagonal, mut beside) = tridiagonal(matrix, size);
    for first in 0..size {
        let mut iterations = 0;
        loop {
            // The matrix falls apart where what is beside the diagonal is rounding.
            let is_apart = |index: usize| {
                let around = diagonal[index].abs() + diagonal[index + 1].abs();
                beside[index].abs() <= f64::EPSILON * around
            };
            let last = (first..size - 1).find(|index| is_apart(*index)).unwrap_or(size - 1);
            if last == first {
                break;
            }
            iterations += 1;
            if iterations > MOST_ITERATIONS {
                bail!("the eigenvalues of a covariance were not found");
            }
            rotate(&mut diagonal, &mut beside, first, last);
        }
    }
    Ok(diagonal)
}

/// A step of QL with Wilkinson's shift from `last` to `first`.
fn rotate(diagonal: &mut [f64], beside: &mut [f64], first: usize, last: usize) {
    let ratio = (diagonal[first + 1] - diagonal[first]) / (2.0 * beside[first]);
    let length = ratio.hypot(1.0).copysign(ratio);
    let mut bulge = diagonal[last] - diagonal[first] + beside[first] / (ratio + length);
    let (mut sine, mut cosine, mut shift) = (1.0, 1.0, 0.0);
    for index in (first..last).rev() {
        let (turned, kept) = (sine * beside[index], cosine * beside[index]);
        let length = turned.hypot(bulge);
        if index + 1 < last {
            beside[index + 1] = length;
        }
        if length == 0.0 {
            diagonal[index + 1] -= shift;
            return;
        }
        (sine, cosine) = (turned / length, bulge / length);
        let before = diagonal[index + 1] - shift;
        let sum = (diagonal[index] - before) * sine + 2.0 * cosine * kept;
        shift = sine * sum;
        diagonal[index + 1] = before + shift;
        bulge = cosine * sum - kept;
    }
    diagonal[first] -= shift;
    beside[first] = bulge;
}

/// The diagonal and what is beside it of a matrix of three diagonals with the same eigenvalues.
///
/// A reflection changes the matrix by two products of vectors. It is applied in the same pass over memory that multiplies
/// the result by the next reflection's vector.
fn tridiagonal(mut matrix: Vec<f64>, size: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut diagonal, mut beside) = (Vec::with_capacity(size), Vec::with_capacity(size));
    // Of the last reflection, as long as the part of the matrix that it changes: its vector, and the other one.
    let mut change: Option<[Vec<f64>; 2]> = None;
    for step in 0..size {
        let row = &mut matrix[step * size + step..][..size - step];
        if let Some([vector, other]) = &change {
            subtract(row, [vector[0], other[0]], [vector, other]);
        }
        diagonal.push(row[0]);
        let Some((vector, length)) = reflection(&row[1..]) else { break };
        beside.push(length);
        let products: Vec<f64> = matrix[(step + 1) * size..]
            .par_chunks_exact_mut(size)
            .with_min_len(ROWS)
            .enumerate()
            .map(|(index, row)| {
                let row = &mut row[step + 1..];
                if let Some([vector, other]) = &change {
                    subtract(row, [vector[index + 1], other[index + 1]], [&vector[1..], &other[1..]]);
                }
                dot(row, &vector)
            })
            .collect();
        let half = dot(&products, &vector);
        let other = products.iter().zip(&vector).map(|(product, value)| 2.0 * (product - half * value)).collect();
        change = Some([vector, other]);
    }
    (diagonal, beside)
}

/// The unit vector whose reflection turns `column` into a multiple of the first axis, and that multiple; zeros where it is
/// that already. `None` of nothing.
fn reflection(column: &[f64]) -> Option<(Vec<f64>, f64)> {
    let (first, rest) = column.split_first()?;
    let scale = column.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    if rest.iter().all(|value| *value == 0.0) {
        return Some((vec![0.0; column.len()], *first));
    }
    let mut vector: Vec<f64> = column.iter().map(|value| value / scale).collect();
    let length = dot(&vector, &vector).sqrt().copysign(*first);
    vector[0] += length;
    let norm = dot(&vector, &vector).sqrt();
    vector.iter_mut().for_each(|value| *value /= norm);
    Some((vector, -length * scale))
}

/// row - a y - b x, `factors` being a and b of the vectors x and y.
fn subtract(row: &mut [f64], [a, b]: [f64; 2], [x, y]: [&[f64]; 2]) {
    vectorised(
        #[inline(always)]
        || {
            for ((value, x), y) in row.iter_mut().zip(x).zip(y) {
                *value -= a * y + b * x;
            }
        },
    );
}
