//! Max pooling over images with the channels last. candle's own has a wrong gradient: a k²-th of the truth.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use super::activation;
use crate::autograd;
use crate::kernels::activation::Activation;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Epilogue, Fresh, Gpu, epilogue, lend};
use crate::kernels::storage::{is_fused, read, tensor, values};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, bail};
use std::sync::OnceLock;

/// The largest value of each `size` x `size` window of x (N, H, W, C), the windows side by side, then `activation`:
/// (N, H / size, W / size, C), rounded down. As `torch.nn.functional.max_pool2d`: the gradient goes to the first maximum,
/// NaN is larger than every number, and rows and columns that fill no window are ignored.
///
/// An activation that never falls is the same before and after the pooling, and after it there are size² times fewer
/// values.
pub fn max_pool2d(x: &Tensor, size: usize, activation: Activation) -> Result<Tensor> {
    check(x, size)?;
    activation.check()?;
    if !is_fused(&[x]) || size > cpu::LARGEST {
        return naive(x, size, activation);
    }
    autograd::apply_op1(
        &x.contiguous()?,
        MaxPool {
            size,
            activation,
            winners: OnceLock::new(),
            #[cfg(feature = "cuda")]
            winners_on_cuda: OnceLock::new(),
        },
    )
}

/// [`max_pool2d`] in candle's ops.
pub fn naive(x: &Tensor, size: usize, activation: Activation) -> Result<Tensor> {
    let (count, down, across, channels) = check(x, size)?;
    let windows = x
        .narrow(1, 0, down * size)?
        .narrow(2, 0, across * size)?
        .reshape((count, down, size, across, size * channels))?
        .transpose(2, 3)? // (N, H', W', K, K * C)
        .reshape((count, down, across, size * size, channels))?;
    let mut largest = windows.narrow(3, 0, 1)?;
    for position in 1..size * size {
        let value = windows.narrow(3, position, 1)?;
        let wins = (value.gt(&largest)? + value.ne(&value)?)?; // only NaN differs from itself
        largest = wins.where_cond(&value, &largest)?;
    }
    activation::naive(&largest.reshape((count, down, across, channels))?, activation)
}

fn check(x: &Tensor, size: usize) -> Result<(usize, usize, usize, usize)> {
    match *x.dims() {
        [count, height, width, channels] if size > 0 && height >= size && width >= size => {
            Ok((count, height / size, width / size, channels))
        }
        _ => bail!("max_pool2d: expected an input (N, H, W, C) of at least {size} x {size}, found {:?}", x.dims()),
    }
}

struct MaxPool {
    size: usize,
    activation: Activation,
    /// For each image the position in its window of each maximum, row after row; written by the forward pass.
    winners: OnceLock<Vec<Vec<u8>>>,
    #[cfg(feature = "cuda")]
    winners_on_cuda: OnceLock<Fresh>,
}

impl autograd::Taped for MaxPool {
    fn saved(&self) -> autograd::Saved {
        match self.activation {
            Activation::Identity => autograd::Saved::Nothing,
            _ => autograd::Saved::Output,
        }
    }
}

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let dims = layout.shape().dims4()?;
        let (output, winners) = cpu::forward(values(x, layout)?, dims, self.size, self.activation);
        self.winners.get_or_init(|| winners);
        Ok((CpuStorage::F32(output), Shape::from((dims.0, dims.1 / self.size, dims.2 / self.size, dims.3))))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::of(&x.device)?;
        let (output, winners) = cuda::forward(&gpu, CudaArray::new(x, layout)?, layout.shape().dims4()?, self.size)?;
        Epilogue { bias: None, activation: self.activation }.finish(&gpu, output.array())?;
        self.winners_on_cuda.get_or_init(|| winners);
        Ok(output.into_storage())
    }

    fn bwd(&self, x: &Tensor, output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        #[cfg(feature = "cuda")]
        if let (true, Some(winners)) = (x.track_op(), self.winners_on_cuda.get()) {
            let dims = x.dims4()?;
            let given = lend(&gradient.contiguous()?, |gpu, gradient| {
                let before = match self.activation {
                    Activation::Identity => None, // whose output is not kept
                    _ => Some(lend(output, |_, output| epilogue::gradient(gpu, gradient, output, self.activation))?),
                };
                let gradient = before.as_ref().map_or(gradient, Fresh::array);
                cuda::backward(gpu, gradient, winners.array(), dims, self.size)
            });
            return Ok(Some(given?.into_tensor()));
        }
        let (true, Some(winners)) = (x.track_op(), self.winners.get()) else { return Ok(None) };
        let dims = x.dims4()?;
        let no_values = Tensor::zeros(0, DType::F32, &Device::Cpu)?;
        let output = if self.activation == Activation::Identity { &no_values } else { output };
        let gradient = read(gradient, |gradient| {
            read(output, |output| cpu::backward(gradient, output, winners, dims, self.size, self.activation))
        })??;
        Ok(Some(tensor(gradient, x.dims())?))
    }
}
