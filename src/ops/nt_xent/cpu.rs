//! With Z the directions, S = Z Zᵀ their cosines, and P the softmax of each row of S / t without the diagonal, the
//! gradient of the loss by S / t is Q = (P - 1 at each row's other view) / 2N, and S takes it both ways: by Z it is
//! (Q + Qᵀ) Z / t. An embedding then moves its direction only across it.

use super::EPS;
use crate::kernels::cpu::matrix::{Matrix, PackedMatrix, multiply};
use crate::kernels::cpu::parallel::{rows_of_a_tile, scratch, tile, write_tiles};
use crate::kernels::cpu::simd::vectorised;
use crate::kernels::cpu::transpose::transpose_strided;
use crate::ops::cross_entropy::row;
use std::ops::Range;

/// Rows of a task: two tasks a view where there are 32 pairs.
const ROWS: usize = 16;

/// What the forward pass leaves for the backward one, of the embeddings on the left and then those on the right.
pub struct Views {
    /// (2N, D), each of length 1.
    directions: Vec<f32>,
    /// (2N)
    lengths: Vec<f64>,
    /// (2N, 2N): 2N Q of the module's doc.
    slopes: Vec<f32>,
}

/// The loss of embeddings (2N, D).
pub fn forward(embeddings: Vec<f32>, dim: usize, temperature: f64) -> (f32, Views) {
    let (directions, lengths) = directions(&embeddings, dim);
    let count = lengths.len();
    let all = PackedMatrix::new(Matrix::new(&directions, count, dim).transposed());
    let scale = (1.0 / temperature).min(f64::MAX);
    let (slopes, losses) = write_tiles(count * count, ROWS * count, |index, block| {
        let rows = tile(index, ROWS, count);
        let of_rows = &directions[rows.start * dim..rows.end * dim];
        multiply(Matrix::new(of_rows, rows.len(), dim), &all.panels(), block, false);
        vectorised(
            #[inline(always)]
            || {
                let mut sum = 0.0;
                for (view, row) in rows.zip(block.chunks_exact_mut(count)) {
                    sum += row::cross_entropy(row, (view + count / 2) % count, Some(view), scale);
                }
                sum
            },
        )
    });
    let loss = finite(losses.iter().sum::<f64>() / count as f64);
    (loss, Views { directions, lengths, slopes })
}

/// Each row divided by its length, and the lengths; squares of f32 neither vanish nor overflow in f64.
fn directions(embeddings: &[f32], dim: usize) -> (Vec<f32>, Vec<f64>) {
    let size = rows_of_a_tile(dim) * dim;
    let (directions, lengths) = write_tiles(embeddings.len(), size, |index, directions| {
        let rows = embeddings[tile(index, size, embeddings.len())].chunks_exact(dim);
        let mut lengths = Vec::with_capacity(rows.len());
        vectorised(
            #[inline(always)]
            || {
                for (direction, row) in directions.chunks_exact_mut(dim).zip(rows) {
                    let length = (row::dot(row, row) + EPS).sqrt();
                    direction.iter_mut().zip(row).for_each(|(d, x)| *d = (f64::from(*x) / length) as f32);
                    lengths.push(length);
                }
            },
        );
        lengths
    });
    (directions, lengths.concat())
}

impl Views {
    /// The gradient by these rows of the embeddings, times `factor`.
    pub fn gradient(&self, rows: Range<usize>, temperature: f64, factor: f64) -> Vec<f32> {
        let Self { directions, lengths, slopes } = self;
        let count = lengths.len();
        let dim = directions.len() / count;
        let all = PackedMatrix::new(Matrix::new(directions, count, dim));
        let gradient = |index: usize, output: &mut [f32]| {
            let views = tile(index, ROWS, rows.len());
            let views = rows.start + views.start..rows.start + views.end;
            scratch(views.len() * count, |both| {
                let columns = (&slopes[views.start..], count);
                transpose_strided(columns, count, views.len(), (&mut *both, count));
                let of_rows = &slopes[views.start * count..views.end * count];
                both.iter_mut().zip(of_rows).for_each(|(sum, slope)| *sum += slope);
                multiply(Matrix::new(both, views.len(), count), &all.panels(), output, false);
            });
            vectorised(
                #[inline(always)]
                || {
                    for (view, gradient) in views.zip(output.chunks_exact_mut(dim)) {
                        let direction = &directions[view * dim..(view + 1) * dim];
                        let along = row::dot(direction, gradient);
                        let share = factor / (count as f64 * temperature * lengths[view]);
                        let share = share.clamp(f64::MIN, f64::MAX); // infinity times 0 would be NaN
                        for (gradient, d) in gradient.iter_mut().zip(direction) {
                            *gradient = finite((f64::from(*gradient) - f64::from(*d) * along) * share);
                        }
                    }
                },
            );
        };
        write_tiles(rows.len() * dim, ROWS * dim, gradient).0
    }
}

/// The nearest finite f32: at a temperature of 1e-40 the true values are beyond. NaN stays NaN.
#[inline(always)]
fn finite(value: f64) -> f32 {
    value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}
