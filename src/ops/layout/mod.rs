//! Between images with the channels last, as the ops take them, and with the channels first, as PyTorch keeps them.

#[cfg(feature = "cuda")]
mod cuda;

use crate::autograd;
use crate::kernels::cpu::transpose;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Gpu, lend};
use crate::kernels::storage::{is_fused, read, tensor, values};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

/// x (N, H, W, C) as (N, C, H, W), contiguous.
pub fn channels_first(x: &Tensor) -> Result<Tensor> {
    let (count, height, width, channels) = x.dims4()?;
    autograd::reshape(&transposed(x, (count, height * width, channels))?, (count, channels, height, width))
}

/// x (N, C, H, W) as (N, H, W, C), contiguous.
pub fn channels_last(x: &Tensor) -> Result<Tensor> {
    let (count, channels, height, width) = x.dims4()?;
    autograd::reshape(&transposed(x, (count, channels, height * width))?, (count, height, width, channels))
}

/// x as (N, A, B), each of the N matrices transposed: (N, B, A). candle's own copy of a transposed tensor is slow.
fn transposed(x: &Tensor, shape: (usize, usize, usize)) -> Result<Tensor> {
    let x = autograd::reshape(&x.contiguous()?, shape)?;
    if shape.1 == 1 || shape.2 == 1 {
        Ok(x)
    } else if is_fused(&[&x]) {
        autograd::apply_op1(&x, Transpose)
    } else {
        x.transpose(1, 2)?.contiguous()
    }
}

struct Transpose;

impl autograd::Taped for Transpose {
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Nothing
    }

    fn tangent(&self, _: &[&Tensor], _: &Tensor, tangents: &[Option<&Tensor>]) -> Result<Tensor> {
        match tangents {
            [Some(x)] => autograd::apply_op1(&x.contiguous()?, Transpose),
            _ => bail!("transpose: expected the change of one argument"),
        }
    }
}

impl CustomOp1 for Transpose {
    fn name(&self) -> &'static str {
        "transpose"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (count, rows, columns) = layout.shape().dims3()?;
        let output = transpose::transpose_each(values(x, layout)?, rows, columns);
        Ok((CpuStorage::F32(output), Shape::from((count, columns, rows))))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let dims = layout.shape().dims3()?;
        Ok(cuda::transpose_each(&*Gpu::of(&x.device)?, CudaArray::new(x, layout)?, dims)?.into_storage())
    }

    fn bwd(&self, x: &Tensor, output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (_, rows, columns) = output.dims3()?;
        if !x.track_op() {
            return Ok(None);
        }
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            let dims = output.dims3()?;
            let turned = lend(&gradient.contiguous()?, |gpu, gradient| cuda::transpose_each(gpu, gradient, dims));
            return Ok(Some(turned?.reshaped(x.dims()).into_tensor()));
        }
        let gradient = read(gradient, |gradient| transpose::transpose_each(gradient, rows, columns))?;
        Ok(Some(tensor(gradient, x.dims())?))
    }
}
