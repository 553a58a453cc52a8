//! Max pooling on CUDA.

use crate::kernels::cuda::{Argument, Array, Fresh, Gpu, Grid, Source};
use candle_core::{DType, Result};

const SOURCE: Source = Source { name: "max_pool2d", text: include_str!("kernel.cu") };

type Dims = (usize, usize, usize, usize);

fn numbers((_, height, width, channels): Dims, size: usize) -> [Argument<'static>; 4] {
    [height, width, channels, size].map(|number| Argument::Int(number as i32))
}

/// The maxima of the windows, and the position of each in its window (u32).
pub fn forward(gpu: &Gpu, x: Array, dims: Dims, size: usize) -> Result<(Fresh, Fresh)> {
    let of_output = [dims.0, dims.1 / size, dims.2 / size, dims.3];
    let (output, winners) = (Fresh::new(gpu, &of_output, x.dtype)?, Fresh::new(gpu, &of_output, DType::U32)?);
    let len = output.array().len();
    let arrays = [output.array().into(), winners.array().into(), x.into(), len.into()];
    let arguments = [&arrays[..], &numbers(dims, size)].concat();
    // SAFETY: x has these dimensions, the others a value for each window.
    unsafe { gpu.launch(SOURCE, x.dtype, "max_pool", Grid::over(len), &arguments)? };
    Ok((output, winners))
}

pub fn backward(gpu: &Gpu, gradient: Array, winners: Array, dims: Dims, size: usize) -> Result<Fresh> {
    let into = Fresh::new(gpu, &[dims.0, dims.1, dims.2, dims.3], gradient.dtype)?;
    let len = into.array().len();
    let arrays = [into.array().into(), gradient.into(), winners.into(), len.into()];
    let arguments = [&arrays[..], &numbers(dims, size)].concat();
    // SAFETY: the output has these dimensions, the others a value for each window.
    unsafe { gpu.launch(SOURCE, gradient.dtype, "max_pool_gradient", Grid::over(len), &arguments)? };
    Ok(into)
}
