//! Products of matrices: a checked view, the right factor in panels, and the loop over blocks.
//!
//! All of a product runs on the calling thread, so that the order of sums does not depend on the pool. The left factor is
//! read where it lies, unless its rows' values lie far apart; the right one is packed, once for all tasks that share it.
//! What is small or shared by many tasks should therefore stand on the right, and the large factor on the left.

mod blocks;
pub mod kernel;
mod panels;
pub mod sparse;

pub use panels::{PackedMatrix, Panels};

use crate::kernels::cpu::parallel::scratch;
use crate::kernels::cpu::simd::with_vectors;
use blocks::{Block, Left, with_left};
use kernel::{PANEL, PanelProduct};
use std::ops::Range;

/// Terms of a sum at a time: a panel of so many rows takes 64 KiB and streams from a core's second-level cache, twelve
/// rows of the left factor take 24 KiB of its first.
pub const DEPTH: usize = 512;

/// Columns of the right factor that are packed at a time: 512 KiB, which stay in a core's second-level cache.
const COLUMNS: usize = 256;

/// A matrix in a slice: element (i, j) lies at `i * row_stride + j * column_stride`.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Row after row.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// Row after row, `stride` elements from the start of one to the next.
    pub fn strided(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        let fits = rows == 0 || columns == 0 || (rows - 1) * stride + columns <= values.len();
        assert!(fits, "{rows} x {columns} with stride {stride} in {} values", values.len());
        Self { values, rows, columns, row_stride: stride, column_stride: 1 }
    }

    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    pub fn rows(self) -> usize {
        self.rows
    }

    pub fn columns(self) -> usize {
        self.columns
    }

    /// These rows of it.
    pub fn some_rows(self, rows: Range<usize>) -> Self {
        self.part(rows, 0..self.columns)
    }

    /// Its rows, of a matrix whose rows are contiguous.
    pub fn lines(self) -> impl Iterator<Item = &'a [f32]> {
        assert_eq!(self.column_stride, 1);
        (0..self.rows).map(move |row| &self.values[row * self.row_stride..][..self.columns])
    }

    /// These rows and columns of it.
    fn part(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        let start = rows.start * self.row_stride + columns.start * self.column_stride;
        Self { values: self.values.get(start..).unwrap_or_default(), rows: rows.len(), columns: columns.len(), ..self }
    }
}

/// The product of `left` (M, K) and `right` (K, N) into `product` (M, N), row after row; added to it if `accumulate`.
/// Unless it is added, every value of `product` is overwritten.
pub fn multiply(left: Matrix, right: &Panels, product: &mut [f32], accumulate: bool) {
    assert_eq!(left.columns, right.rows);
    assert_eq!(product.len(), left.rows * right.columns);
    if left.columns == 0 {
        if !accumulate {
            product.fill(0.0);
        }
        return;
    }
    for start in (0..left.columns).step_by(DEPTH) {
        let terms = start..left.columns.min(start + DEPTH);
        let columns = right.columns;
        let product =
            ProductColumns { product: &mut *product, columns, stride: columns, accumulate: accumulate || start > 0 };
        with_left(left.part(0..left.rows, terms.clone()), |left| product.multiply(left, right, terms));
    }
}

/// The same with the right factor as it lies, packed part by part into memory of the thread where it does not lie so.
pub fn multiply_unpacked(left: Matrix, right: Matrix, product: &mut [f32], accumulate: bool) {
    if let Some(panels) = Panels::lying(right) {
        return multiply(left, &panels, product, accumulate);
    }
    if left.columns > DEPTH {
        for start in (0..left.columns).step_by(DEPTH) {
            let terms = start..left.columns.min(start + DEPTH);
            let (left, right) = (left.part(0..left.rows, terms.clone()), right.part(terms, 0..right.columns));
            multiply_unpacked(left, right, product, accumulate || start > 0);
        }
        return;
    }
    if left.columns == 0 {
        if !accumulate {
            product.fill(0.0);
        }
        return;
    }
    assert_eq!(left.columns, right.rows);
    assert_eq!(product.len(), left.rows * right.columns);
    let stride = right.columns;
    with_left(left, |left| {
        for column in (0..stride).step_by(COLUMNS) {
            let right = right.part(0..right.rows, column..stride.min(column + COLUMNS));
            scratch(Panels::len(right.rows, right.columns), |memory| {
                let panels = Panels::pack(right, memory);
                let product = product.get_mut(column..).unwrap_or_default();
                let product = ProductColumns { product, columns: right.columns, stride, accumulate };
                product.multiply(left, &panels, 0..right.rows);
            });
        }
    });
}

