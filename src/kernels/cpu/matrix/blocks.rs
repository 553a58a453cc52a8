//! The left factor of a product, copied into blocks of the rows that are multiplied at once.

use super::Matrix;
use crate::kernels::cpu::matrix::kernel::{ROWS, rows_at_once};
use crate::kernels::cpu::parallel::{LINE, scratch};
use crate::kernels::cpu::simd::vectorised;
use std::ops::Range;

/// Blocks that go over all panels together: with [`DEPTH`](crate::kernels::cpu::matrix::DEPTH) terms 384 KiB, which stay in a core's
/// second-level cache.
const PART: usize = 16;

/// A left factor as it is multiplied.
#[derive(Clone, Copy)]
pub enum Left<'a> {
    /// As it lies.
    Lying(Matrix<'a>),
    Blocks(Blocks<'a>),
}

/// The values of a row that lie so far apart, at more than 512 bytes, are often at distances that a cache keeps few lines
/// of: the copy is then faster by a third. Nearer ones are read where they lie; their copy costs a tenth.
const FAR: usize = 128;

/// Lends the factor as it lies, or in blocks if the values of a row lie far apart.
pub fn with_left(left: Matrix, work: impl FnOnce(Left)) {
    if left.column_stride <= FAR || left.rows == 0 {
        return work(Left::Lying(left));
    }
    let (rows, depth) = (left.rows, left.columns);
    scratch(starts(rows).count() * pitch(depth), |memory| {
        pack(left, memory);
        work(Left::Blocks(Blocks { values: memory, rows, depth }));
    });
}

/// A matrix (M, K) in blocks of up to [`ROWS`] rows.
#[derive(Clone, Copy)]
pub struct Blocks<'a> {
    values: &'a [f32],
    rows: usize,
    depth: usize,
}

/// Rows that are multiplied at once, column after column.
pub struct Block<'a> {
    pub rows: Range<usize>,
    pub values: &'a [f32],
}

impl<'a> Blocks<'a> {
    /// Some blocks at a time.
    pub fn parts(self) -> impl Iterator<Item = impl Iterator<Item = Block<'a>> + Clone> {
        let Self { values, rows, depth } = self;
        (0..starts(rows).count()).step_by(PART).map(move |first| {
            let blocks = starts(rows).zip(values.chunks_exact(pitch(depth))).skip(first).take(PART);
            blocks.map(move |(row, values)| Block { rows: row..row + rows_at_once(rows - row), values })
        })
    }
}

/// The first row of each block.
fn starts(rows: usize) -> impl Iterator<Item = usize> + Clone {
    std::iter::successors(Some(0), move |row| Some(row + rows_at_once(rows - row))).take_while(move |row| *row < rows)
}

/// Values from the start of one block to that of the next. A line more than there are: blocks that begin a multiple of
/// 4 KiB apart would share the same few lines of the cache while they are written side by side.
fn pitch(depth: usize) -> usize {
    (ROWS * depth).next_multiple_of(LINE) + LINE
}

fn pack(matrix: Matrix, memory: &mut [f32]) {
    assert_eq!(matrix.row_stride, 1, "one of a matrix's strides is 1");
    let pitch = pitch(matrix.columns);
    vectorised(
        #[inline(always)]
        || {
            for column in 0..matrix.columns {
                let mut values = &matrix.values[column * matrix.column_stride..][..matrix.rows];
                let mut start = 0;
                while let Some((block, rest)) = values.split_first_chunk::<ROWS>()
                    && rows_at_once(values.len()) == ROWS
                {
                    memory[start + column * ROWS..][..ROWS].copy_from_slice(block);
                    start += pitch;
                    values = rest;
                }
                while !values.is_empty() {
                    let rows = rows_at_once(values.len());
                    memory[start + column * rows..][..rows].copy_from_slice(&values[..rows]);
                    start += pitch;
                    values = &values[rows..];
                }
            }
        },
    );
}
