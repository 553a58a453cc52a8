//! A product of matrices with [`PANEL`] columns, blocked for registers.
//!
//! Winograd's products are small and many, and the transforms can lay their factors out as they like. The `gemm` crate,
//! which packs them again, takes up to a tenth longer for whole forward passes and a tenth to a third for gradients of
//! weights. Here also an element is summed in the same order whatever rows it is computed with.

use pulp::{Simd, WithSimd};

/// Columns of a panel: two vectors of AVX-512, and a multiple of all narrower ones.
pub const PANEL: usize = 32;

/// Rows of `left` at a time where there are 32 vector registers, and where there are 16.
const ROWS: usize = 12;
const FEWER_ROWS: usize = 6;

/// `product` (rows, PANEL) = `left` (rows, depth) times `right` (depth, PANEL), added to it if `accumulate`.
pub struct PanelProduct<'a> {
    /// Element (i, k) lies at `i * row_stride + k * column_stride`.
    pub left: &'a [f32],
    pub row_stride: usize,
    pub column_stride: usize,
    pub right: &'a [f32],
    pub product: &'a mut [f32],
    pub accumulate: bool,
}

impl WithSimd for PanelProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (rows, depth) = (self.product.len() / PANEL, self.right.len() / PANEL);
        assert_eq!((self.product.len() % PANEL, self.right.len() % PANEL), (0, 0));
        if rows == 0 || depth == 0 {
            assert!(self.accumulate || rows == 0);
            return;
        }
        assert!((rows - 1) * self.row_stride + (depth - 1) * self.column_stride < self.left.len());
        let mut row = 0;
        while row < rows {
            row += match rows - row {
                ROWS.. if S::REGISTER_COUNT >= 32 => self.some_rows::<S, ROWS>(simd, row, depth),
                FEWER_ROWS.. => self.some_rows::<S, FEWER_ROWS>(simd, row, depth),
                4.. => self.some_rows::<S, 4>(simd, row, depth),
                2.. => self.some_rows::<S, 2>(simd, row, depth),
                _ => self.some_rows::<S, 1>(simd, row, depth),
            };
        }
    }
}

impl PanelProduct<'_> {
    /// Rows `row..row + R` of the product, two vectors of columns at a time. Returns R.
    #[inline(always)]
    fn some_rows<S: Simd, const R: usize>(&mut self, simd: S, row: usize, depth: usize) -> usize {
        const { assert!(PANEL.is_multiple_of(2 * S::F32_LANES)) };
        let (row_stride, column_stride) = (self.row_stride, self.column_stride);
        for column in (0..PANEL).step_by(2 * S::F32_LANES) {
            let mut sums = [[simd.splat_f32s(0.0); 2]; R];
            // SAFETY: the caller has checked that `left` has `rows` x `depth` elements, `right` `depth` x PANEL and
            // `product` `rows` x PANEL; `row + R <= rows`, and `column + 2 lanes <= PANEL` because PANEL is a
            // multiple of that. `S::f32s` is plain data of so many f32, read and written unaligned.
            unsafe {
                let product = self.product.as_mut_ptr().add(row * PANEL + column).cast::<S::f32s>();
                let line = PANEL / S::F32_LANES;
                if self.accumulate {
                    for (row, [first, second]) in sums.iter_mut().enumerate() {
                        *first = product.add(row * line).read_unaligned();
                        *second = product.add(row * line + 1).read_unaligned();
                    }
                }
                let mut left = self.left.as_ptr().add(row * row_stride);
                let mut right = self.right.as_ptr().add(column).cast::<S::f32s>();
                for _ in 0..depth {
                    let (first, second) = (right.read_unaligned(), right.add(1).read_unaligned());
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let factor = simd.splat_f32s(*left.add(row * row_stride));
                        sums[0] = simd.mul_add_e_f32s(factor, first, sums[0]);
                        sums[1] = simd.mul_add_e_f32s(factor, second, sums[1]);
                    }
                    left = left.wrapping_add(column_stride);
                    right = right.wrapping_add(line);
                }
                for (row, [first, second]) in sums.into_iter().enumerate() {
                    product.add(row * line).write_unaligned(first);
                    product.add(row * line + 1).write_unaligned(second);
                }
            }
        }
        R
    }
}
