//! Max pooling over images with the channels last. candle's own has a wrong gradient: a k²-th of the truth.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod winners;

use super::activation;
use crate::autograd;
use crate::kernels::activation::Activation;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Epilogue, Fresh, Gpu, epilogue, lend};
use crate::kernels::storage::{is_fused, read, tensor, values};
use crate::kernels::window::{Window, places};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, bail};
use std::sync::Arc;
use winners::{Winners, at_winners};

/// The largest value of each `size` x `size` window of x (N, H, W, C), `stride` apart, then `activation`: (N, H', W', C)
/// with H' = (H + 2 padding - size) / stride + 1, rounded down. As `torch.nn.functional.max_pool2d`: what is beyond the
/// image is no value, the gradient goes to the first maximum, NaN is larger than every number, and rows and columns that
/// fill no window are ignored. `padding` is at most half of `size`.
///
/// An activation that never falls is the same before and after the pooling, and after it there are fewer values.
pub fn max_pool2d(x: &Tensor, size: usize, stride: usize, padding: usize, activation: Activation) -> Result<Tensor> {
    let window = Pool { size, stride, padding }.window(x.dims())?;
    activation.check()?;
    if !is_fused(&[x]) || size > cpu::LARGEST {
        return naive(x, size, stride, padding, activation);
    }
    autograd::apply_op1(&x.contiguous()?, MaxPool { window, activation, winners: Arc::default() })
}

/// [`max_pool2d`] in candle's ops.
pub fn naive(x: &Tensor, size: usize, stride: usize, padding: usize, activation: Activation) -> Result<Tensor> {
    let window = Pool { size, stride, padding }.window(x.dims())?;
    let beyond = |dim: usize, x: &Tensor| {
        let mut dims = x.dims().to_vec();
        dims[dim] = padding;
        let edge = Tensor::full(f64::NEG_INFINITY, dims, x.device())?.to_dtype(x.dtype())?;
        Tensor::cat(&[&edge, x, &edge], dim)
    };
    let padded = if padding > 0 { beyond(2, &beyond(1, x)?)? } else { x.clone() };
    let every = |start: usize, count: usize| {
        let indexes = (0..count).map(|place| (start + place * stride) as u32).collect::<Vec<_>>();
        Tensor::new(indexes, x.device())
    };
    let mut largest: Option<Tensor> = None;
    for row in 0..size {
        let rows = padded.index_select(&every(row, window.down)?, 1)?;
        for column in 0..size {
            let value = rows.index_select(&every(column, window.across)?, 2)?; // (N, H', W', C)
            largest = Some(match largest {
                None => value,
                Some(largest) => {
                    let wins = (value.gt(&largest)? + value.ne(&value)?)?; // only NaN differs from itself
                    wins.where_cond(&value, &largest)?
                }
            });
        }
    }
    match largest {
        Some(largest) => activation::naive(&largest, activation),
        None => bail!("max_pool2d: windows of no pixel, of {:?}", x.dims()),
    }
}

/// The geometry of a pooling.
struct Pool {
    size: usize,
    stride: usize,
    padding: usize,
}

impl Pool {
    fn window(&self, x: &[usize]) -> Result<Window> {
        let Pool { size, stride, padding } = *self;
        if let &[images, height, width, channels] = x
            && size > 0
            && padding <= size / 2
            && let (Some(down), Some(across)) =
                (places(height, size, stride, padding), places(width, size, stride, padding))
        {
            return Ok(Window { images, height, width, channels, size, stride, padding, down, across });
        }
        bail!("max_pool2d: no windows of {size} x {size}, {stride} apart, padded by {padding}, in {x:?}")
    }
}

struct MaxPool {
    window: Window,
    activation: Activation,
    winners: Arc<Winners>,
}

impl autograd::Taped for MaxPool {
    fn saved(&self) -> autograd::Saved {
        match self.activation {
            Activation::Identity => autograd::Saved::Nothing,
            _ => autograd::Saved::Output,
        }
    }

    fn tangent(&self, _: &[&Tensor], output: &Tensor, tangents: &[Option<&Tensor>]) -> Result<Tensor> {
        match tangents {
            [Some(x)] => activation::times_slope(&at_winners(x, self.window, &self.winners)?, output, self.activation),
            _ => bail!("max_pool2d: expected the change of one argument"),
        }
    }
}

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Window { images, down, across, channels, .. } = self.window;
        let (output, winners) = cpu::forward(values(x, layout)?, &self.window, self.activation);
        self.winners.on_host.get_or_init(|| winners);
        Ok((CpuStorage::F32(output), Shape::from((images, down, across, channels))))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::of(&x.device)?;
        let (output, winners) = cuda::forward(&gpu, CudaArray::new(x, layout)?, &self.window)?;
        Epilogue { bias: None, activation: self.activation }.finish(&gpu, output.array())?;
        self.winners.on_cuda.get_or_init(|| winners);
        Ok(output.into_storage())
    }

    fn bwd(&self, x: &Tensor, output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        #[cfg(feature = "cuda")]
        if let (true, Some(winners)) = (x.track_op(), self.winners.on_cuda.get()) {
            let given = lend(&gradient.contiguous()?, |gpu, gradient| {
                let before = match self.activation {
                    Activation::Identity => None, // whose output is not kept
                    _ => Some(lend(output, |_, output| epilogue::gradient(gpu, gradient, output, self.activation))?),
                };
                let gradient = before.as_ref().map_or(gradient, Fresh::array);
                cuda::backward(gpu, gradient, winners.array(), &self.window)
            });
            return Ok(Some(given?.into_tensor()));
        }
        let (true, Some(winners)) = (x.track_op(), self.winners.on_host.get()) else { return Ok(None) };
        let no_values = Tensor::zeros(0, DType::F32, &Device::Cpu)?;
        let output = if self.activation == Activation::Identity { &no_values } else { output };
        let gradient = read(gradient, |gradient| {
            read(output, |output| cpu::backward(gradient, output, winners, &self.window, self.activation))
        })??;
        Ok(Some(tensor(gradient, x.dims())?))
    }
}
