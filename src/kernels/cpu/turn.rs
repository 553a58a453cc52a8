//! A matrix turned in square blocks, each in vector registers.
//!
//! The compiler does not find these shuffles: value by value a turn takes ten times as long, and the turns of a linear
//! layer a third of its product's time.

use pulp::bytemuck::{Pod, Zeroable};
#[cfg(target_arch = "x86_64")]
use pulp::cast;

/// `matrix`, rows of `columns` values and `stride` from one to the next, into `output`, columns of `rows` values and
/// `output_stride` from one to the next.
pub struct Turn<'a> {
    pub matrix: &'a [f32],
    pub stride: usize,
    pub rows: usize,
    pub columns: usize,
    pub output: &'a mut [f32],
    pub output_stride: usize,
}

/// With the widest vectors that the machine has.
pub fn turn(mut turn: Turn) {
    #[cfg(target_arch = "x86_64")]
    match pulp::Arch::new() {
        pulp::Arch::V4(simd) => {
            return simd.vectorize(
                #[inline(always)]
                || turn.in_blocks(simd),
            );
        }
        pulp::Arch::V3(simd) => {
            return simd.vectorize(
                #[inline(always)]
                || turn.in_blocks(simd),
            );
        }
        _ => {}
    }
    turn.in_blocks(Portable);
}

/// Vectors of N values that can be shuffled.
trait Interleave<const N: usize>: Copy {
    type Vector: Pod;

    /// A value of `x`, one of `y` and so on, in two vectors.
    fn interleave(self, x: Self::Vector, y: Self::Vector) -> [Self::Vector; 2];
}

impl Turn<'_> {
    #[inline(always)]
    fn in_blocks<const N: usize, S: Interleave<N>>(&mut self, simd: S) {
        const { assert!(size_of::<S::Vector>() == N * size_of::<f32>() && N.is_power_of_two()) };
        let (whole_rows, whole_columns) = (self.rows / N * N, self.columns / N * N);
        for row in (0..whole_rows).step_by(N) {
            for column in (0..whole_columns).step_by(N) {
                self.block(simd, row, column);
            }
        }
        self.values(0..whole_rows, whole_columns..self.columns);
        self.values(whole_rows..self.rows, 0..self.columns);
    }

    /// The N x N values from here on.
    #[inline(always)]
    fn block<const N: usize, S: Interleave<N>>(&mut self, simd: S, row: usize, column: usize) {
        let (start, output_start) = (row * self.stride + column, column * self.output_stride + row);
        assert!(start + (N - 1) * self.stride + N <= self.matrix.len());
        assert!(output_start + (N - 1) * self.output_stride + N <= self.output.len());
        let mut block = [S::Vector::zeroed(); N];
        for (index, vector) in block.iter_mut().enumerate() {
            // SAFETY: the last of the N rows lies within the matrix, as was asserted. A vector is plain data of N values.
            *vector =
                unsafe { self.matrix.as_ptr().add(start + index * self.stride).cast::<S::Vector>().read_unaligned() };
        }
        // A value's place is the bits of its row and then those of its column. The rows of the upper half interleaved
        // with those of the lower are the values with these bits turned by one: after as many turns as a row has bits,
        // row and column have changed places.
        for _ in 0..N.ilog2() {
            let before = block;
            for row in 0..N / 2 {
                let [first, second] = simd.interleave(before[row], before[row + N / 2]);
                (block[2 * row], block[2 * row + 1]) = (first, second);
            }
        }
        for (index, vector) in block.into_iter().enumerate() {
            let start = output_start + index * self.output_stride;
            // SAFETY: the last of the N columns lies within the output, as was asserted.
            unsafe { self.output.as_mut_ptr().add(start).cast::<S::Vector>().write_unaligned(vector) };
        }
    }

    /// Value by value: what is left of whole blocks.
    #[inline(always)]
    fn values(&mut self, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) {
        for column in columns {
            for row in rows.clone() {
                self.output[column * self.output_stride + row] = self.matrix[row * self.stride + column];
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Interleave<16> for pulp::x86::V4 {
    type Vector = pulp::f32x16;

    #[inline(always)]
    fn interleave(self, x: Self::Vector, y: Self::Vector) -> [Self::Vector; 2] {
        const FIRST: [u32; 16] = [0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23];
        const SECOND: [u32; 16] = [8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31];
        let (x, y) = (cast(x), cast(y));
        let first = self.avx512f._mm512_permutex2var_ps(x, cast(FIRST), y);
        let second = self.avx512f._mm512_permutex2var_ps(x, cast(SECOND), y);
        [cast(first), cast(second)]
    }
}

#[cfg(target_arch = "x86_64")]
impl Interleave<8> for pulp::x86::V3 {
    type Vector = pulp::f32x8;

    #[inline(always)]
    fn interleave(self, x: Self::Vector, y: Self::Vector) -> [Self::Vector; 2] {
        let (x, y) = (cast(x), cast(y));
        // Each half of a vector by itself.
        let (low, high) = (self.avx._mm256_unpacklo_ps(x, y), self.avx._mm256_unpackhi_ps(x, y));
        let first = self.avx._mm256_permute2f128_ps::<0x20>(low, high);
        let second = self.avx._mm256_permute2f128_ps::<0x31>(low, high);
        [cast(first), cast(second)]
    }
}

/// For any machine.
#[derive(Clone, Copy)]
struct Portable;

impl Interleave<4> for Portable {
    type Vector = [f32; 4];

    #[inline(always)]
    fn interleave(self, x: Self::Vector, y: Self::Vector) -> [Self::Vector; 2] {
        [[x[0], y[0], x[1], y[1]], [x[2], y[2], x[3], y[3]]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_vector_turns_odd_shapes() {
        for (rows, columns) in [(1, 1), (16, 16), (17, 33), (40, 7), (3, 50), (32, 64)] {
            let (stride, output_stride) = (columns + 3, rows + 5);
            let matrix: Vec<f32> = (0..rows * stride).map(|index| index as f32).collect();
            let run = |turn: &dyn Fn(Turn)| {
                let mut output = vec![-1.0; columns * output_stride];
                turn(Turn { matrix: &matrix, stride, rows, columns, output: &mut output, output_stride });
                for (index, value) in output.iter().enumerate() {
                    let (column, row) = (index / output_stride, index % output_stride);
                    let expected = if row < rows { matrix[row * stride + column] } else { -1.0 };
                    assert_eq!(*value, expected, "{rows} x {columns}: row {row}, column {column}");
                }
            };
            run(&turn);
            run(&|mut turn| turn.in_blocks(Portable));
            #[cfg(target_arch = "x86_64")]
            if let Some(simd) = pulp::x86::V3::try_new() {
                run(&|mut turn| turn.in_blocks(simd));
            }
        }
    }
}
