use std::ops::Range;

use rayon::prelude::*;

use crate::kernels::cpu::simd::vectorised;

/// Rows and columns of a product that are added up in registers.
const HIGH: usize = 4;
const WIDE: usize = 16;

/// Rows of the factors that are packed at a time: of 2,048 columns 8 MiB.
const DEPTH: usize = 512;

/// Sums that a product of two vectors is added up in.
const SUMS: usize = 16;

/// A matrix that is read row by row: `write` fills the values of a row in these columns.
pub struct Rows<F> {
    pub rows: usize,
    pub columns: usize,
    pub write: F,
}

/// leftᵀ right (M, N) of two matrices (K, M) and (K, N), row after row. Each value is the sum over the rows in their order,
/// as a loop adds it up.
pub fn transposed_product(
    left: &Rows<impl Fn(usize, Range<usize>, &mut [f64]) + Sync>,
    right: &Rows<impl Fn(usize, Range<usize>, &mut [f64]) + Sync>,
) -> Vec<f64> {
    product(left, right, false)
}

/// The same of a matrix (K, M) with itself: symmetric to the bit.
pub fn product_with_itself(matrix: &Rows<impl Fn(usize, Range<usize>, &mut [f64]) + Sync>) -> Vec<f64> {
    let mut product = product(matrix, matrix, true);
    for row in 0..matrix.columns {
        for column in 0..row {
            product[row * matrix.columns + column] = product[column * matrix.columns + row];
        }
    }
    product
}

/// Where it is symmetric, what is right of the diagonal, and some beside.
fn product(
    left: &Rows<impl Fn(usize, Range<usize>, &mut [f64]) + Sync>,
    right: &Rows<impl Fn(usize, Range<usize>, &mut [f64]) + Sync>,
    is_symmetric: bool,
) -> Vec<f64> {
    let columns = right.columns;
    let mut product = vec![0.0; left.columns * columns];
    for start in (0..left.rows).step_by(DEPTH) {
        let depth = DEPTH.min(left.rows - start);
        let mut panels = vec![0.0; columns.div_ceil(WIDE) * depth * WIDE];
        let of_panels = panels.par_chunks_exact_mut(depth * WIDE).enumerate();
        of_panels.for_each(|(panel, values)| pack::<WIDE>(right, start, panel * WIDE, values));
        product.par_chunks_mut(HIGH * columns.max(1)).enumerate().for_each(|(band, sums)| {
            let mut of_left = vec![0.0; depth * HIGH];
            pack::<HIGH>(left, start, band * HIGH, &mut of_left);
            let first = if is_symmetric { band * HIGH / WIDE } else { 0 };
            for (panel, of_right) in panels.chunks_exact(depth * WIDE).enumerate().skip(first) {
                let from = panel * WIDE;
                let width = WIDE.min(columns - from);
                let mut tile = [[0.0; WIDE]; HIGH];
                for (tile, sums) in tile.iter_mut().zip(sums.chunks_exact(columns)) {
                    tile[..width].copy_from_slice(&sums[from..from + width]);
                }
                vectorised(
                    #[inline(always)]
                    || add_products(&of_left, of_right, &mut tile),
                );
                for (tile, sums) in tile.iter().zip(sums.chunks_exact_mut(columns)) {
                    sums[from..from + width].copy_from_slice(&tile[..width]);
                }
            }
        });
    }
    product
}

/// `W` columns of a matrix from row `start` on, zeros beyond the last column.
fn pack<const W: usize>(
    matrix: &Rows<impl Fn(usize, Range<usize>, &mut [f64]) + Sync>,
    start: usize,
    first: usize,
    values: &mut [f64],
) {
    let columns = first..matrix.columns.min(first + W);
    for (row, values) in values.chunks_exact_mut(W).enumerate() {
        (matrix.write)(start + row, columns.clone(), &mut values[..columns.len()]);
    }
}

#[inline(always)]
fn add_products(left: &[f64], right: &[f64], tile: &mut [[f64; WIDE]; HIGH]) {
    let mut sums = *tile;
    for (left, right) in left.as_chunks::<HIGH>().0.iter().zip(right.as_chunks::<WIDE>().0) {
        for (sums, left) in sums.iter_mut().zip(left) {
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum += left * right;
            }
        }
    }
    *tile = sums;
}

/// The product of two vectors of the same length.
pub(super) fn dot(one: &[f64], other: &[f64]) -> f64 {
    vectorised(
        #[inline(always)]
        || {
            let ((one, one_rest), (other, other_rest)) = (one.as_chunks::<SUMS>(), other.as_chunks::<SUMS>());
            let mut sums = [0.0; SUMS];
            for (one, other) in one.iter().zip(other) {
                for ((sum, one), other) in sums.iter_mut().zip(one).zip(other) {
                    *sum += one * other;
                }
            }
            let rest: f64 = one_rest.iter().zip(other_rest).map(|(one, other)| one * other).sum();
            sums.iter().sum::<f64>() + rest
        },
    )
}
