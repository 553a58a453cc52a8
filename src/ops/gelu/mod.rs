//! The Gaussian error linear unit.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use crate::autograd;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Fresh, Gpu, lend};
use crate::kernels::storage::{Array, is_fused, read, tensor};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};

/// x Φ(x), Φ being the distribution function of the standard normal: PyTorch's `gelu`, the exact one (Hendrycks and Gimpel,
/// 1606.08415).
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    match is_fused(&[x]) && x.dtype() == DType::F32 {
        true => autograd::apply_op1(&x.contiguous()?, Gelu),
        false => naive(x),
    }
}

/// [`gelu`] in candle's ops.
pub fn naive(x: &Tensor) -> Result<Tensor> {
    x.gelu_erf()
}

struct Gelu;

impl autograd::Taped for Gelu {
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Arguments
    }
}

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = Array::new(x, layout)?;
        Ok((CpuStorage::F32(cpu::forward(x.values)), Shape::from(x.dims)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        Ok(cuda::forward(&*Gpu::of(&x.device)?, CudaArray::new(x, layout)?)?.into_storage())
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            let for_x = lend(&gradient.contiguous()?, |gpu, gradient| lend(x, |_, x| cuda::backward(gpu, x, gradient)));
            return Ok(Some(Fresh::into_tensor(for_x?)));
        }
        let for_x = read(gradient, |gradient| read(x, |x| cpu::backward(x, gradient)))??;
        Ok(Some(tensor(for_x, x.dims())?))
    }
}
