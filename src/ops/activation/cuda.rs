//! Activations on CUDA, alone and after a product.

use super::Activation;
use crate::kernels::cuda::{Argument, Array, Columns, Fresh, Gpu, Grid, Source, aligned};
use candle_core::{DType, Result};

const SOURCE: Source = Source { name: "activation", text: include_str!("kernel.cu") };

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

/// How an elementwise kernel takes arrays of one length: `(kernel, grid)` of the two that are given.
fn elementwise(arrays: &[Array], one: &'static str, wide: &'static str) -> (&'static str, Grid) {
    let len = arrays[0].len();
    let width = 16 / arrays[0].dtype.size_in_bytes();
    match aligned(arrays) && len.is_multiple_of(width) {
        true => (wide, Grid::over(len / width)),
        false => (one, Grid::over(len)),
    }
}

pub fn forward(gpu: &Gpu, x: Array, activation: Activation) -> Result<Fresh> {
    let output = Fresh::new(gpu, x.dims, x.dtype)?;
    let y = output.array();
    let (kernel, grid) = elementwise(&[y, x], "activate_1", "activate_wide");
    let [number, slope] = activation.code();
    // SAFETY: both arrays have this many values.
    unsafe { gpu.launch(SOURCE, x.dtype, kernel, grid, &[y.into(), x.into(), x.len().into(), number, slope])? };
    Ok(output)
}

/// Adds a bias, one value a column, to the rows of `y`, in place, and applies the activation.
pub fn finish(gpu: &Gpu, y: Array, bias: Option<Array>, activation: Activation) -> Result<()> {
    if (bias.is_none() && activation == Activation::Identity) || y.len() == 0 {
        return Ok(());
    }
    let (rows, channels) = y.rows();
    let columns = Columns::new(rows, channels, y.dtype, aligned(&[y]));
    let kernel = if columns.wide { "finish_wide" } else { "finish_1" };
    let [number, slope] = activation.code();
    let arguments = [y.into(), bias.into(), rows.into(), (channels as i32).into(), number, slope];
    // SAFETY: `y` has so many rows, and the bias a value for each channel.
    unsafe { gpu.launch(SOURCE, y.dtype, kernel, columns.grid, &arguments) }
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
