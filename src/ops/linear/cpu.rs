use crate::autograd::Precision;
use crate::autograd::Update;
use crate::kernels::cpu::epilogue::Epilogue;
use crate::kernels::cpu::matrix::sparse::{self, Sparse, multiply_sparse};
use crate::kernels::cpu::matrix::{Matrix, PackedMatrix, multiply, multiply_unpacked};
use crate::kernels::cpu::parallel::{fill_blocks, scratch, tile, write_tiles};
use crate::kernels::cpu::simd::vectorised;
use crate::kernels::cpu::transpose::{transpose, transpose_strided};
use crate::kernels::storage::Array;
use candle_core::Result;
use std::ops::Range;

/// Outputs of a task of the forward pass and of the weight's gradient, inputs of one of the input's gradient: enough
/// tasks for every core, and a share of the weight that fits into its second-level cache.
const SHARE: usize = 64;

/// Rows of a task.
const ROWS: usize = 512;

/// An input (N, I), and what is to be added to each of its rows.
type Shifted<'a> = (Array<'a>, Option<&'a [f32]>);

/// x (N, I), weight (O, I): (N, O). The weight's outputs are channels by `places`, those of the result places by channels.
///
/// Computed as the transpose, weight times xᵀ: the weight, much the larger, is read where it lies, and x is packed. Where x
/// is mostly zeros it stands on the left, and the weight is packed.
pub fn forward(
    (x, shift): Shifted,
    weight: Array,
    places: usize,
    precision: Precision,
    epilogue: Epilogue,
) -> Vec<f32> {
    let (count, inputs, outputs) = (x.dims[0], x.dims[1], weight.dims[0]);
    let channels = outputs / places;
    // A task's outputs are of one place.
    let share = if places == 1 || channels.is_multiple_of(SHARE) { SHARE } else { channels };
    let of_weight = |columns: &Range<usize>| {
        let (place, channel) = (columns.start / channels, columns.start % channels);
        let values = &weight.values[(channel * places + place) * inputs..];
        Matrix::strided(values, columns.len(), inputs, places * inputs)
    };
    let finish = |block: &mut [f32], columns: Range<usize>| {
        if let Some(shift) = shift {
            let moved: Vec<f32> = of_weight(&columns).lines().map(|weight| dot(weight, shift)).collect();
            for line in block.chunks_exact_mut(moved.len()) {
                add_times(line, &moved, 1.0);
            }
        }
        epilogue.finish_columns(block, columns);
    };
    let x = Matrix::new(x.values, count, inputs);
    if let Some(lists) = Sparse::of(x, outputs, precision) {
        return fill_blocks((count, outputs), (ROWS, share), |rows, columns, block| {
            multiply_sparse(lists.some_rows(rows), of_weight(&columns).transposed(), block);
            finish(block, columns);
        });
    }
    let packed = PackedMatrix::new(x.transposed(), precision);
    fill_blocks((count, outputs), (ROWS, share), |rows, columns, block| {
        scratch(block.len(), |turned| {
            multiply(of_weight(&columns), &packed.panels().some_columns(rows.clone()), turned, false);
            transpose(turned, columns.len(), rows.len(), block);
        });
        finish(block, columns);
    })
}

/// weight (O, I), gradient (N, O): (N, I)
pub fn input_gradient(weight: Array, gradient: Array, precision: Precision) -> Vec<f32> {
    let (count, outputs, inputs) = (gradient.dims[0], weight.dims[0], weight.dims[1]);
    let lists = Sparse::of(Matrix::new(gradient.values, count, outputs), inputs, precision);
    fill_blocks((count, inputs), (ROWS, SHARE), |rows, columns, block| {
        let of_weight = Matrix::strided(&weight.values[columns.start..], outputs, columns.len(), inputs);
        if let Some(lists) = &lists {
            return multiply_sparse(lists.some_rows(rows), of_weight, block);
        }
        let of_gradient = Matrix::new(&gradient.values[rows.start * outputs..], rows.len(), outputs);
        multiply_unpacked(of_gradient, of_weight, block, false, precision);
    })
}

/// x (N, I), gradient (N, O): (O, I)
pub fn weight_gradient(x: Shifted, gradient: Array, precision: Precision) -> Vec<f32> {
    let (inputs, outputs) = (x.0.dims[1], gradient.dims[1]);
    in_pieces(x, gradient, precision, |size, write| write_tiles(outputs * inputs, size, write).0)
}

/// The same, piece by piece for an update of the weight.
pub fn update_weight(x: Shifted, gradient: Array, precision: Precision, update: &dyn Update) -> Result<()> {
    in_pieces(x, gradient, precision, |size, write| update.in_pieces(size, write))
}

/// Lends the size of pieces and what writes the piece of an index: the gradient of the weights of some outputs.
fn in_pieces<R>(
    (x, shift): Shifted,
    gradient: Array,
    precision: Precision,
    work: impl FnOnce(usize, &(dyn Fn(usize, &mut [f32]) + Sync)) -> R,
) -> R {
    let (count, inputs, outputs) = (x.dims[0], x.dims[1], gradient.dims[1]);
    let x = Matrix::new(x.values, count, inputs);
    // Of each row of the gradient, the shift's share.
    let add_shift = |of_outputs: Range<usize>, sums: &mut [f32]| {
        let Some(shift) = shift else { return };
        let mut totals = vec![0.0; of_outputs.len()];
        for line in gradient.values.chunks_exact(outputs) {
            add_times(&mut totals, &line[of_outputs.clone()], 1.0);
        }
        for (sums, total) in sums.chunks_exact_mut(inputs).zip(totals) {
            add_times(sums, shift, total);
        }
    };
    if let Some(lists) = Sparse::of(x.transposed(), outputs, precision) {
        return work(SHARE * inputs, &|index, sums| {
            let of_outputs = tile(index, SHARE, outputs);
            let of_gradient = gradient.values.get(of_outputs.start..).unwrap_or_default();
            sparse_piece(&lists, (of_gradient, outputs), (count, of_outputs.len()), (sums, inputs));
            add_shift(of_outputs, sums);
        });
    }
    let packed = PackedMatrix::new(x, precision);
    work(SHARE * inputs, &|index, sums| {
        let of_outputs = tile(index, SHARE, outputs);
        let len = of_outputs.len();
        scratch(len * count, |turned| {
            let of_gradient = gradient.values.get(of_outputs.start..).unwrap_or_default();
            transpose_strided((of_gradient, outputs), count, len, (turned, count));
            multiply(Matrix::new(turned, len, count), &packed.panels(), sums, false);
        });
        add_shift(of_outputs, sums);
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

/// The sum of products, in 32 parts at a time.
fn dot(x: &[f32], y: &[f32]) -> f32 {
    const PARTS: usize = 32;
    vectorised(
        #[inline(always)]
        || {
            let mut sums = [0f32; PARTS];
            let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<PARTS>(), y.as_chunks::<PARTS>());
            for (x, y) in x.iter().zip(y) {
                for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
                    *sum += x * y;
                }
            }
            sums.iter().sum::<f32>() + x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum::<f32>()
        },
    )
}

fn add_times(sums: &mut [f32], values: &[f32], times: f32) {
    vectorised(
        #[inline(always)]
        || {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += times * value;
            }
        },
    );
}
