//! Layer normalisation over the last dimension.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use crate::autograd;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Fresh, Gpu, lend};
use crate::kernels::storage::{Array, is_fused, read, tensor};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp3, D, DType, Layout, Result, Shape, Tensor, bail};

/// x (..., D) with each row at mean 0 and biased variance 1, times the weight (D) plus the bias (D): (..., D). PyTorch's
/// `layer_norm` (Ba et al., 1607.06450).
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let width = x.dims().last().copied().unwrap_or(0);
    if width == 0 || weight.dims() != [width] || bias.dims() != [width] {
        let (x, weight, bias) = (x.dims(), weight.dims(), bias.dims());
        bail!(
            "layer_norm: expected an input (.., D), a weight (D) and a bias (D), found {x:?}, {weight:?} and {bias:?}"
        )
    }
    if !is_fused(&[x, weight, bias]) || x.dtype() != DType::F32 {
        return naive(x, weight, bias, eps);
    }
    let op = LayerNorm { eps: eps as f32 };
    autograd::apply_op3(&x.contiguous()?, &weight.contiguous()?, &bias.contiguous()?, op)
}

/// [`layer_norm`] in candle's ops.
pub fn naive(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?; // (.., D)
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?; // (.., 1)
    let normalised = centred.broadcast_div(&(variance + eps)?.sqrt()?)?;
    normalised.broadcast_mul(weight)?.broadcast_add(bias)
}

struct LayerNorm {
    eps: f32,
}

impl autograd::Taped for LayerNorm {
    /// The moments are computed again: their row is then in the cache.
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Arguments
    }

    fn is_cheap(&self) -> bool {
        true
    }
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        weight: &CpuStorage,
        lw: &Layout,
        bias: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let [x, weight, bias] = [Array::new(x, lx)?, Array::new(weight, lw)?, Array::new(bias, lb)?];
        let output = cpu::forward(x.values, weight.values, bias.values, self.eps);
        Ok((CpuStorage::F32(output), Shape::from(x.dims)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        lx: &Layout,
        weight: &CudaStorage,
        lw: &Layout,
        bias: &CudaStorage,
        lb: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::of(&x.device)?;
        let [x, weight, bias] = [CudaArray::new(x, lx)?, CudaArray::new(weight, lw)?, CudaArray::new(bias, lb)?];
        Ok(cuda::forward(&gpu, [x, weight, bias], self.eps)?.into_storage())
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let given = self.gradients(x, weight, gradient)?;
        let [for_x, for_weight, for_bias] = given;
        let tracked = |argument: &Tensor, gradient: Tensor| argument.track_op().then_some(gradient);
        Ok((tracked(x, for_x), tracked(weight, for_weight), tracked(bias, for_bias)))
    }
}

impl LayerNorm {
    /// Of x, the weight and the bias.
    fn gradients(&self, x: &Tensor, weight: &Tensor, gradient: &Tensor) -> Result<[Tensor; 3]> {
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            let given = lend(&gradient.contiguous()?, |gpu, gradient| {
                lend(x, |_, x| lend(weight, |_, weight| cuda::backward(gpu, [x, weight, gradient], self.eps)))
            });
            return Ok(given?.map(Fresh::into_tensor));
        }
        let [for_x, for_weight, for_bias] = read(gradient, |gradient| {
            read(x, |x| read(weight, |weight| cpu::backward(x, weight, gradient, self.eps)))
        })???;
        Ok([tensor(for_x, x.dims())?, tensor(for_weight, weight.dims())?, tensor(for_bias, weight.dims())?])
    }
}
