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

/// From so many rows on x is much the larger factor, as where a transformer's tokens are rows: it is read where it lies,
/// and the weight is packed. What is summed, and in which order, is the same.
const TALL: usize = 4096;

/// Rows of a task where x is tall: with 768 values each they stay in a core's second-level cache.
const TALL_ROWS: usize = 192;

/// Outputs and inputs of a task of the weight's gradient where x is tall. What is packed for a task, with as many terms as
/// are summed at a time, stays in the second-level cache.
const TALL_OUTPUTS: usize = 96;
const TALL_INPUTS: usize = 192;

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
    if count >= TALL {
        return of_tall_rows(x, Matrix::new(weight.values, outputs, inputs).transposed(), epilogue);
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
    let of_gradient = Matrix::new(gradient.values, count, outputs);
    let lists = Sparse::of(of_gradient, inputs);
    if lists.is_none() && count >= TALL {
        return of_tall_rows(of_gradient, Matrix::new(weight.values, outputs, inputs), Epilogue::NONE);
    }
    fill_blocks((count, inputs), (ROWS, SHARE), |rows, columns, block| {
        let of_weight = Matrix::strided(&weight.values[columns.start..], outputs, columns.len(), inputs);
        if let Some(lists) = &lists {
            return multiply_sparse(lists.some_rows(rows), of_weight, block);
        }
        let of_gradient = Matrix::new(&gradient.values[rows.start * outputs..], rows.len(), outputs);
        multiply_unpacked(of_gradient, of_weight, block, false);
    })
}

/// The product of `left` (M, K), which is tall, and `right` (K, N), some rows a task.
fn of_tall_rows(left: Matrix, right: Matrix, epilogue: Epilogue) -> Vec<f32> {
    let (packed, columns) = (PackedMatrix::new(right), right.columns());
    let (product, _) = write_tiles(left.rows() * columns, TALL_ROWS * columns, |index, block| {
        let rows = tile(index, TALL_ROWS, left.rows());
        multiply(left.some_rows(rows), &packed.panels(), block, false);
        epilogue.finish(block);
    });
    product
}

/// x (N, I), gradient (N, O): (O, I)
pub fn weight_gradient(x: Array, gradient: Array) -> Vec<f32> {
    let (inputs, outputs) = (x.dims[1], gradient.dims[1]);
    if is_tall(x, gradient) {
        return tall_weight_gradient(x, gradient);
    }
    in_pieces(x, gradient, |size, write| write_tiles(outputs * inputs, size, write).0)
}

/// The same, piece by piece for an update of the weight.
pub fn update_weight(x: Array, gradient: Array, update: &dyn Update) -> Result<()> {
    if is_tall(x, gradient) {
        return update.whole(&tall_weight_gradient(x, gradient));
    }
    in_pieces(x, gradient, |size, write| update.in_pieces(size, write))
}

fn is_tall(x: Array, gradient: Array) -> bool {
    let (count, inputs, outputs) = (x.dims[0], x.dims[1], gradient.dims[1]);
    count >= TALL && !Sparse::is_worth_it(Matrix::new(x.values, count, inputs).transposed(), outputs)
}

/// The weight's gradient by blocks of it that are as good as square: the fewer times is each of the two long factors read.
fn tall_weight_gradient(x: Array, gradient: Array) -> Vec<f32> {
    let (count, inputs, outputs) = (x.dims[0], x.dims[1], gradient.dims[1]);
    fill_blocks((outputs, inputs), (TALL_OUTPUTS, TALL_INPUTS), |of_outputs, of_inputs, block| {
        let left = Matrix::strided(&gradient.values[of_outputs.start..], count, of_outputs.len(), outputs);
        let right = Matrix::strided(&x.values[of_inputs.start..], count, of_inputs.len(), inputs);
        multiply_unpacked(left.transposed(), right, block, false);
    })
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
