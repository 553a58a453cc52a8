use super::turn::{self, Turn};
use crate::kernels::cpu::parallel::write_tiles;

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
    if rows == 0 || columns == 0 {
        return;
    }
    assert!((rows - 1) * stride + columns <= matrix.len());
    assert!((columns - 1) * output_stride + rows <= output.len());
    turn::turn(Turn { matrix, stride, rows, columns, output, output_stride });
}
