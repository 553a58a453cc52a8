//! Rows scaled to one norm.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Gpu};
use crate::kernels::exclusion::shared;
use crate::kernels::storage::{is_fused, values};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};

/// Each row of x (N, ...), all of its values, rescaled to the L2 norm `norm`. A row of zeros stays. For directions:
/// no gradient goes through it.
pub fn rescale_to_norm(x: &Tensor, norm: f64) -> Result<Tensor> {
    let x = x.detach();
    if !is_fused(&[&x]) || x.dtype() != DType::F32 {
        return naive(&x, norm);
    }
    let x = x.contiguous()?;
    shared(|| x.apply_op1_no_bwd(&RescaleToNorm(norm)))
}

/// [`rescale_to_norm`] in candle's ops.
pub fn naive(x: &Tensor, norm: f64) -> Result<Tensor> {
    let rows = x.flatten_from(1)?; // (N, M)
    let norms = rows.sqr()?.sum_keepdim(1)?.sqrt()?; // (N, 1)
    // A quotient of 0 and 1 where both would be 0.
    let norms = (&norms + norms.eq(0.0)?.to_dtype(x.dtype())?)?;
    (rows.broadcast_div(&norms)? * norm)?.reshape(x.dims())
}

struct RescaleToNorm(f64);

impl CustomOp1 for RescaleToNorm {
    fn name(&self) -> &'static str {
        "rescale_to_norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let rescaled = cpu::rescaled(values(x, layout)?, layout.dims().first().copied().unwrap_or(1), self.0);
        Ok((CpuStorage::F32(rescaled), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::of(&x.device)?;
        Ok(cuda::rescaled(&gpu, CudaArray::new(x, layout)?, self.0)?.into_storage())
    }
}
