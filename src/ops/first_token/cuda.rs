//! The first token of each sequence on CUDA.

use crate::kernels::cuda::{Array, Fresh, Gpu, Grid, Source};
use candle_core::{DType, Result};

const SOURCE: Source = Source { name: "first_token", text: include_str!("kernel.cu") };

/// x (N, T, D): (N, D)
pub fn forward(gpu: &Gpu, x: Array) -> Result<Fresh> {
    let output = Fresh::new(gpu, &[x.dims[0], x.dims[2]], DType::F32)?;
    launch(gpu, "first_token", &output, x, x.dims)?;
    Ok(output)
}

/// The gradient of sequences of these dimensions (N, T, D).
pub fn backward(gpu: &Gpu, gradient: Array, dims: &[usize]) -> Result<Fresh> {
    let into = Fresh::new(gpu, dims, DType::F32)?;
    launch(gpu, "first_token_gradient", &into, gradient, dims)?;
    Ok(into)
}

fn launch(gpu: &Gpu, kernel: &'static str, into: &Fresh, from: Array, dims: &[usize]) -> Result<()> {
    let (len, size, width) = (into.array().len(), dims[1] * dims[2], dims[2] as i32);
    let arguments = [into.array().into(), from.into(), len.into(), size.into(), width.into()];
    // SAFETY: of `into` and `from` one has these dimensions, the other a row for each sequence.
    unsafe { gpu.launch(SOURCE, DType::F32, kernel, Grid::over(len), &arguments) }
}
