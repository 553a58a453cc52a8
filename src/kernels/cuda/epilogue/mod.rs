//! What follows a product on CUDA, and the way back through it.

use crate::kernels::activation::Activation;
use crate::kernels::cuda::array::{Array, Fresh};
use crate::kernels::cuda::gpu::Gpu;
use crate::kernels::cuda::kernel::Source;
use crate::kernels::cuda::launch::{Argument, Columns, aligned, elementwise};
use candle_core::{DType, Result};

const SOURCE: Source = Source { name: "epilogue", text: include_str!("kernel.cu") };

impl Activation {
    /// Its number in the prelude, and its slope.
    pub fn code(self) -> [Argument<'static>; 2] {
        let (number, slope) = match self {
            Activation::Identity => (0, 0.0),
            Activation::Relu => (1, 0.0),
            Activation::LeakyRelu(slope) => (2, slope),
            Activation::Tanh => (3, 0.0),
        };
        [Argument::Int(number), Argument::Float(slope)]
    }
}

/// What is done to an output: a bias for each channel is added, then the activation is applied.
#[derive(Clone, Copy)]
pub struct Epilogue<'a> {
    pub bias: Option<Array<'a>>,
    pub activation: Activation,
}

impl Epilogue<'_> {
    /// For products that are gradients: nothing.
    pub const NONE: Epilogue<'static> = Epilogue { bias: None, activation: Activation::Identity };

    /// Finishes the rows of `y`, in place.
    pub fn finish(&self, gpu: &Gpu, y: Array) -> Result<()> {
        if (self.bias.is_none() && self.activation == Activation::Identity) || y.is_empty() {
            return Ok(());
        }
        let (rows, channels) = y.rows();
        let columns = Columns::new(rows, channels, y.dtype, aligned(&[y]));
        let kernel = if columns.wide { "finish_wide" } else { "finish_1" };
        let [number, slope] = self.activation.code();
        let arguments = [y.into(), self.bias.into(), rows.into(), (channels as i32).into(), number, slope];
        // SAFETY: `y` has so many rows, and the bias a value for each channel.
        unsafe { gpu.launch(SOURCE, y.dtype, kernel, columns.grid, &arguments) }
    }
}

/// The gradient before an activation, from that after it and from the activation's output.
pub fn gradient(gpu: &Gpu, gradient: Array, output: Array, activation: Activation) -> Result<Fresh> {
    let before = Fresh::new(gpu, output.dims, gradient.dtype)?;
    let into = before.array();
    let (kernel, grid) = elementwise(&[into, gradient, output], "activation_gradient_1", "activation_gradient_wide");
    let [number, slope] = activation.code();
    let arguments = [into.into(), gradient.into(), output.into(), output.len().into(), number, slope];
    // SAFETY: the three arrays have this many values.
    unsafe { gpu.launch(SOURCE, gradient.dtype, kernel, grid, &arguments)? };
    Ok(before)
}

/// [`gradient`], if there is an activation, and the sums of its columns: the gradient of a bias.
pub fn bias_gradient(
    gpu: &Gpu,
    gradient: Array,
    output: Array,
    activation: Activation,
) -> Result<(Option<Fresh>, Fresh)> {
    let (rows, channels) = output.rows();
    let before = match activation {
        Activation::Identity => None,
        _ => Some(Fresh::new(gpu, output.dims, gradient.dtype)?),
    };
    let columns = Columns::new(rows, channels, gradient.dtype, aligned(&[gradient, output]));
    let partial = Fresh::new(gpu, &[columns.chunks, channels], DType::F32)?;
    let sums = Fresh::new(gpu, &[channels], DType::F32)?;
    let kernel = if columns.wide { "bias_gradient_wide" } else { "bias_gradient_1" };
    let [number, slope] = activation.code();
    let into = before.as_ref().map(Fresh::array);
    let values = [into.into(), partial.array().into(), gradient.into(), output.into()];
    let arguments = [&values[..], &[rows.into(), (channels as i32).into(), number, slope]].concat();
    let finishing =
        [sums.array().into(), partial.array().into(), (columns.chunks as i32).into(), (channels as i32).into()];
    // SAFETY: the arrays have so many rows of so many channels, the partial sums a row for each chunk of the grid.
    unsafe {
        gpu.launch(SOURCE, gradient.dtype, kernel, columns.grid, &arguments)?;
        gpu.launch(SOURCE, gradient.dtype, "sum_chunks", Columns::finish(channels), &finishing)?;
    }
    Ok((before, sums))
}
