//! Recoloured images on CUDA.

use crate::kernels::cuda::{Argument, Array, Fresh, Gpu, Grid, Source};
use candle_core::Result;

const SOURCE: Source = Source { name: "recolour", text: include_str!("kernel.cu") };

/// Threads of an image.
const THREADS: u32 = 256;

/// Images (N, H, W, C), each by its matrix.
pub fn recoloured(gpu: &Gpu, images: Array, matrices: Array) -> Result<Fresh> {
    launch(gpu, "recolour", images, matrices)
}

/// The gradient of images from that of what they became, (N, H, W, C).
pub fn gradient(gpu: &Gpu, gradient: Array, matrices: Array) -> Result<Fresh> {
    launch(gpu, "recolour_gradient", gradient, matrices)
}

fn launch(gpu: &Gpu, kernel: &'static str, from: Array, matrices: Array) -> Result<Fresh> {
    let into = Fresh::new(gpu, from.dims, from.dtype)?;
    let [count, height, width, channels] = [0, 1, 2, 3].map(|dim| from.dims[dim]);
    if from.is_empty() {
        return Ok(into);
    }
    let (stride, channels) = ((height * width * channels).into(), Argument::Int(channels as i32));
    let arguments = [into.array().into(), from.into(), matrices.into(), stride, channels];
    // SAFETY: both have `count` images of so many values, and each image has its matrix.
    unsafe { gpu.launch(SOURCE, from.dtype, kernel, Grid::rows(count, THREADS), &arguments)? };
    Ok(into)
}
