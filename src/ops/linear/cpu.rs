use crate::autograd::Update;
use crate::kernels::cpu::epilogue::Epilogue;
use crate::kernels::cpu::matrix::sparse::{self, Sparse, multiply_sparse};
use crate::kernels::cpu::matrix::{Matrix, PackedMatrix, multiply, multiply_unpacked};
use crate::kernels::cpu::parallel::{fill_blocks, scratch, tile, write_tiles};
use crate::kernels::cpu::transpose::{transpose, transpose_strided};
use crate::kernels::storage::Array;
use candle_core::Result;
use std::ops::Range;

/// Outputs of a task of the forward pass and of the weight's gradient, inputs of one of the input's gradient: enough
/// tasks for every core, and a share of the weight that fits into its second-level cache.
const SHARE: usize = 64;

/// Rows of a task.
const ROWS: usize = 512;

/// x (N, I), weight (O, I): (N, O).
///
/// Computed as the transpose, weight times xᵀ: the weight, much the larger, is read where it lies, and x is packed. Where x
/// is mostly zeros it stands on the left, and the weight is packed.
pub fn forward(x: Array, weight: Array, epilogue: Epilogue) -> Vec<f32> {
    let (count, inputs, outputs) = (x.dims[0], x.dims[1], weight.dims[0]);
    let of_weight = |columns: &Range<usize>| {
        Matrix::new(&weight.values[columns.start * inputs..columns.end * inputs], columns.len(), inputs)
    };
    let x = Matrix::new(x.values, count, inputs);
    if let Some(lists) = Sparse::of(x, outputs) {
        return fill_blocks((count, outputs), (ROWS, SHARE), |rows, columns, block| {
            multiply_sparse(lists.some_rows(rows), of_weight(&columns).transposed(), block);
            epilogue.finish_columns(block, columns);
        });
    }
    let packed = PackedMatrix::new(x.transposed());
    fill_blocks((count, outputs), (ROWS, SHARE), |rows, columns, block| {
        scratch(block.len(), |turned| {
            multiply(of_weight(&columns), &packed.panels().some_columns(rows.clone()), turned, false);
            transpose(turned, columns.len(), rows.len(), block);
        });
        epilogue.finish_columns(block, columns);
    })
}

/// weight (O, I), gradient (N, O): (N, I)
pub fn input_gradient(weight: Array, gradient: Array) -> Vec<f32> {
    let (count, outputs, inputs) = (gradient.dims[0], weight.dims[0], weight.dims[1]);
    let lists = Sparse::of(Matrix::new(gradient.values, count, outputs), inputs);
    fill_blocks((count, inputs), (ROWS, SHARE), |rows, columns, block| {
        let of_weight = Matrix::strided(&weight.values[columns.start..], outputs, columns.len(), inputs);
        if let Some(lists) = &lists {
            return multiply_sparse(lists.some_rows(rows), of_weight, block);
        }
        let of_gradient = Matrix::new(&gradient.values[rows.start * outputs..], rows.len(), outputs);
        multiply_unpacked(of_gradient, of_weight, block, false);
    })
}

/// x (N, I), gradient (N, O): (O, I)
pub fn weight_gradient(x: Array, gradient: Array) -> Vec<f32> {
    let (inputs, outputs) = (x.dims[1], gradient.dims[1]);
    in_pieces(x, gradient, |size, write| write_tiles(outputs * inputs, size, write).0)
}

/// The same, piece by piece for an update of the weight.
pub fn update_weight(x: Array, gradient: Array, update: &dyn Update) -> Result<()> {
    in_pieces(x, gradient, |size, write| update.in_pieces(size, write))
}

/// Lends the size of pieces and what writes the piece of an index: the gradient of the weights of some outputs.
fn in_pieces<R>(x: Array, gradient: Array, work: impl FnOnce(usize, &(dyn Fn(usize, &mut [f32]) + Sync)) -> R) -> R {
    let (count, inputs, outputs) = (x.dims[0], x.dims[1], gradient.dims[1]);
    let x = Matrix::new(x.values, count, inputs);
    if let Some(lists) = Sparse::of(x.transposed(), outputs) {
        return work(SHARE * inputs, &|index, sums| {
            let of_outputs = tile(index, SHARE, outputs);
            let of_gradient = gradient.values.get(of_outputs.start..).unwrap_or_default();
            sparse_piece(&lists, (of_gradient, outputs), (count, of_outputs.len()), (sums, inputs));
        });
    }
    let packed = PackedMatrix::new(x);
    work(SHARE * inputs, &|index, sums| {
        let of_outputs = tile(index, SHARE, outputs);
        let len = of_outputs.len();
        scratch(len * count, |turned| {
            let of_gradient = gradient.values.get(of_outputs.start..).unwrap_or_default();
            transpose_strided((of_gradient, outputs), count, len, (turned, count));
            multiply(Matrix::new(turned, len, count), &packed.panels(), sums, false);
        });
    })
}

/// The gradient of the weights of some outputs from the lists of xᵀ (I, N) and the outputs' gradient (N, O). Of both
/// matrices the stride is given.
///
/// Computed as the transpose, because the sparse factor stands on the left, in parts that stay in the cache until they
/// are turned.
fn sparse_piece(
    lists: &Sparse,
    (gradient, stride): (&[f32], usize),
    (count, outputs): (usize, usize),
    (sums, inputs): (&mut [f32], usize),
) {
    // Copied together once for all parts.
    scratch(count * outputs, |copy| {
        for (line, gradient) in copy.chunks_exact_mut(outputs).zip(gradient.chunks(stride)) {
            line.copy_from_slice(&gradient[..outputs]);
        }
        for start in (0..inputs).step_by(sparse::ROWS) {
            let of_inputs = start..inputs.min(start + sparse::ROWS);
            scratch(of_inputs.len() * outputs, |turned| {
                multiply_sparse(lists.some_rows(of_inputs.clone()), Matrix::new(copy, count, outputs), turned);
                transpose_strided((turned, outputs), of_inputs.len(), outputs, (&mut sums[start..], inputs));
            });
        }
    });
}
