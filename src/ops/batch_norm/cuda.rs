//! Batch normalisation on CUDA.

use crate::kernels::activation::Activation;
use crate::kernels::cuda::{Argument, Array, Columns, Fresh, Gpu, Grid, Source, aligned};
use candle_core::{DType, Result};

const SOURCE: Source = Source { name: "batch_norm", text: include_str!("kernel.cu") };

/// Threads of the kernels that take a channel each.
const THREADS: u32 = 128;

fn a_channel_each(channels: usize) -> Grid {
    Grid::rows(channels.div_ceil(THREADS as usize), THREADS)
}

/// The mean and the biased variance of each channel of `x`, rows of channels, and what normalises by them: (2, C), the
/// mean and one over the standard deviation.
pub fn moments(gpu: &Gpu, x: Array, eps: f64) -> Result<[Fresh; 3]> {
    let (rows, channels) = x.rows();
    let columns = Columns::new(rows, channels, x.dtype, aligned(&[x]));
    let partial = Fresh::new(gpu, &[2, columns.chunks, channels], DType::F32)?;
    let mean = Fresh::new(gpu, &[channels], DType::F32)?;
    let variance = Fresh::new(gpu, &[channels], DType::F32)?;
    let coefficients = Fresh::new(gpu, &[2, channels], DType::F32)?;
    let kernel = if columns.wide { "moments_wide" } else { "moments_1" };
    let arguments = [partial.array().into(), x.into(), rows.into(), (channels as i32).into()];
    let finishing = [
        mean.array().into(),
        variance.array().into(),
        coefficients.array().into(),
        partial.array().into(),
        x.into(),
        rows.into(),
        (columns.chunks as i32).into(),
        (channels as i32).into(),
        eps.into(),
    ];
    // SAFETY: x has so many rows of channels, the partial sums two rows for each chunk of the grid.
    unsafe {
        gpu.launch(SOURCE, x.dtype, kernel, columns.grid, &arguments)?;
        gpu.launch(SOURCE, x.dtype, "finish_moments", Columns::finish(channels), &finishing)?;
    }
    Ok([mean, variance, coefficients])
}

/// What normalises by running statistics.
pub fn running_coefficients(gpu: &Gpu, mean: Array, variance: Array, eps: f64) -> Result<Fresh> {
    let channels = mean.len();
    let coefficients = Fresh::new(gpu, &[2, channels], DType::F32)?;
    let arguments = [coefficients.array().into(), mean.into(), variance.into(), (channels as i32).into(), eps.into()];
    // SAFETY: each has a value for each channel, the coefficients two.
    unsafe { gpu.launch(SOURCE, DType::F32, "running_coefficients", a_channel_each(channels), &arguments)? };
    Ok(coefficients)
}

/// Moves running statistics towards a batch's, in place, and counts the batch (i64).
pub fn track(
    gpu: &Gpu,
    [running_mean, running_variance, batches]: [Array; 3],
    [mean, variance]: [Array; 2],
    correction: f64,
    momentum: f64,
) -> Result<()> {
    let channels = mean.len();
    let arguments = [
        running_mean.into(),
        running_variance.into(),
        batches.into(),
        mean.into(),
        variance.into(),
        (channels as i32).into(),
        (correction as f32).into(),
        (momentum as f32).into(),
    ];
    // SAFETY: each has a value for each channel, but for the count.
    unsafe { gpu.launch(SOURCE, DType::F32, "track", a_channel_each(channels), &arguments) }
}

/// What the passes over x share.
#[derive(Clone, Copy)]
pub struct CudaNorm<'a> {
    pub x: Array<'a>,
    pub coefficients: Array<'a>,
    pub weight: Array<'a>,
    pub bias: Array<'a>,
    pub activation: Activation,
}

impl CudaNorm<'_> {
    fn channels(&self) -> [Argument<'static>; 3] {
        [self.coefficients.into(), self.weight.into(), self.bias.into()]
    }

    /// The rows, the channels and the activation.
    fn numbers(&self) -> [Argument<'static>; 4] {
        let (rows, channels) = self.x.rows();
        let [number, slope] = self.activation.code();
        [rows.into(), (channels as i32).into(), number, slope]
    }

    fn columns(&self, others: &[Array]) -> Columns {
        let (rows, channels) = self.x.rows();
        Columns::new(rows, channels, self.x.dtype, aligned(&[self.x]) && aligned(others))
    }

    pub fn forward(&self, gpu: &Gpu) -> Result<Fresh> {
        let output = Fresh::new(gpu, self.x.dims, self.x.dtype)?;
        let columns = self.columns(&[]);
        let kernel = if columns.wide { "normalise_wide" } else { "normalise_1" };
        let values = [output.array().into(), self.x.into()];
        let arguments = [&values[..], &self.channels(), &self.numbers()].concat();
        // SAFETY: the arrays have the shape of x, the coefficients and parameters its channels.
        unsafe { gpu.launch(SOURCE, self.x.dtype, kernel, columns.grid, &arguments)? };
        Ok(output)
    }

    /// The gradients of weight and bias.
    pub fn parameter_gradients(&self, gpu: &Gpu, gradient: Array) -> Result<(Fresh, Fresh)> {
        let channels = self.x.rows().1;
        let columns = self.columns(&[gradient]);
        let partial = Fresh::new(gpu, &[2, columns.chunks, channels], DType::F32)?;
        let (for_weight, for_bias) =
            (Fresh::new(gpu, &[channels], DType::F32)?, Fresh::new(gpu, &[channels], DType::F32)?);
        let kernel = if columns.wide { "parameter_gradients_wide" } else { "parameter_gradients_1" };
        let values = [partial.array().into(), gradient.into(), self.x.into()];
        let arguments = [&values[..], &self.channels(), &self.numbers()].concat();
        let finishing = [
            for_weight.array().into(),
            for_bias.array().into(),
            partial.array().into(),
            (columns.chunks as i32).into(),
            (channels as i32).into(),
        ];
        // SAFETY: the arrays have the shape of x, the partial sums two rows for each chunk of the grid.
        unsafe {
            gpu.launch(SOURCE, self.x.dtype, kernel, columns.grid, &arguments)?;
            gpu.launch(SOURCE, self.x.dtype, "finish_gradients", Columns::finish(channels), &finishing)?;
        }
        Ok((for_weight, for_bias))
    }

    /// The gradient of x; through the statistics if those of weight and bias are given.
    pub fn input_gradient(&self, gpu: &Gpu, gradient: Array, through: Option<[Array; 2]>) -> Result<Fresh> {
        let into = Fresh::new(gpu, self.x.dims, self.x.dtype)?;
        let columns = self.columns(&[gradient]);
        let kernel = if columns.wide { "input_gradient_wide" } else { "input_gradient_1" };
        let values = [into.array().into(), gradient.into(), self.x.into()];
        let [for_weight, for_bias] = [through.map(|[weight, _]| weight), through.map(|[_, bias]| bias)];
        let sums = [for_weight.into(), for_bias.into()];
        let arguments = [&values[..], &self.channels(), &sums, &self.numbers()].concat();
        // SAFETY: the arrays have the shape of x, the others its channels.
        unsafe { gpu.launch(SOURCE, self.x.dtype, kernel, columns.grid, &arguments)? };
        Ok(into)
    }
}
