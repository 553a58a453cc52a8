//! The first token of each sequence: what a transformer's features are read from.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use crate::autograd;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Gpu, lend};
use crate::kernels::storage::{Array, is_fused, read, tensor};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, bail};

/// The first of the tokens x (N, T, D): (N, D). As `x[:, 0]`.
pub fn first_token(x: &Tensor) -> Result<Tensor> {
    check(x)?;
    match is_fused(&[x]) && x.dtype() == DType::F32 {
        true => autograd::apply_op1(&x.contiguous()?, FirstToken),
        false => naive(x),
    }
}

/// [`first_token`] in candle's ops.
pub fn naive(x: &Tensor) -> Result<Tensor> {
    x.narrow(1, 0, 1)?.squeeze(1)?.contiguous()
}

fn check(x: &Tensor) -> Result<(usize, usize, usize)> {
    match *x.dims() {
        [count, tokens, width] if tokens > 0 && width > 0 => Ok((count, tokens, width)),
        _ => bail!("first_token: expected sequences (N, T, D), found {:?}", x.dims()),
    }
}

struct FirstToken;

impl autograd::Taped for FirstToken {
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Nothing
    }
}

impl CustomOp1 for FirstToken {
    fn name(&self) -> &'static str {
        "first_token"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = Array::new(x, layout)?;
        let (tokens, width) = (x.dims[1], x.dims[2]);
        Ok((CpuStorage::F32(cpu::forward(x.values, tokens * width, width)), Shape::from((x.dims[0], width))))
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
            let given = lend(&gradient.contiguous()?, |gpu, gradient| cuda::backward(gpu, gradient, x.dims()));
            return Ok(Some(given?.into_tensor()));
        }
        let (_, tokens, width) = check(x)?;
        let given = read(gradient, |gradient| cpu::backward(gradient, tokens * width, width))?;
        Ok(Some(tensor(given, x.dims())?))
    }
}
