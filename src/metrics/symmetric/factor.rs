use rayon::prelude::*;

use super::products::dot;

/// Rows that a task computes at a time, at least.
const ROWS: usize = 32;

/// A matrix F (N, rank) with F Fᵀ the matrix that it is the factor of.
#[derive(Clone, Debug)]
pub struct Factor {
    /// Row after row, each of `rank` values.
    pub values: Vec<f64>,
    pub rank: usize,
}

/// The factor of a symmetric matrix (N, N) without negative eigenvalues, by Cholesky's method: what is largest on the
/// diagonal comes next, until only rounding is left (Higham, Accuracy and Stability of Numerical Algorithms, 10.3).
pub fn factor(matrix: &[f64], size: usize) -> Factor {
    let mut rows: Vec<Vec<f64>> = vec![Vec::new(); size];
    let mut left: Vec<f64> = (0..size).map(|index| matrix[index * size + index]).collect();
    let mut is_done = vec![false; size];
    let largest = left.iter().fold(0.0f64, |largest, value| largest.max(*value));
    let negligible = largest * size as f64 * f64::EPSILON;
    let mut rank = 0;
    while rank < size {
        let remaining = (0..size).filter(|index| !is_done[*index]);
        let Some(next) = remaining.max_by(|one, other| left[*one].total_cmp(&left[*other])) else { break };
        if left[next].is_nan() || left[next] <= negligible {
            break;
        }
        let (pivot, of_pivot) = (left[next].sqrt(), rows[next].clone());
        let column = &matrix[next * size..][..size];
        let others = rows.par_iter_mut().zip(&mut left).zip(&is_done).zip(column).enumerate().with_min_len(ROWS);
        others.for_each(|(index, (((row, left), is_done), value))| {
            let value = match (*is_done, index == next) {
                (true, _) => 0.0,
                (_, true) => pivot,
                _ => (value - dot(row, &of_pivot)) / pivot,
            };
            row.push(value);
            *left -= value * value;
        });
        is_done[next] = true;
        rank += 1;
    }
    Factor { values: rows.concat(), rank }
}
