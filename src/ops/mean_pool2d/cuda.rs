//! Mean pooling on CUDA. The mean is f32 whatever the images are.

use crate::kernels::cuda::{Array, Fresh, Gpu, Grid, Source};
use candle_core::{DType, Result};

const SOURCE: Source = Source { name: "mean_pool2d", text: include_str!("kernel.cu") };

/// x (N, places, C): (N, C).
pub fn forward(gpu: &Gpu, x: Array, (count, places, channels): (usize, usize, usize)) -> Result<Fresh> {
    let output = Fresh::new(gpu, &[count, channels], DType::F32)?;
    let len = count * channels;
    let arguments = [output.array().into(), x.into(), len.into(), (places as i32).into(), (channels as i32).into()];
    // SAFETY: x has these dimensions.
    unsafe { gpu.launch(SOURCE, x.dtype, "mean_pool", Grid::over(len), &arguments)? };
    Ok(output)
}

/// The gradient of images of these dimensions and type, from that of the mean (N, C).
pub fn backward(gpu: &Gpu, gradient: Array, dims: &[usize], dtype: DType) -> Result<Fresh> {
    let into = Fresh::new(gpu, dims, dtype)?;
    let (places, channels) = (dims[1] * dims[2], dims[3]);
    let len = into.array().len();
    let arguments =
        [into.array().into(), gradient.into(), len.into(), (places as i32).into(), (channels as i32).into()];
    // SAFETY: as above.
    unsafe { gpu.launch(SOURCE, dtype, "mean_pool_gradient", Grid::over(len), &arguments)? };
    Ok(into)
}
