//! The right factor of a product, packed into panels of columns.

use super::Matrix;
use crate::kernels::cpu::matrix::kernel::PANEL;
use crate::kernels::cpu::parallel::{LINE, tile, write_tiles};
use crate::kernels::cpu::transpose::transpose_strided;
use std::ops::Range;

/// A matrix (K, N) in panels of [`PANEL`] columns, each K x PANEL, the last filled up with zeros: the order in which
/// [`multiply`](crate::kernels::cpu::matrix::multiply) reads its right factor.
pub struct Panels<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl<'a> Panels<'a> {
    /// Values that a matrix takes as panels.
    pub fn len(rows: usize, columns: usize) -> usize {
        rows * columns.next_multiple_of(PANEL)
    }

    /// Packs `matrix` into `memory`, which has [`Panels::len`] values, on the calling thread.
    pub fn pack(matrix: Matrix, memory: &'a mut [f32]) -> Self {
        assert_eq!(memory.len(), Self::len(matrix.rows, matrix.columns));
        for (index, panel) in memory.chunks_exact_mut((matrix.rows * PANEL).max(1)).enumerate() {
            pack_panel(matrix, index, panel);
        }
        Self { values: memory, rows: matrix.rows, columns: matrix.columns }
    }

    /// A matrix whose rows are those of a panel, as it lies.
    pub fn lying(matrix: Matrix<'a>) -> Option<Self> {
        let Matrix { values, rows, columns, row_stride, column_stride } = matrix;
        let lies = (columns, row_stride, column_stride) == (PANEL, PANEL, 1);
        lies.then(|| Self { values: &values[..rows * PANEL], rows, columns })
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    /// With columns of zeros after the last, up to a whole cache line: the product then writes whole vectors.
    pub fn in_whole_lines(self) -> Self {
        Self { columns: self.columns.next_multiple_of(LINE), ..self }
    }

    /// These columns, from the start of a panel on.
    pub fn some_columns(self, columns: Range<usize>) -> Self {
        assert!(columns.start.is_multiple_of(PANEL) && columns.end <= self.columns);
        let start = columns.start / PANEL * self.rows * PANEL;
        Self { values: &self.values[start..], columns: columns.len(), ..self }
    }
}

/// Panels that own their memory, packed by all threads: for factors that many tasks share.
pub struct PackedMatrix {
    values: Vec<f32>,
    rows: usize,
    columns: usize,
}

impl PackedMatrix {
    pub fn new(matrix: Matrix) -> Self {
        let panel = (matrix.rows * PANEL).max(1);
        let len = Panels::len(matrix.rows, matrix.columns);
        let (values, _) = write_tiles(len, panel, |index, panel| pack_panel(matrix, index, panel));
        Self { values, rows: matrix.rows, columns: matrix.columns }
    }

    pub fn panels(&self) -> Panels<'_> {
        Panels { values: &self.values, rows: self.rows, columns: self.columns }
    }
}

/// Columns of a matrix into one panel.
fn pack_panel(matrix: Matrix, index: usize, panel: &mut [f32]) {
    let Matrix { values, rows, columns, row_stride, column_stride } = matrix;
    let of_columns = tile(index, PANEL, columns);
    let width = of_columns.len();
    if column_stride == 1 {
        for (row, line) in panel.chunks_exact_mut(PANEL).enumerate() {
            let start = row * row_stride + of_columns.start;
            if width == PANEL {
                line.copy_from_slice(&values[start..start + PANEL]);
            } else {
                line[..width].copy_from_slice(&values[start..start + width]);
                line[width..].fill(0.0);
            }
        }
    } else {
        assert_eq!(row_stride, 1, "one of a matrix's strides is 1");
        if width < PANEL {
            panel.fill(0.0);
        }
        let from = (values.get(of_columns.start * column_stride..).unwrap_or_default(), column_stride);
        transpose_strided(from, width, rows, (panel, PANEL));
    }
}
