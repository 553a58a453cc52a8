use crate::ops::affine::Epilogue;
use crate::ops::layout::cpu::transpose;
use crate::ops::matrix::{Matrix, multiply};
use crate::ops::parallel::{fill_blocks, scratch};
use crate::ops::storage::Array;

/// Rows and columns of the blocks that the products are cut into: enough for every core, large enough that the
/// packing of the factors does not show.
const BLOCK: (usize, usize) = (512, 128);
const GRADIENT_BLOCK: (usize, usize) = (512, 192);
const WEIGHT_BLOCK: (usize, usize) = (128, 1024);

/// x (N, I), weight (O, I): (N, O)
pub fn forward(x: Array, weight: Array, epilogue: Epilogue) -> Vec<f32> {
    let (count, inputs, outputs) = (x.dims[0], x.dims[1], weight.dims[0]);
    fill_blocks((count, outputs), BLOCK, |rows, columns, block| {
        let width = columns.len();
        let of_x = Matrix::new(&x.values[rows.start * inputs..], rows.len(), inputs);
        scratch(inputs * width, |of_weight| {
            // `gemm` reads the weight along the outputs; its own packing across a row-major weight is slow.
            transpose(&weight.values[columns.start * inputs..columns.end * inputs], width, inputs, of_weight);
            multiply(of_x, Matrix::new(of_weight, inputs, width), block, false);
        });
        epilogue.finish_columns(block, columns);
    })
}

/// weight (O, I), gradient (N, O): (N, I)
pub fn input_gradient(weight: Array, gradient: Array) -> Vec<f32> {
    let (count, outputs, inputs) = (gradient.dims[0], weight.dims[0], weight.dims[1]);
    fill_blocks((count, inputs), GRADIENT_BLOCK, |rows, columns, block| {
        let of_gradient = Matrix::new(&gradient.values[rows.start * outputs..], rows.len(), outputs);
        let of_weight = Matrix::strided(&weight.values[columns.start..], outputs, columns.len(), inputs);
        multiply(of_gradient, of_weight, block, false);
    })
}

/// x (N, I), gradient (N, O): (O, I)
pub fn weight_gradient(x: Array, gradient: Array) -> Vec<f32> {
    let (count, inputs, outputs) = (x.dims[0], x.dims[1], gradient.dims[1]);
    if count == 0 {
        return vec![0.0; outputs * inputs];
    }
    fill_blocks((outputs, inputs), WEIGHT_BLOCK, |rows, columns, block| {
        let of_gradient = Matrix::strided(&gradient.values[rows.start..], count, rows.len(), outputs);
        let of_x = Matrix::strided(&x.values[columns.start..], count, columns.len(), inputs);
        multiply(of_gradient.transposed(), of_x, block, false);
    })
}
