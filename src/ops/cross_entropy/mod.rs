//! The cross-entropy of scores with class labels: a classifier's loss.

mod cpu;
#[cfg(feature = "cuda")]
pub(super) mod cuda;
pub(super) mod row;

use crate::autograd;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Fresh, lend};
use crate::kernels::storage::{is_fused, read, tensor, values};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, D, DType, Layout, Result, Shape, Tensor, bail};
use std::sync::OnceLock;

/// The mean cross-entropy of scores (N, C), before any softmax, with class indices (N), u32. PyTorch's `cross_entropy`;
/// a scalar, finite for any finite score. A label that is no class is an error; on CUDA, where the host would have to wait
/// to see it, the loss is NaN.
pub fn cross_entropy(scores: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let classes = check(scores, labels)?;
    if !is_fused(&[scores]) || scores.dtype() != DType::F32 {
        return naive(scores, labels);
    }
    #[cfg(feature = "cuda")]
    if scores.device().is_cuda() {
        let labels = labels.to_dtype(DType::U32)?.contiguous()?;
        let op = CrossEntropyOnCuda { labels, slopes: OnceLock::new() };
        return autograd::apply_op1(&scores.contiguous()?, op);
    }
    let labels = labels.to_vec1::<u32>()?;
    if let Some(label) = labels.iter().find(|label| **label as usize >= classes) {
        bail!("cross_entropy: found label {label} for scores {:?}", scores.dims())
    }
    autograd::apply_op1(&scores.contiguous()?, CrossEntropy { labels, slopes: OnceLock::new() })
}

/// [`cross_entropy`] in candle's ops.
pub fn naive(scores: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let largest = scores.max_keepdim(D::Minus1)?.detach(); // (N, 1)
    let shifted = scores.broadcast_sub(&largest)?; // (N, C)
    let log_sum = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?; // (N, 1)
    let of_label = shifted.gather(&labels.unsqueeze(1)?, 1)?; // (N, 1)
    (log_sum - of_label)?.mean_all()
}

fn check(scores: &Tensor, labels: &Tensor) -> Result<usize> {
    match *scores.dims() {
        [count, classes] if count > 0 && classes > 0 && labels.dims() == [count] => Ok(classes),
        _ => {
            let (scores, labels) = (scores.dims(), labels.dims());
            bail!("cross_entropy: expected scores (N, C) and labels (N), found {scores:?} and {labels:?}")
        }
    }
}

struct CrossEntropy {
    labels: Vec<u32>,
    /// The gradient of each row's loss (N, C); written by the forward pass.
    slopes: OnceLock<Vec<f32>>,
}

impl autograd::Taped for CrossEntropy {
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Nothing
    }
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn cpu_fwd(&self, scores: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (loss, slopes) = cpu::forward(values(scores, layout)?, &self.labels);
        self.slopes.get_or_init(|| slopes);
        Ok((CpuStorage::F32(vec![loss as f32]), Shape::from(())))
    }

    fn bwd(&self, scores: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (true, Some(slopes)) = (scores.track_op(), self.slopes.get()) else { return Ok(None) };
        let share = read(gradient, |gradient| gradient[0])? / self.labels.len() as f32;
        Ok(Some(tensor(cpu::scaled(slopes, share), scores.dims())?))
    }
}

/// The same where the labels are on the device.
#[cfg(feature = "cuda")]
struct CrossEntropyOnCuda {
    labels: Tensor,
    slopes: OnceLock<Fresh>,
}

#[cfg(feature = "cuda")]
impl autograd::Taped for CrossEntropyOnCuda {
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Nothing
    }
}

#[cfg(feature = "cuda")]
impl CustomOp1 for CrossEntropyOnCuda {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        bail!("cross_entropy: the labels are on a GPU, the scores are not")
    }

    fn cuda_fwd(&self, scores: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let scores = CudaArray::new(scores, layout)?;
        let (loss, slopes) = lend(&self.labels, |gpu, labels| cuda::forward(gpu, scores, labels))?;
        self.slopes.get_or_init(|| slopes);
        Ok(loss.into_storage())
    }

    fn bwd(&self, scores: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (true, Some(slopes)) = (scores.track_op(), self.slopes.get()) else { return Ok(None) };
        let given = lend(&gradient.contiguous()?, |gpu, gradient| cuda::scaled(gpu, slopes.array(), gradient));
        Ok(Some(given?.into_tensor()))
    }
}
