//! Max pooling on CUDA.

use crate::kernels::cuda::{Argument, Array, Fresh, Gpu, Grid, Source};
use crate::kernels::window::Window;
use candle_core::{DType, Result};

const SOURCE: Source = Source { name: "max_pool2d", text: include_str!("kernel.cu") };

/// The window as the kernels take it.
fn numbers(window: &Window) -> [Argument<'static>; 8] {
    let &Window { height, width, channels, size, stride, padding, down, across, .. } = window;
    [height, width, channels, size, stride, padding, down, across].map(|number| Argument::Int(number as i32))
}

/// The maxima of the windows, and the position of each in its window (u32).
pub fn forward(gpu: &Gpu, x: Array, window: &Window) -> Result<(Fresh, Fresh)> {
    let of_output = [window.images, window.down, window.across, window.channels];
    let (output, winners) = (Fresh::new(gpu, &of_output, x.dtype)?, Fresh::new(gpu, &of_output, DType::U32)?);
    let len = output.array().len();
    let arrays = [output.array().into(), winners.array().into(), x.into(), len.into()];
    let arguments = [&arrays[..], &numbers(window)].concat();
    // SAFETY: x has the window's dimensions, the others a value for each of its places.
    unsafe { gpu.launch(SOURCE, x.dtype, "max_pool", Grid::over(len), &arguments)? };
    Ok((output, winners))
}

/// The values of x at the winners of each window.
pub fn at_winners(gpu: &Gpu, x: Array, winners: Array, window: &Window) -> Result<Fresh> {
    let output = Fresh::new(gpu, &[window.images, window.down, window.across, window.channels], x.dtype)?;
    let len = output.array().len();
    let arrays = [output.array().into(), x.into(), winners.into(), len.into()];
    let arguments = [&arrays[..], &numbers(window)].concat();
    // SAFETY: x has the window's dimensions, the others a value for each of its places.
    unsafe { gpu.launch(SOURCE, x.dtype, "max_pool_at_winners", Grid::over(len), &arguments)? };
    Ok(output)
}

pub fn backward(gpu: &Gpu, gradient: Array, winners: Array, window: &Window) -> Result<Fresh> {
    let dims = [window.images, window.height, window.width, window.channels];
    let into = Fresh::new(gpu, &dims, gradient.dtype)?;
    let len = into.array().len();
    let arrays = [into.array().into(), gradient.into(), winners.into(), len.into()];
    let arguments = [&arrays[..], &numbers(window)].concat();
    // SAFETY: the output has the window's dimensions, the others a value for each of its places.
    unsafe { gpu.launch(SOURCE, gradient.dtype, "max_pool_gradient", Grid::over(len), &arguments)? };
    Ok(into)
}
