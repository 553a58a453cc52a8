//! Products of matrices: a checked view and one call of the `gemm` crate.

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
}

/// The product of `left` (M, K) and `right` (K, N) into `product` (M, N), row after row; added to it if `accumulate`.
///
/// Runs on the calling thread alone, so that its order of sums does not depend on the pool.
pub fn multiply(left: Matrix, right: Matrix, product: &mut [f32], accumulate: bool) {
    assert_eq!(left.columns, right.rows);
    assert_eq!(product.len(), left.rows * right.columns);
    // SAFETY: `Matrix` has checked that every element it spans lies in its slice, the shapes agree, and `product` has
    // exactly M x N elements and is borrowed mutably, so it overlaps neither factor.
    unsafe {
        gemm::gemm(
            left.rows,
            right.columns,
            left.columns,
            product.as_mut_ptr(),
            1,
            right.columns as isize,
            accumulate,
            left.values.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.values.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            if accumulate { 1.0 } else { 0.0 },
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
