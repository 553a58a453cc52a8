//! The mean of the pixels around each, as Inception's pooling branches take it. For evaluation: where a gradient is asked
//! for, and elsewhere than on a CPU, it is its naive twin.

mod cpu;

use crate::kernels::storage::{is_host, read, tensor};
use candle_core::{Result, Tensor, bail};

/// The mean of each `size` x `size` window of x (N, H, W, C) around a pixel, `size` being odd, over what of it lies on the
/// image: (N, H, W, C). As `torch.nn.functional.avg_pool2d` with stride 1, a padding of `size` / 2 and
/// `count_include_pad=False`.
pub fn avg_pool2d(x: &Tensor, size: usize) -> Result<Tensor> {
    check(x, size)?;
    if !is_host(&[x]) || x.track_op() {
        return naive(x, size);
    }
    let (_, height, width, channels) = x.dims4()?;
    tensor(read(x, |values| cpu::forward(values, [height, width, channels], size))?, x.dims())
}

/// [`avg_pool2d`] in candle's ops.
pub fn naive(x: &Tensor, size: usize) -> Result<Tensor> {
    check(x, size)?;
    let (_, height, width, _) = x.dims4()?;
    let half = size / 2;
    let padded = x.pad_with_zeros(1, half, half)?.pad_with_zeros(2, half, half)?;
    let mut sum = x.zeros_like()?;
    for row in 0..size {
        for column in 0..size {
            sum = (sum + padded.narrow(1, row, height)?.narrow(2, column, width)?)?;
        }
    }
    let across = (0..height).flat_map(|row| (0..width).map(move |column| (row, column)));
    let counts = across.map(|(row, column)| (seen(row, height, half).len() * seen(column, width, half).len()) as f64);
    let counts = Tensor::from_iter(counts, x.device())?.to_dtype(x.dtype())?;
    sum.broadcast_div(&counts.reshape((1, height, width, 1))?)
}

/// The places along an axis of `length` that the window around `at` covers.
fn seen(at: usize, length: usize, half: usize) -> std::ops::Range<usize> {
    at.saturating_sub(half)..length.min(at + half + 1)
}

fn check(x: &Tensor, size: usize) -> Result<()> {
    match *x.dims() {
        [_, height, width, channels] if height * width * channels > 0 && size % 2 == 1 => Ok(()),
        _ => bail!("avg_pool2d: expected an input (N, H, W, C) and an odd window, found {:?} and {size}", x.dims()),
    }
}
