//! The products of a linear layer on CUDA, by cuBLAS.

use crate::autograd::Precision;
use crate::kernels::cuda::{Array, Factor, Fresh, Gpu, Operand, factors, multiply};
use candle_core::{DType, Result};

/// x (N, I), weight (O, I): (N, O), f32.
pub fn forward(gpu: &Gpu, x: Array, weight: Array, precision: Precision) -> Result<Fresh> {
    let (count, inputs, outputs) = (x.dims[0], x.dims[1], weight.dims[0]);
    let output = Fresh::new(gpu, &[count, outputs], DType::F32)?;
    let x = Factor::new(gpu, x, factors(precision))?;
    let weight = Factor::new(gpu, weight, factors(precision))?;
    let [left, right] = [Operand::new(x.array(), inputs), Operand::new(weight.array(), inputs).transposed()];
    let into = Operand::new(output.array(), outputs);
    // SAFETY: the arrays have these shapes.
    unsafe { multiply(gpu, (count, inputs, outputs), left, right, into, false, precision)? };
    Ok(output)
}

/// weight (O, I), gradient (N, O): (N, I), of type `dtype`.
pub fn input_gradient(gpu: &Gpu, dtype: DType, weight: Array, gradient: Array, precision: Precision) -> Result<Fresh> {
    let (count, outputs, inputs) = (gradient.dims[0], weight.dims[0], weight.dims[1]);
    let output = Fresh::new(gpu, &[count, inputs], dtype)?;
    let gradient = Factor::new(gpu, gradient, factors(precision))?;
    let weight = Factor::new(gpu, weight, factors(precision))?;
    let [left, right] = [Operand::new(gradient.array(), outputs), Operand::new(weight.array(), inputs)];
    let into = Operand::new(output.array(), inputs);
    // SAFETY: the arrays have these shapes.
    unsafe { multiply(gpu, (count, outputs, inputs), left, right, into, false, precision)? };
    Ok(output)
}

/// x (N, I), gradient (N, O): (O, I), f32.
pub fn weight_gradient(gpu: &Gpu, x: Array, gradient: Array, precision: Precision) -> Result<Fresh> {
    let (count, inputs, outputs) = (x.dims[0], x.dims[1], gradient.dims[1]);
    let output = Fresh::new(gpu, &[outputs, inputs], DType::F32)?;
    let gradient = Factor::new(gpu, gradient, factors(precision))?;
    let x = Factor::new(gpu, x, factors(precision))?;
    let [left, right] = [Operand::new(gradient.array(), outputs).transposed(), Operand::new(x.array(), inputs)];
    let into = Operand::new(output.array(), inputs);
    // SAFETY: the arrays have these shapes.
    unsafe { multiply(gpu, (outputs, count, inputs), left, right, into, false, precision)? };
    Ok(output)
}
