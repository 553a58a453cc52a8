//! Products of factors rounded to bf16, summed in f32, by the instructions of AVX512-BF16.
//!
//! The instruction multiplies pairs: two neighbours along the depth of the left factor with two of the right, both
//! products added to one sum. So factors are kept as pairs, 32 bits each; where the depth is odd the last pair ends in a
//! zero. The right factor is packed into panels of pairs, once; the left one is converted block by block, in its own
//! order. Numbers round to the nearest bf16, ties to even; infinity and NaN stay what they are, and what is too small
//! for a normal number (1.2e-38) counts as zero.
//!
//! Where the instructions are missing there is no such product: `Precision::missing` says so before one is made.

#![cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "what the instructions would read"))]

#[cfg_attr(target_arch = "x86_64", path = "avx512/mod.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "missing.rs")]
mod instructions;

pub use instructions::are_there;
use instructions::{pairs_across, pairs_along};

use super::{DEPTH, Matrix};
use crate::kernels::cpu::matrix::kernel::PANEL;
use crate::kernels::cpu::parallel::{scratch, tile};
use crate::kernels::cpu::transpose::transpose_strided;
use pulp::bytemuck::{cast_slice, cast_slice_mut};

/// `product` (rows, columns) = `left` (rows, depth) times `right` (depth, PANEL) in its first columns, the depth in
/// pairs; added to it if `accumulate`. An element is summed in the same order whatever rows it is computed with.
struct PanelProduct<'a> {
    /// Pair (i, k) lies at `i * row_stride + k * pair_stride`.
    left: &'a [u32],
    row_stride: usize,
    pair_stride: usize,
    right: &'a [u32],
    /// Rows of `columns` values, `stride` from the start of one to the next.
    product: &'a mut [f32],
    rows: usize,
    columns: usize,
    stride: usize,
    accumulate: bool,
}

/// Pairs that so many terms make.
pub const fn pairs(terms: usize) -> usize {
    terms.div_ceil(2)
}

/// Rows of `len` values, `stride` from the start of one to the next.
#[derive(Clone, Copy)]
struct Rows<'a> {
    values: &'a [f32],
    count: usize,
    len: usize,
    stride: usize,
}

impl Rows<'_> {
    fn fit(&self) -> bool {
        self.count == 0 || self.len == 0 || (self.count - 1) * self.stride + self.len <= self.values.len()
    }
}

/// Columns of a matrix (K, N) into one panel: pairs(K) x PANEL, filled up with zeros. The pairs are in the bits of f32.
pub fn pack_panel(matrix: Matrix, index: usize, panel: &mut [f32]) {
    let Matrix { values, rows, columns, row_stride, column_stride } = matrix;
    let of_columns = tile(index, PANEL, columns);
    let (width, pairs) = (of_columns.len(), pairs(rows));
    let values = values.get(of_columns.start * column_stride..).unwrap_or_default();
    if width < PANEL {
        panel.fill(0.0);
    }
    if column_stride == 1 {
        let rows = Rows { values, count: rows, len: width, stride: row_stride };
        return pairs_across(rows, cast_slice_mut(panel), PANEL);
    }
    assert_eq!(row_stride, 1, "one of a matrix's strides is 1");
    scratch(width * pairs, |turned| {
        pairs_along(Rows { values, count: width, len: rows, stride: column_stride }, cast_slice_mut(turned));
        transpose_strided((turned, pairs), width, pairs, (panel, PANEL));
    });
}

/// [`multiply`](crate::kernels::cpu::matrix::multiply) of a left factor and panels of pairs.
pub fn multiply(left: Matrix, (right, columns): (&[f32], usize), product: &mut [f32], accumulate: bool) {
    let panel_size = pairs(left.columns) * PANEL;
    for start in (0..left.columns).step_by(DEPTH) {
        let terms = DEPTH.min(left.columns - start);
        let depth = pairs(terms);
        scratch(left.rows * depth, |memory| {
            let memory = cast_slice_mut(memory);
            let (row_stride, pair_stride) = convert(left.part(0..left.rows, start..start + terms), memory);
            for (column, panel) in (0..columns).step_by(PANEL).zip(right.chunks_exact(panel_size)) {
                let product = PanelProduct {
                    left: memory,
                    row_stride,
                    pair_stride,
                    right: cast_slice(&panel[pairs(start) * PANEL..][..depth * PANEL]),
                    product: product.get_mut(column..).unwrap_or_default(),
                    rows: left.rows,
                    columns: PANEL.min(columns - column),
                    stride: columns,
                    accumulate: accumulate || start > 0,
                };
                product.compute();
            }
        });
    }
}

/// The pairs of a left factor along its columns, in its own order. Returns the distances from one row to the next and
/// from one pair to the next.
fn convert(matrix: Matrix, to: &mut [u32]) -> (usize, usize) {
    let Matrix { values, rows, columns, row_stride, column_stride } = matrix;
    if column_stride == 1 {
        pairs_along(Rows { values, count: rows, len: columns, stride: row_stride }, to);
        return (pairs(columns), 1);
    }
    assert_eq!(row_stride, 1, "one of a matrix's strides is 1");
    pairs_across(Rows { values, count: columns, len: rows, stride: column_stride }, to, rows);
    (1, rows)
}

#[cfg(test)]
mod tests;
