//! Losses of scores that all have the same target: an adversarial game's.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use crate::autograd;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Gpu, lend};
use crate::kernels::storage::{is_fused, read, tensor, values};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};

/// mean(-t log σ(s) - (1 - t) log(1 - σ(s))) over scores s of any shape and a target t in [0, 1], as a scalar, in the
/// form max(s, 0) - s t + log(1 + exp(-|s|)), which is finite for any finite score. PyTorch's
/// `binary_cross_entropy_with_logits`.
pub fn bce_with_logits(scores: &Tensor, target: f64) -> Result<Tensor> {
    if !is_fused(&[scores]) || scores.dtype() != DType::F32 {
        return naive_bce_with_logits(scores, target);
    }
    autograd::apply_op1(&scores.contiguous()?, ScoreLoss { rule: Rule::CrossEntropy, target })
}

/// mean((s - t)²) / 2 over scores s of any shape and a target t, as a scalar.
pub fn half_mean_square(scores: &Tensor, target: f64) -> Result<Tensor> {
    if !is_fused(&[scores]) || scores.dtype() != DType::F32 {
        return naive_half_mean_square(scores, target);
    }
    autograd::apply_op1(&scores.contiguous()?, ScoreLoss { rule: Rule::HalfSquare, target })
}

/// mean(max(0, 1 - t s)) over scores s of any shape and a sign t, 1 or -1, as a scalar. Its gradient at the kink is 0, as
/// PyTorch's of `relu(1 - t * s).mean()`.
pub fn hinge(scores: &Tensor, sign: f64) -> Result<Tensor> {
    if !is_fused(&[scores]) || scores.dtype() != DType::F32 {
        return naive_hinge(scores, sign);
    }
    autograd::apply_op1(&scores.contiguous()?, ScoreLoss { rule: Rule::Hinge, target: sign })
}

/// `factor` times the mean of scores of any shape, as a scalar.
pub fn scaled_mean(scores: &Tensor, factor: f64) -> Result<Tensor> {
    if !is_fused(&[scores]) || scores.dtype() != DType::F32 {
        return naive_scaled_mean(scores, factor);
    }
    autograd::apply_op1(&scores.contiguous()?, ScoreLoss { rule: Rule::Product, target: factor })
}

/// [`bce_with_logits`] in candle's ops.
pub fn naive_bce_with_logits(scores: &Tensor, target: f64) -> Result<Tensor> {
    let softplus_of_minus_abs = (scores.abs()?.neg()?.exp()? + 1.0)?.log()?;
    ((scores.relu()? - (scores * target)?)? + softplus_of_minus_abs)?.mean_all()
}

/// [`half_mean_square`] in candle's ops.
pub fn naive_half_mean_square(scores: &Tensor, target: f64) -> Result<Tensor> {
    (scores - target)?.sqr()?.mean_all()? * 0.5
}

/// [`hinge`] in candle's ops. Not candle's relu, whose gradient at 0 is 1.
pub fn naive_hinge(scores: &Tensor, sign: f64) -> Result<Tensor> {
    let margins = ((scores * -sign)? + 1.0)?;
    margins.le(0f64)?.where_cond(&margins.zeros_like()?, &margins)?.mean_all()
}

/// [`scaled_mean`] in candle's ops.
pub fn naive_scaled_mean(scores: &Tensor, factor: f64) -> Result<Tensor> {
    scores.mean_all()? * factor
}

/// What one score adds to the mean.
#[derive(Clone, Copy)]
enum Rule {
    CrossEntropy,
    HalfSquare,
    Hinge,
    Product,
}

struct ScoreLoss {
    rule: Rule,
    target: f64,
}

impl autograd::Taped for ScoreLoss {
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Arguments
    }
}

impl CustomOp1 for ScoreLoss {
    fn name(&self) -> &'static str {
        "score_loss"
    }

    fn cpu_fwd(&self, scores: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let loss = cpu::mean(self.rule, values(scores, layout)?, self.target);
        Ok((CpuStorage::F32(vec![loss as f32]), Shape::from(())))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, scores: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::of(&scores.device)?;
        Ok(cuda::mean(&gpu, self.rule, CudaArray::new(scores, layout)?, self.target)?.into_storage())
    }

    fn bwd(&self, scores: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !scores.track_op() {
            return Ok(None);
        }
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            let given = lend(&gradient.contiguous()?, |gpu, gradient| {
                lend(scores, |_, scores| cuda::gradient(gpu, self.rule, scores, self.target, gradient))
            });
            return Ok(Some(given?.into_tensor()));
        }
        let factor = f64::from(read(gradient, |gradient| gradient[0])?);
        let gradient = read(scores, |scores| cpu::gradient(self.rule, scores, self.target, factor))?;
        Ok(Some(tensor(gradient, scores.dims())?))
    }
}
