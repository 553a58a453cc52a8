//! Activations alone, on CUDA.

use crate::kernels::activation::Activation;
use crate::kernels::cuda::{Array, Fresh, Gpu, Source, elementwise};
use candle_core::Result;

const SOURCE: Source = Source { name: "activation", text: include_str!("kernel.cu") };

pub fn forward(gpu: &Gpu, x: Array, activation: Activation) -> Result<Fresh> {
    let output = Fresh::new(gpu, x.dims, x.dtype)?;
    let y = output.array();
    let (kernel, grid) = elementwise(&[y, x], "activate_1", "activate_wide");
    let [number, slope] = activation.code();
    // SAFETY: both arrays have this many values.
    unsafe { gpu.launch(SOURCE, x.dtype, kernel, grid, &[y.into(), x.into(), x.len().into(), number, slope])? };
    Ok(output)
}
