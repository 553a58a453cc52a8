//! Transformed images on CUDA.

use crate::kernels::cuda::{Argument, Array, Fresh, Gpu, Grid, Source};
use candle_core::Result;

const SOURCE: Source = Source { name: "affine_sample", text: include_str!("kernel.cu") };

/// Images (N, H, W, C), each by its transform.
pub fn sampled(gpu: &Gpu, images: Array, transforms: Array) -> Result<Fresh> {
    launch(gpu, "affine_sample", images, transforms)
}

/// The gradient of images from that of what was sampled, (N, H, W, C).
pub fn spread(gpu: &Gpu, gradient: Array, transforms: Array) -> Result<Fresh> {
    launch(gpu, "affine_sample_gradient", gradient, transforms)
}

fn launch(gpu: &Gpu, kernel: &'static str, from: Array, transforms: Array) -> Result<Fresh> {
    let into = Fresh::new(gpu, from.dims, from.dtype)?;
    let len = from.len();
    let [height, width, channels] = [1, 2, 3].map(|dim| Argument::Int(from.dims[dim] as i32));
    let arguments = [into.array().into(), from.into(), transforms.into(), len.into(), height, width, channels];
    // SAFETY: both have so many values of these dimensions, and each image has its transform.
    unsafe { gpu.launch(SOURCE, from.dtype, kernel, Grid::over(len), &arguments)? };
    Ok(into)
}
