//! GELU on CUDA.

use crate::kernels::cuda::{Array, Fresh, Gpu, Grid, Source};
use candle_core::{DType, Result};

const SOURCE: Source = Source { name: "gelu", text: include_str!("kernel.cu") };

pub fn forward(gpu: &Gpu, x: Array) -> Result<Fresh> {
    let (output, len) = (Fresh::new(gpu, x.dims, DType::F32)?, x.len());
    let arguments = [output.array().into(), x.into(), len.into()];
    // SAFETY: both have this many values.
    unsafe { gpu.launch(SOURCE, DType::F32, "gelu", Grid::over(len), &arguments)? };
    Ok(output)
}

pub fn backward(gpu: &Gpu, x: Array, gradient: Array) -> Result<Fresh> {
    let (into, len) = (Fresh::new(gpu, x.dims, DType::F32)?, x.len());
    let arguments = [into.array().into(), x.into(), gradient.into(), len.into()];
    // SAFETY: the three have this many values.
    unsafe { gpu.launch(SOURCE, DType::F32, "gelu_gradient", Grid::over(len), &arguments)? };
    Ok(into)
}
