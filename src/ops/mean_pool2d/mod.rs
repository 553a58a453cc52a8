//! The mean over an image's places: what a ResNet ends in.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use crate::autograd;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Gpu, lend};
use crate::kernels::storage::{is_fused, read, tensor, values};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

/// The mean over height and width of x (N, H, W, C): (N, C). As `torch.nn.AdaptiveAvgPool2d(1)`, flattened.
pub fn mean_pool2d(x: &Tensor) -> Result<Tensor> {
    check(x)?;
    if !is_fused(&[x]) {
        return naive(x);
    }
    autograd::apply_op1(&x.contiguous()?, MeanPool)
}

/// [`mean_pool2d`] in candle's ops.
pub fn naive(x: &Tensor) -> Result<Tensor> {
    let (count, places, channels) = check(x)?;
    x.reshape((count, places, channels))?.mean(1)
}

fn check(x: &Tensor) -> Result<(usize, usize, usize)> {
    match *x.dims() {
        [count, height, width, channels] if height * width > 0 => Ok((count, height * width, channels)),
        _ => bail!("mean_pool2d: expected an input (N, H, W, C) of at least 1 x 1, found {:?}", x.dims()),
    }
}

struct MeanPool;

impl autograd::Taped for MeanPool {
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Nothing
    }

    fn tangent(&self, _: &[&Tensor], _: &Tensor, tangents: &[Option<&Tensor>]) -> Result<Tensor> {
        match tangents {
            [Some(x)] => mean_pool2d(x),
            _ => bail!("mean_pool2d: expected the change of one argument"),
        }
    }
}

impl CustomOp1 for MeanPool {
    fn name(&self) -> &'static str {
        "mean_pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (count, height, width, channels) = layout.shape().dims4()?;
        let output = cpu::forward(values(x, layout)?, height * width, channels);
        Ok((CpuStorage::F32(output), Shape::from((count, channels))))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (count, height, width, channels) = layout.shape().dims4()?;
        let dims = (count, height * width, channels);
        Ok(cuda::forward(&*Gpu::of(&x.device)?, CudaArray::new(x, layout)?, dims)?.into_storage())
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            let given =
                lend(&gradient.contiguous()?, |gpu, gradient| cuda::backward(gpu, gradient, x.dims(), x.dtype()));
            return Ok(Some(given?.into_tensor()));
        }
        let (_, places, channels) = check(x)?;
        let gradient = read(gradient, |gradient| cpu::backward(gradient, places, channels))?;
        Ok(Some(tensor(gradient, x.dims())?))
    }
}
