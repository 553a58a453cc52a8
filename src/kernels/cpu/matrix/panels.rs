//! The right factor of a product, packed into panels of columns.

use super::{Matrix, bf16};
use crate::kernels::cpu::matrix::kernel::PANEL;
use crate::kernels::cpu::parallel::{LINE, tile, write_tiles};
use crate::kernels::cpu::transpose::transpose_strided;
use crate::kernels::precision::Precision;
use std::ops::Range;

/// A matrix (K, N) in panels of [`PANEL`] columns, each K x PANEL, the last filled up with zeros: the order in which
/// [`multiply`](crate::kernels::cpu::matrix::multiply) reads its right factor. In bf16 a row of a panel is a pair of rows.
pub struct Panels<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) precision: Precision,
}

/// Values of a panel of a matrix of so many rows.
fn panel_len(rows: usize, precision: Precision) -> usize {
    PANEL
        * match precision {
            Precision::Bf16 => bf16::pairs(rows),
            Precision::F32 | Precision::Tf32 => rows,
        }
}

impl<'a> Panels<'a> {
    /// Values that a matrix takes as panels.
    pub fn len(rows: usize, columns: usize, precision: Precision) -> usize {
        panel_len(rows, precision) * columns.div_ceil(PANEL)
    }

    /// Packs `matrix` into `memory`, which has [`Panels::len`] values, on the calling thread.
    pub fn pack(matrix: Matrix, memory: &'a mut [f32], precision: Precision) -> Self {
        assert_eq!(memory.len(), Self::len(matrix.rows, matrix.columns, precision));
        for (index, panel) in memory.chunks_exact_mut(panel_len(matrix.rows, precision).max(1)).enumerate() {
            pack_panel(matrix, index, panel, precision);
        }
        Self { values: memory, rows: matrix.rows, columns: matrix.columns, precision }
    }

    /// A matrix whose rows are those of a panel, as it lies.
    pub fn lying(matrix: Matrix<'a>, precision: Precision) -> Option<Self> {
        let Matrix { values, rows, columns, row_stride, column_stride } = matrix;
        let lies = (columns, row_stride, column_stride) == (PANEL, PANEL, 1) && precision != Precision::Bf16;
        lies.then(|| Self { values: &values[..rows * PANEL], rows, columns, precision })
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
        let start = columns.start / PANEL * panel_len(self.rows, self.precision);
        Self { values: &self.values[start..], columns: columns.len(), ..self }
    }
}

/// Panels that own their memory, packed by all threads: for factors that many tasks share.
pub struct PackedMatrix {
    values: Vec<f32>,
    rows: usize,
    columns: usize,
    precision: Precision,
}

impl PackedMatrix {
    pub fn new(matrix: Matrix, precision: Precision) -> Self {
        let panel = panel_len(matrix.rows, precision).max(1);
        let len = Panels::len(matrix.rows, matrix.columns, precision);
        let (values, _) = write_tiles(len, panel, |index, panel| pack_panel(matrix, index, panel, precision));
        Self { values, rows: matrix.rows, columns: matrix.columns, precision }
    }

    pub fn panels(&self) -> Panels<'_> {
        Panels { values: &self.values, rows: self.rows, columns: self.columns, precision: self.precision }
    }
}

/// Columns of a matrix into one panel.
fn pack_panel(matrix: Matrix, index: usize, panel: &mut [f32], precision: Precision) {
    if precision == Precision::Bf16 {
        return bf16::pack_panel(matrix, index, panel);
    }
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
