//! Convolution with a window of one row or one column, as Inception's 1x7 and 7x1 are. For evaluation: where a gradient is
//! asked for, and elsewhere than on a CPU, it is its naive twin.

mod cpu;

use super::activation;
use crate::kernels::activation::Activation;
use crate::kernels::cpu::epilogue::Epilogue;
use crate::kernels::storage::{is_host, read, read_all, tensor};
use candle_core::{Result, Tensor, bail};

/// x (N, H, W, C) correlated with weight (O, C, 1, K) or (O, C, K, 1), K odd, plus bias (O), then `activation`:
/// (N, H, W, O). As `torch.nn.functional.conv2d` with stride 1 and a padding of K / 2 along the window.
pub fn line_conv2d(x: &Tensor, weight: &Tensor, bias: &Tensor, activation: Activation) -> Result<Tensor> {
    let line = Line::new(x, weight, bias)?;
    activation.check()?;
    let tensors = [x, weight, bias];
    if !is_host(&tensors) || tensors.iter().any(|tensor| tensor.track_op()) {
        return naive(x, weight, bias, activation);
    }
    let (weight, dims) = (weight.contiguous()?, [line.images, line.height, line.width, line.features]);
    let output = read_all(&[&x.contiguous()?, &weight], |values| {
        read(bias, |bias| {
            let epilogue = Epilogue { bias: Some(bias), activation, scale: None };
            cpu::forward(values[0], &line, values[1], epilogue)
        })
    })??;
    tensor(output, &dims)
}

/// [`line_conv2d`] in candle's ops: a product of matrices for each of the window's K positions.
pub fn naive(x: &Tensor, weight: &Tensor, bias: &Tensor, activation: Activation) -> Result<Tensor> {
    let line = Line::new(x, weight, bias)?;
    let (axis, length) = if line.is_row { (2, line.width) } else { (1, line.height) };
    let padded = x.pad_with_zeros(axis, line.size / 2, line.size / 2)?;
    let places = line.images * line.height * line.width;
    let mut sum = Tensor::zeros((places, line.features), x.dtype(), x.device())?;
    for position in 0..line.size {
        let seen = padded.narrow(axis, position, length)?.contiguous()?.reshape((places, line.channels))?;
        let of_weight = weight.flatten_from(2)?.narrow(2, position, 1)?.squeeze(2)?; // (O, C)
        sum = (sum + seen.matmul(&of_weight.t()?)?)?;
    }
    let sum = sum.broadcast_add(bias)?.reshape((line.images, line.height, line.width, line.features))?;
    activation::naive(&sum, activation)
}

/// The shapes of a convolution with a line.
struct Line {
    images: usize,
    height: usize,
    width: usize,
    channels: usize,
    features: usize,
    /// Pixels of the window.
    size: usize,
    /// Whether these lie across the image; else down.
    is_row: bool,
}

impl Line {
    fn new(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Self> {
        if let (&[images, height, width, channels], &[features, expected, rows, columns]) = (x.dims(), weight.dims())
            && channels == expected
            && rows.min(columns) == 1
            && [rows * columns % 2, channels, features].iter().all(|number| *number > 0)
            && bias.dims() == [features]
        {
            let (size, is_row) = (rows.max(columns), rows == 1);
            return Ok(Self { images, height, width, channels, features, size, is_row });
        }
        bail!(
            "line_conv2d: expected an input (N, H, W, C), a weight (O, C, 1, K) or (O, C, K, 1) of odd K and a bias (O), \
             found {:?}, {:?} and {:?}",
            x.dims(),
            weight.dims(),
            bias.dims()
        )
    }
}
