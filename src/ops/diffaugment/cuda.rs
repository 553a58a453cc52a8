//! Moved images on CUDA.

use super::Way;
use crate::kernels::cuda::{Argument, Array, Fresh, Gpu, Grid, Source};
use candle_core::Result;

const SOURCE: Source = Source { name: "diffaugment", text: include_str!("kernel.cu") };

/// Images, or gradients of them, (N, H, W, C), moved and cut; what nothing moves to is `fill`.
pub fn moved(gpu: &Gpu, from: Array, draws: Array, way: Way, cut: usize, fill: f32) -> Result<Fresh> {
    let into = Fresh::new(gpu, from.dims, from.dtype)?;
    let len = from.len();
    let [height, width, channels] = [1, 2, 3].map(|dim| Argument::Int(from.dims[dim] as i32));
    let back = Argument::Int((way == Way::Back).into());
    let arguments = [
        into.array().into(),
        from.into(),
        draws.into(),
        len.into(),
        height,
        width,
        channels,
        Argument::Int(cut as i32),
        fill.into(),
        back,
    ];
    // SAFETY: both have so many values of these dimensions, and each image has its draw.
    unsafe { gpu.launch(SOURCE, from.dtype, "diffaugment", Grid::over(len), &arguments)? };
    Ok(into)
}
