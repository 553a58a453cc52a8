use crate::ops::parallel::write_tiles;
use crate::ops::simd::vectorised;

/// The side of the blocks in which a matrix is turned: a cache line of f32.
const SIDE: usize = 16;

/// Matrices (rows, columns), one after the other, each transposed.
pub fn transpose_each(matrices: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let area = rows * columns;
    write_tiles(matrices.len(), area, |index, output| {
        transpose(&matrices[index * area..(index + 1) * area], rows, columns, output);
    })
    .0
}

/// `matrix` (rows, columns) into `output` (columns, rows).
pub fn transpose(matrix: &[f32], rows: usize, columns: usize, output: &mut [f32]) {
    assert_eq!((matrix.len(), output.len()), (rows * columns, rows * columns));
    transpose_strided((matrix, columns), rows, columns, (output, rows));
}

/// The same where it is so many values from the start of a row to the next: of `matrix`, and of `output`.
pub fn transpose_strided(
    (matrix, stride): (&[f32], usize),
    rows: usize,
    columns: usize,
    (output, output_stride): (&mut [f32], usize),
) {
    vectorised(
        #[inline(always)]
        || {
            for top in (0..rows).step_by(SIDE) {
                for left in (0..columns).step_by(SIDE) {
                    if top + SIDE <= rows && left + SIDE <= columns {
                        transpose_block(
                            &matrix[top * stride + left..],
                            stride,
                            &mut output[left * output_stride + top..],
                            output_stride,
                        );
                        continue;
                    }
                    for column in left..(left + SIDE).min(columns) {
                        for row in top..(top + SIDE).min(rows) {
                            output[column * output_stride + row] = matrix[row * stride + column];
                        }
                    }
                }
            }
        },
    );
}

#[inline(always)]
fn transpose_block(matrix: &[f32], stride: usize, output: &mut [f32], output_stride: usize) {
    let mut block = [[0.0; SIDE]; SIDE];
    for (row, values) in block.iter_mut().enumerate() {
        values.copy_from_slice(&matrix[row * stride..row * stride + SIDE]);
    }
    for column in 0..SIDE {
        let values: [f32; SIDE] = std::array::from_fn(|row| block[row][column]);
        output[column * output_stride..column * output_stride + SIDE].copy_from_slice(&values);
    }
}
