//! Products whose left factor is mostly zeros: what a ReLU has given, or a gradient that has come back through one.
//!
//! In the generators of the fully connected models 55 to 90 % of what the hidden layers give is zero. What is not is
//! listed once, row by row, and a product goes through the lists. It adds the same terms in the same order as
//! [`multiply`](crate::kernels::cpu::matrix::multiply), so that its values are equal to that one's as long as the right factor is finite.

mod kernel;
mod list;

use super::{DEPTH, Matrix};
use crate::kernels::cpu::parallel::{map, scratch, tile};
use crate::kernels::cpu::simd::with_vectors;
use crate::kernels::cpu::transpose::transpose_strided;
use kernel::{ListProduct, WIDTHS};
use list::{List, count};
use std::ops::Range;

/// Rows of a list.
pub const ROWS: usize = 64;

/// Terms of a row in a list, and columns of the right factor at a time: such a block of it takes 32 KiB and stays in a
/// core's first-level cache while all rows of the list go over it.
const TERMS: usize = 128;
const COLUMNS: usize = 64;

/// Up to this share of values that are not zero the lists are faster, if so many columns are multiplied by them. A term
/// takes one and a half times what one of the dense product takes, because it loads its row of the right factor for
/// itself alone.
const WORTH_LISTING: f64 = 0.55;
const WORTH_COLUMNS: usize = 2 * COLUMNS;

/// A matrix (M, K) as lists of what is not zero.
pub struct Sparse {
    columns: usize,
    /// For some rows after the other, one list for some columns after the other.
    lists: Vec<List>,
    /// Rows in all.
    rows: usize,
}

/// Some of the rows.
#[derive(Clone, Copy)]
pub struct SparseRows<'a> {
    columns: usize,
    lists: &'a [List],
    rows: usize,
}

impl Sparse {
    /// The lists of a matrix, made by all threads, if a product with so many columns is faster by them.
    pub fn of(matrix: Matrix, product_columns: usize) -> Option<Self> {
        Self::is_worth_it(matrix, product_columns).then(|| Self::new(matrix))
    }

    /// Whether [`of`](Self::of) would make lists.
    pub fn is_worth_it(matrix: Matrix, product_columns: usize) -> bool {
        let is_large = matrix.rows > 0 && matrix.columns > 0 && product_columns >= WORTH_COLUMNS;
        is_large && has_zeros(matrix)
    }

    fn new(matrix: Matrix) -> Self {
        let Matrix { rows, columns, .. } = matrix;
        let across = columns.div_ceil(TERMS);
        let lists = map(rows.div_ceil(ROWS) * across, |index| {
            List::new(matrix.part(tile(index / across, ROWS, rows), tile(index % across, TERMS, columns)))
        });
        Self { columns, lists, rows }
    }

    /// These rows, from the start of a list on.
    pub fn some_rows(&self, rows: Range<usize>) -> SparseRows<'_> {
        assert!(rows.start.is_multiple_of(ROWS) && rows.end <= self.rows);
        assert!(rows.end.is_multiple_of(ROWS) || rows.end == self.rows);
        let across = self.columns.div_ceil(TERMS);
        let lists = &self.lists[rows.start / ROWS * across..rows.end.div_ceil(ROWS) * across];
        SparseRows { columns: self.columns, lists, rows: rows.len() }
    }
}

/// Lines of a matrix that are looked at, if an eighth of them would be more.
const MOST_LINES: usize = 512;

/// Whether enough of a matrix is zero, by a look at an eighth of its lines, or at some hundreds.
fn has_zeros(matrix: Matrix) -> bool {
    let Matrix { rows, columns, row_stride, column_stride, .. } = matrix;
    // Along whichever direction the values lie.
    let (lines, len, stride) =
        if column_stride == 1 { (rows, columns, row_stride) } else { (columns, rows, column_stride) };
    let seen = (0..lines).step_by((lines / MOST_LINES).max(8));
    let found: usize = seen.clone().map(|line| count(&matrix.values[line * stride..][..len])).sum();
    found as f64 <= WORTH_LISTING * (seen.len() * len) as f64
}

