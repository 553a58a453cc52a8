//! The innermost loops of a product, blocked for registers: some rows of the left factor times one panel.
//!
//! The `gemm` crate, which packs both factors, reaches the same rate where they are large and square. At the shapes of
//! networks, with one factor much the larger or many small products, it loses a tenth to a half to the packing.

use std::hint::black_box;

use pulp::{Simd, WithSimd};

/// Columns of a panel: two vectors of AVX-512, and a multiple of all narrower ones.
pub const PANEL: usize = 32;

/// Rows of the left factor at a time where there are 32 vector registers, and where there are 16.
pub const ROWS: usize = 12;
const FEWER_ROWS: usize = 6;

/// And where there are 32 and not as many rows left. Sums of 4 rows, two vectors each, wait for one another; of 8 they do
/// not.
const LAST_ROWS: usize = 8;

/// Rows at a time where there are 32 registers and so many rows left. 16 rows are 8 and 8: after 12 of them 4 would be
/// left.
pub fn rows_at_once(left: usize) -> usize {
    if (ROWS + 2..=2 * LAST_ROWS).contains(&left) { LAST_ROWS } else { left.min(ROWS) }
}

/// `product` (rows, columns) = `left` (rows, depth) times `right` (depth, PANEL) in its first columns; added to it if
/// `accumulate`. An element is summed in the same order whatever rows it is computed with.
pub struct PanelProduct<'a> {
    /// Element (i, k) lies at `i * row_stride + k * column_stride`.
    pub left: &'a [f32],
    pub row_stride: usize,
    pub column_stride: usize,
    pub right: &'a [f32],
    /// Rows of `columns` values, `stride` from the start of one to the next.
    pub product: &'a mut [f32],
    pub rows: usize,
    pub columns: usize,
    pub stride: usize,
    pub accumulate: bool,
}

impl WithSimd for PanelProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (rows, depth) = (self.rows, self.right.len() / PANEL);
        assert!(self.right.len().is_multiple_of(PANEL) && (1..=PANEL).contains(&self.columns) && depth > 0);
        if rows == 0 {
            return;
        }
        assert!((rows - 1) * self.row_stride + (depth - 1) * self.column_stride < self.left.len());
        assert!((rows - 1) * self.stride + self.columns <= self.product.len());
        let mut row = 0;
        let has_registers = S::REGISTER_COUNT >= 32;
        while row < rows {
            let left = if has_registers { rows_at_once(rows - row) } else { rows - row };
            row += match left {
                ROWS.. if has_registers => self.some_rows::<S, ROWS>(simd, row, depth),
                LAST_ROWS.. if has_registers => self.some_rows::<S, LAST_ROWS>(simd, row, depth),
                FEWER_ROWS.. => self.some_rows::<S, FEWER_ROWS>(simd, row, depth),
                4.. => self.some_rows::<S, 4>(simd, row, depth),
                2.. => self.some_rows::<S, 2>(simd, row, depth),
                _ => self.some_rows::<S, 1>(simd, row, depth),
            };
        }
    }
}

impl PanelProduct<'_> {
    /// Rows `row..row + R` of the product. Returns R.
    #[inline(always)]
    fn some_rows<S: Simd, const R: usize>(&mut self, simd: S, row: usize, depth: usize) -> usize {
        const { assert!(PANEL.is_multiple_of(2 * S::F32_LANES)) };
        let mut column = 0;
        while column < self.columns {
            if self.columns - column > S::F32_LANES {
                self.some_columns::<S, R, 2>(simd, row, column, depth);
                column += 2 * S::F32_LANES;
            } else {
                self.some_columns::<S, R, 1>(simd, row, column, depth);
                column += S::F32_LANES;
            }
        }
        R
    }

    /// V vectors of columns of these rows, or what the product has of them.
    #[inline(always)]
    fn some_columns<S: Simd, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        depth: usize,
    ) {
        let width = (self.columns - column).min(V * S::F32_LANES);
        if width == V * S::F32_LANES {
            let product = self.product[row * self.stride + column..].as_mut_ptr();
            // SAFETY: `with_simd` has checked that `product` has `rows` rows of `columns`; R of them remain from `row`
            // on, and `width` columns from `column` on.
            return unsafe { self.block::<S, R, V>(simd, row, column, depth, (product, self.stride)) };
        }
        // A vector would reach beyond the row: by way of a block of whole vectors.
        let mut block = [[0.0; PANEL]; R];
        let lines = (row..row + R).map(|row| row * self.stride + column..row * self.stride + column + width);
        for (block, line) in block.iter_mut().zip(lines.clone()) {
            block[..width].copy_from_slice(&self.product[line]);
        }
        // SAFETY: the block has R rows of PANEL values, and PANEL is a multiple of two vectors.
        unsafe { self.block::<S, R, V>(simd, row, column, depth, (block.as_mut_ptr().cast(), PANEL)) };
        for (block, line) in block.iter().zip(lines) {
            self.product[line].copy_from_slice(&block[..width]);
        }
    }

    /// SAFETY: `R` rows from `row` on must exist, `V` vectors of `right` from `column` on, and of `product` R rows of V
    /// vectors, `stride` values from the start of one to the next.
    #[inline(always)]
    unsafe fn block<S: Simd, const R: usize, const V: usize>(
        &self,
        simd: S,
        row: usize,
        column: usize,
        depth: usize,
        (product, stride): (*mut f32, usize),
    ) {
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        let (row_stride, column_stride) = (self.row_stride, self.column_stride);
        // SAFETY: as promised by the caller, and `with_simd` has checked that `left` has `rows` x `depth` elements and
        // `right` `depth` x PANEL. `S::f32s` is plain data of so many f32, read and written unaligned.
        unsafe {
            // A pointer for every third row, so that all rows are a pointer and one or two strides away. From a single
            // one the compiler would step from row to row, an addition a row, each of which waits for the one before:
            // more cycles than the products take. `black_box` keeps it from seeing that the pointers belong together.
            let mut left = [self.left.as_ptr().wrapping_add(row * row_stride); ROWS.div_ceil(3)];
            for (third, pointer) in left.iter_mut().enumerate().take(R.div_ceil(3)) {
                *pointer = black_box(pointer.wrapping_add(3 * third * row_stride));
            }
            let mut right = self.right.as_ptr().add(column).cast::<S::f32s>();
            for _ in 0..depth {
                let mut values = [simd.splat_f32s(0.0); V];
                for (vector, value) in values.iter_mut().enumerate() {
                    *value = right.add(vector).read_unaligned();
                }
                for (index, sums) in sums.iter_mut().enumerate() {
                    let factor = simd.splat_f32s(*left[index / 3].add(index % 3 * row_stride));
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = simd.mul_add_e_f32s(factor, value, *sum);
                    }
                }
                for pointer in &mut left {
                    *pointer = pointer.wrapping_add(column_stride);
                }
                right = right.wrapping_add(PANEL / S::F32_LANES);
            }
            for (index, sums) in sums.into_iter().enumerate() {
                for (vector, sum) in sums.into_iter().enumerate() {
                    let place = product.add(index * stride).cast::<S::f32s>().add(vector);
                    // Not where the sum begins: short sums, added up, round less than a long one.
                    let sum = if self.accumulate { simd.add_f32s(place.read_unaligned(), sum) } else { sum };
                    place.write_unaligned(sum);
                }
            }
        }
    }
}
