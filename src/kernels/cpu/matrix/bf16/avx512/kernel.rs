//! The innermost loops of a product of pairs, blocked for registers as the product in f32 is.

use super::are_there;
use crate::kernels::cpu::matrix::bf16::PanelProduct;
use crate::kernels::cpu::matrix::kernel::PANEL;
use std::arch::x86_64::*;

/// Rows of the left factor at a time: with two vectors of columns 24 of the 32 registers are sums.
const ROWS: usize = 12;

/// Lanes of a vector of sums.
const LANES: usize = 16;

impl PanelProduct<'_> {
    pub fn compute(mut self) {
        let (rows, depth) = (self.rows, self.right.len() / PANEL);
        assert!(self.right.len().is_multiple_of(PANEL) && (1..=PANEL).contains(&self.columns) && depth > 0);
        assert!(are_there(), "bf16 is refused where a CPU does not have it");
        if rows == 0 {
            return;
        }
        assert!((rows - 1) * self.row_stride + (depth - 1) * self.pair_stride < self.left.len());
        assert!((rows - 1) * self.stride + self.columns <= self.product.len());
        let mut row = 0;
        while row < rows {
            // SAFETY: the instructions are there; so many rows remain, and the sizes were checked above.
            row += unsafe {
                match rows - row {
                    ROWS.. => self.some_rows::<ROWS>(row, depth),
                    6.. => self.some_rows::<6>(row, depth),
                    4.. => self.some_rows::<4>(row, depth),
                    2.. => self.some_rows::<2>(row, depth),
                    _ => self.some_rows::<1>(row, depth),
                }
            };
        }
    }

    /// Rows `row..row + R` of the product. Returns R.
    ///
    /// SAFETY: as for [`block`](Self::block).
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn some_rows<const R: usize>(&mut self, row: usize, depth: usize) -> usize {
        const { assert!(PANEL == 2 * LANES) };
        // SAFETY: as promised by the caller.
        unsafe { if self.columns > LANES { self.block::<R, 2>(row, depth) } else { self.block::<R, 1>(row, depth) } }
        R
    }

    /// SAFETY: `left` must have R rows of `depth` pairs from `row` on, `right` `depth` x PANEL pairs, and `product` R
    /// rows of `columns` values, which V vectors hold.
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn block<const R: usize, const V: usize>(&mut self, row: usize, depth: usize) {
        let mut sums = [[_mm512_setzero_ps(); V]; R];
        let (row_stride, pair_stride) = (self.row_stride, self.pair_stride);
        // SAFETY: as promised by the caller; the masks keep to the `columns` of a row.
        unsafe {
            let mut left = self.left.as_ptr().add(row * row_stride);
            let mut right = self.right.as_ptr();
            for _ in 0..depth {
                let mut values = [pairs(_mm512_setzero_si512()); V];
                for (vector, value) in values.iter_mut().enumerate() {
                    *value = pairs(_mm512_loadu_si512(right.add(vector * LANES).cast()));
                }
                for (index, sums) in sums.iter_mut().enumerate() {
                    let factor = pairs(_mm512_set1_epi32(*left.add(index * row_stride) as i32));
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = _mm512_dpbf16_ps(*sum, factor, value);
                    }
                }
                left = left.wrapping_add(pair_stride);
                right = right.wrapping_add(PANEL);
            }
            let product = self.product.as_mut_ptr().add(row * self.stride);
            for (index, sums) in sums.into_iter().enumerate() {
                for (vector, sum) in sums.into_iter().enumerate() {
                    let place = product.add(index * self.stride + vector * LANES);
                    let width = (self.columns - vector * LANES).min(LANES);
                    let inside = (u32::MAX >> (32 - width)) as __mmask16;
                    // Not where the sum begins: short sums, added up, round less than a long one.
                    let sum = match self.accumulate {
                        true => _mm512_add_ps(_mm512_maskz_loadu_ps(inside, place), sum),
                        false => sum,
                    };
                    _mm512_mask_storeu_ps(place, inside, sum);
                }
            }
        }
    }
}

/// The pairs of a vector.
#[target_feature(enable = "avx512f,avx512bf16")]
fn pairs(integers: __m512i) -> __m512bh {
    // SAFETY: both are plain data of 64 bytes.
    unsafe { std::mem::transmute(integers) }
}