/// The product of `left` (M, K) and `right` (K, N) into `product` (M, N), which is overwritten. On the calling thread.
pub fn multiply_sparse(left: SparseRows, right: Matrix, product: &mut [f32]) {
    assert_eq!(left.columns, right.rows);
    assert_eq!(product.len(), left.rows * right.columns);
    let stride = right.columns;
    for start in (0..right.columns).step_by(COLUMNS) {
        let width = COLUMNS.min(right.columns - start);
        let right = right.part(0..right.rows, start..start + width);
        if WIDTHS.contains(&width) {
            multiply_columns(left, right, &mut product[start..], stride);
        } else {
            scratch(left.rows * COLUMNS, |block| {
                multiply_columns(left, right, block, COLUMNS);
                for (line, values) in product.chunks_exact_mut(stride).zip(block.chunks_exact(COLUMNS)) {
                    line[start..start + width].copy_from_slice(&values[..width]);
                }
            });
        }
    }
}

/// Up to [`COLUMNS`] columns of the product, in rows `stride` apart. More columns than asked for may be written, up to
/// the next of [`WIDTHS`].
fn multiply_columns(left: SparseRows, right: Matrix, product: &mut [f32], stride: usize) {
    for start in (0..right.rows).step_by(DEPTH) {
        let depth = start..right.rows.min(start + DEPTH);
        if start == 0 {
            multiply_depth(left, right, depth, product, stride);
            continue;
        }
        // As where the left factor is dense: short sums, added up, round less than a long one.
        scratch(left.rows * COLUMNS, |sums| {
            multiply_depth(left, right, depth, sums, COLUMNS);
            for (line, sums) in product.chunks_mut(stride).zip(sums.chunks_exact(COLUMNS)) {
                line.iter_mut().zip(&sums[..right.columns]).for_each(|(value, sum)| *value += sum);
            }
        });
    }
}

/// The sums over some terms.
fn multiply_depth(left: SparseRows, right: Matrix, depth: Range<usize>, product: &mut [f32], stride: usize) {
    let across = left.columns.div_ceil(TERMS);
    with_rows(right.part(depth.clone(), 0..right.columns), |rows| {
        for (index, block) in rows.chunks(TERMS * COLUMNS).enumerate() {
            let lists = left.lists.iter().skip(depth.start / TERMS + index).step_by(across);
            for (list, product) in lists.zip(product.chunks_mut(ROWS * stride)) {
                with_vectors(ListProduct {
                    list,
                    right: block,
                    product,
                    stride,
                    columns: right.columns,
                    continues: index > 0,
                });
            }
        }
    });
}

/// Lends the blocks of the right factor, one below the other, in rows of [`COLUMNS`]: as it lies, or copied so and filled up with zeros.
///
/// All of them are copied together, into 128 KiB at most, which a core's second-level cache holds: from a factor that
/// is turned, long runs of each row are read, where the processor sees what comes next.
fn with_rows(matrix: Matrix, work: impl FnOnce(&[f32])) {
    if (matrix.columns, matrix.row_stride, matrix.column_stride) == (COLUMNS, COLUMNS, 1) {
        return work(&matrix.values[..matrix.rows * COLUMNS]);
    }
    scratch(matrix.rows * COLUMNS, |rows| {
        copy_rows(matrix, rows);
        work(rows);
    });
}

