//! The innermost loop: the rows of a list times a block of the right factor, their sums in registers.

use super::COLUMNS;
use crate::kernels::cpu::matrix::sparse::list::{List, Pair};
use pulp::{Simd, WithSimd};

/// Columns that are computed: as many as asked for, or the next of these.
pub const WIDTHS: [usize; 3] = [COLUMNS / 4, COLUMNS / 2, COLUMNS];

/// The rows of a list times a block of the right factor.
pub struct ListProduct<'a> {
    pub list: &'a List,
    /// Rows of [`COLUMNS`] values.
    pub right: &'a [f32],
    /// Rows that begin `stride` values apart.
    pub product: &'a mut [f32],
    pub stride: usize,
    pub columns: usize,
    /// Goes on with the sums that are there.
    pub continues: bool,
}

impl WithSimd for ListProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        const { assert!(WIDTHS[0].is_multiple_of(S::F32_LANES)) };
        // Vectors of a row.
        match self.columns.div_ceil(WIDTHS[0]) * WIDTHS[0] / S::F32_LANES {
            1 => self.rows::<S, 1>(simd),
            2 => self.rows::<S, 2>(simd),
            3..=4 => self.rows::<S, 4>(simd),
            5..=8 => self.rows::<S, 8>(simd),
            9..=16 => self.rows::<S, 16>(simd),
            17..=32 => self.rows::<S, 32>(simd),
            _ => self.rows::<S, COLUMNS>(simd),
        }
    }
}

impl ListProduct<'_> {
    #[inline(always)]
    fn rows<S: Simd, const V: usize>(mut self, simd: S) {
        assert!(V * S::F32_LANES <= COLUMNS && self.list.columns * COLUMNS <= self.right.len());
        let mut begin = 0;
        for Pair { rows, terms, .. } in &self.list.pairs {
            let second = begin + terms;
            // The sums of both, a vector of the right factor and what it is multiplied with.
            if 2 * V + 2 <= S::REGISTER_COUNT {
                self.some_rows::<S, V, 2>(simd, *rows, begin, *terms);
            } else {
                self.some_rows::<S, V, 1>(simd, [rows[0]], begin, *terms);
                if rows[1] != rows[0] {
                    self.some_rows::<S, V, 1>(simd, [rows[1]], second, *terms);
                }
            }
            begin = second + terms;
        }
    }

    /// R rows, the terms of each in the lists from `begin` on.
    #[inline(always)]
    fn some_rows<S: Simd, const V: usize, const R: usize>(
        &mut self,
        simd: S,
        rows: [usize; R],
        begin: usize,
        count: usize,
    ) {
        let terms = begin..begin + R * count;
        let (values, starts) = (&self.list.values[terms.clone()], &self.list.starts[terms]);
        let mut places = [self.product.as_mut_ptr().cast::<S::f32s>(); R];
        for (place, row) in places.iter_mut().zip(rows) {
            let row = &mut self.product[row * self.stride..][..V * S::F32_LANES];
            *place = row.as_mut_ptr().cast();
        }
        // SAFETY: each place has V vectors of the product. A list's starts are those of rows of COLUMNS values, at least
        // V vectors, and `right` has one for each of the list's columns. `S::f32s` is plain data of so many f32, read
        // and written unaligned.
        unsafe {
            let mut sums = [[simd.splat_f32s(0.0); V]; R];
            if self.continues {
                for (sums, place) in sums.iter_mut().zip(places) {
                    for (vector, sum) in sums.iter_mut().enumerate() {
                        *sum = place.add(vector).read_unaligned();
                    }
                }
            }
            for index in 0..count {
                for (row, sums) in sums.iter_mut().enumerate() {
                    let term = row * count + index;
                    let factor = simd.splat_f32s(*values.get_unchecked(term));
                    let right = self.right.as_ptr().add(*starts.get_unchecked(term) as usize).cast::<S::f32s>();
                    for (vector, sum) in sums.iter_mut().enumerate() {
                        *sum = simd.mul_add_e_f32s(factor, right.add(vector).read_unaligned(), *sum);
                    }
                }
            }
            for (sums, place) in sums.iter().zip(places) {
                for (vector, sum) in sums.iter().enumerate() {
                    place.add(vector).write_unaligned(*sum);
                }
            }
        }
    }
}
