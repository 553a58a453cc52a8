//! A token and positions on CUDA.

use crate::kernels::cuda::{Array, Fresh, Gpu, Grid, Source};
use candle_core::{DType, Result};

const SOURCE: Source = Source { name: "prepend_token", text: include_str!("kernel.cu") };

/// patches (N, P, D), token (1, 1, D), positions (1, P + 1, D): (N, P + 1, D)
pub fn forward(gpu: &Gpu, patches: Array, token: Array, positions: Array) -> Result<Fresh> {
    let (size, width) = (positions.len(), token.len());
    let output = Fresh::new(gpu, &[patches.dims[0], positions.dims[1], width], DType::F32)?;
    let len = output.array().len();
    let arguments = [
        output.array().into(),
        patches.into(),
        token.into(),
        positions.into(),
        len.into(),
        size.into(),
        (width as i32).into(),
    ];
    // SAFETY: the arrays have these shapes.
    unsafe { gpu.launch(SOURCE, DType::F32, "prepend_token", Grid::over(len), &arguments)? };
    Ok(output)
}

/// The gradient of patches of these dimensions (N, P, D).
pub fn for_patches(gpu: &Gpu, gradient: Array, dims: &[usize]) -> Result<Fresh> {
    let into = Fresh::new(gpu, dims, DType::F32)?;
    let (len, size, width) = (into.array().len(), (dims[1] + 1) * dims[2], dims[2]);
    let arguments = [into.array().into(), gradient.into(), len.into(), size.into(), (width as i32).into()];
    // SAFETY: the gradient has a token more than the patches.
    unsafe { gpu.launch(SOURCE, DType::F32, "without_token", Grid::over(len), &arguments)? };
    Ok(into)
}

/// The gradient of positions of these dimensions (1, P + 1, D).
pub fn for_positions(gpu: &Gpu, gradient: Array, dims: &[usize]) -> Result<Fresh> {
    let into = Fresh::new(gpu, dims, DType::F32)?;
    let size = into.array().len();
    let count = gradient.dims[0] as i32;
    let arguments = [into.array().into(), gradient.into(), size.into(), count.into()];
    // SAFETY: the gradient has so many sequences of this size.
    unsafe { gpu.launch(SOURCE, DType::F32, "sum_of_sequences", Grid::over(size), &arguments)? };
    Ok(into)
}