fn copy_rows(matrix: Matrix, copy: &mut [f32]) {
    let Matrix { values, rows, columns, row_stride, column_stride } = matrix;
    if columns < COLUMNS {
        copy.fill(0.0);
    }
    if column_stride == 1 {
        for (line, values) in copy.chunks_exact_mut(COLUMNS).zip(values.chunks(row_stride)) {
            line[..columns].copy_from_slice(&values[..columns]);
        }
    } else {
        transpose_strided((values, column_stride), columns, rows, (copy, COLUMNS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cpu::matrix::sparse::list::{VECTOR, note_terms, note_terms_one_by_one};
    use crate::kernels::cpu::matrix::{PackedMatrix, multiply};
    use crate::rng::Stream;

    fn random(len: usize, share: f32, seed: u64) -> Vec<f32> {
        let mut generator = Stream::new(seed, "sparse").at(0);
        let mut value = || -> f32 { generator.symmetric() };
        (0..len).map(|_| if value().abs() < share { value() } else { 0.0 }).collect()
    }

    #[test]
    fn products_are_those_of_the_dense_one() {
        let shapes =
            [(1, 1, 1), (3, 5, 16), (64, 128, 64), (65, 130, 40), (130, 1100, 70), (7, 513, 33), (128, 64, 200)];
        for (case, (rows, depth, columns)) in shapes.into_iter().enumerate() {
            for share in [0.0, 0.2, 1.0] {
                let (left, right) = (random(rows * depth, share, case as u64), random(depth * columns, 1.0, 99));
                for case in 0..4 {
                    let of_left = match case & 1 {
                        0 => Matrix::new(&left, rows, depth),
                        _ => Matrix::new(&left, depth, rows).transposed(),
                    };
                    let of_right = match case & 2 {
                        0 => Matrix::new(&right, depth, columns),
                        _ => Matrix::new(&right, columns, depth).transposed(),
                    };
                    let mut expected = vec![f32::NAN; rows * columns];
                    let panels = PackedMatrix::new(of_right);
                    multiply(of_left, &panels.panels(), &mut expected, false);
                    let mut found = vec![f32::NAN; rows * columns];
                    let lists = Sparse::new(of_left);
                    for start in (0..rows).step_by(ROWS) {
                        let rows = start..rows.min(start + ROWS);
                        let part = &mut found[start * columns..rows.end * columns];
                        multiply_sparse(lists.some_rows(rows), of_right, part);
                    }
                    assert_eq!(found, expected, "{rows} x {depth} x {columns}, {share} of it, case {case}");
                }
            }
        }
    }

    #[test]
    fn every_kind_of_vector_lists_and_sums_the_same() {
        let (rows, depth) = (37, 45);
        let left = random(rows * depth, 0.3, 1);
        let right = random(depth * COLUMNS, 1.0, 2);
        let list = List::new(Matrix::new(&left, rows, depth));
        for row in left.chunks_exact(depth) {
            let listed = |note: fn(&[f32], &mut [f32], &mut [u32])| {
                let (mut values, mut starts) = (vec![0.0; depth + VECTOR], vec![0; depth + VECTOR]);
                note(row, &mut values, &mut starts);
                (values[..count(row)].to_vec(), starts[..count(row)].to_vec())
            };
            let one_by_one = listed(|row, values, starts| note_terms_one_by_one(row, 0, values, starts));
            assert_eq!(listed(note_terms), one_by_one);
        }
        for columns in WIDTHS {
            let run = |product: &dyn Fn(ListProduct)| {
                let mut sums = vec![0.5; rows * COLUMNS];
                let (list, right, stride) = (&list, &right, COLUMNS);
                product(ListProduct { list, right, product: &mut sums, stride, columns, continues: true });
                sums
            };
            let found = run(&|product| with_vectors(product));
            let mut expected = vec![0.5; rows * COLUMNS];
            for (row, sums) in expected.chunks_exact_mut(COLUMNS).enumerate() {
                for (column, sum) in sums[..columns].iter_mut().enumerate() {
                    for k in 0..depth {
                        *sum = left[row * depth + k].mul_add(right[k * COLUMNS + column], *sum);
                    }
                }
            }
            #[cfg(target_arch = "x86_64")]
            if let Some(simd) = pulp::x86::V3::try_new() {
                assert_eq!(run(&|product| pulp::Simd::vectorize(simd, product)), expected);
                assert_eq!(found, expected);
            }
            let scalar = run(&|product| pulp::Simd::vectorize(pulp::Scalar::new(), product));
            scalar.iter().zip(&expected).for_each(|(x, y)| assert!((x - y).abs() < 1e-5, "{x}, not {y}"));
        }
    }

    #[test]
    fn lists_are_made_where_they_are_worth_it() {
        let worth = |share, columns| {
            let values = random(128 * 96, share, 5);
            let matrix = Matrix::new(&values, 128, 96);
            let found = Sparse::of(matrix, columns).is_some();
            assert_eq!(Sparse::of(matrix.transposed(), columns).is_some(), found);
            found
        };
        assert!(worth(0.4, 256) && !worth(0.7, 256) && !worth(0.4, 10));
    }
}