/// Some columns of a product: rows of `columns`, `stride` values from the start of one to the next.
struct ProductColumns<'a> {
    product: &'a mut [f32],
    columns: usize,
    stride: usize,
    accumulate: bool,
}

impl ProductColumns<'_> {
    /// Writes or adds what some terms of the sums give, the rows `terms` of the right factor.
    fn multiply(mut self, left: Left, right: &Panels, terms: Range<usize>) {
        let panels = right.values.chunks_exact(right.rows * PANEL);
        let panels = panels.map(|panel| &panel[terms.start * PANEL..terms.end * PANEL]);
        let panels = (0..self.columns).step_by(PANEL).zip(panels);
        match left {
            Left::Lying(Matrix { values, rows, row_stride, column_stride, .. }) => {
                panels.for_each(|panel| self.multiply_panel(values, (row_stride, column_stride), 0..rows, panel));
            }
            Left::Blocks(blocks) => {
                for part in blocks.parts() {
                    for panel in panels.clone() {
                        for Block { rows, values } in part.clone() {
                            self.multiply_panel(values, (1, rows.len()), rows, panel);
                        }
                    }
                }
            }
        }
    }

    /// Some rows, `left` times a panel, from the column of the product on that is given with it.
    fn multiply_panel(
        &mut self,
        left: &[f32],
        (row_stride, column_stride): (usize, usize),
        rows: Range<usize>,
        (column, right): (usize, &[f32]),
    ) {
        with_vectors(PanelProduct {
            left,
            row_stride,
            column_stride,
            right,
            product: self.product.get_mut(rows.start * self.stride + column..).unwrap_or_default(),
            rows: rows.len(),
            columns: PANEL.min(self.columns - column),
            stride: self.stride,
            accumulate: self.accumulate,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    /// Sums in f64, for every combination of strides.
    #[test]
    fn products_of_odd_shapes() {
        let mut generator = Stream::new(3, "products").at(0);
        let mut shapes = vec![
            (1, 1, 1),
            (2, 3, 5),
            (13, 7, 33),
            (25, 515, 40),
            (12, 1030, 64),
            (31, 64, 100),
            (9, 600, 32),
            (0, 4, 4),
        ];
        // Turned, these are copied into blocks: the last of 16 rows, of 13, and of 2 in a second part.
        shapes.extend([(148, 40, 33), (145, 9, 64), (206, 530, 31)]);
        // More columns than are packed at a time.
        shapes.push((13, 20, 300));
        for (rows, depth, columns) in shapes {
            let mut random = |len: usize| (0..len).map(|_| generator.symmetric()).collect::<Vec<f32>>();
            let (left, right, before) = (random(rows * depth), random(depth * columns), random(rows * columns));
            for case in 0..8 {
                let (turn_left, turn_right, accumulate) = (case & 1 > 0, case & 2 > 0, case & 4 > 0);
                let of_left = match turn_left {
                    true => Matrix::new(&left, depth, rows).transposed(),
                    false => Matrix::new(&left, rows, depth),
                };
                let of_right = match turn_right {
                    true => Matrix::new(&right, columns, depth).transposed(),
                    false => Matrix::new(&right, depth, columns),
                };
                let mut product = before.clone();
                multiply_unpacked(of_left, of_right, &mut product, accumulate);
                let mut shared = before.clone();
                multiply(of_left, &PackedMatrix::new(of_right).panels(), &mut shared, accumulate);
                assert_eq!(product, shared);
                for (index, found) in product.iter().enumerate() {
                    let (i, j) = (index / columns, index % columns);
                    let term = |k: usize| {
                        let a = left[i * of_left.row_stride + k * of_left.column_stride];
                        let b = right[k * of_right.row_stride + j * of_right.column_stride];
                        f64::from(a) * f64::from(b)
                    };
                    let start = if accumulate { f64::from(before[index]) } else { 0.0 };
                    let expected = start + (0..depth).map(term).sum::<f64>();
                    let allowed = 3e-6 * (1.0 + depth as f64).sqrt();
                    assert!((f64::from(*found) - expected).abs() < allowed, "{found}, not {expected}");
                }
            }
        }
    }
}
