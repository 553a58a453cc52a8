//! SimCLR's contrastive loss, from the embeddings to a scalar.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use crate::autograd;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Fresh, Gpu, lend};
use crate::kernels::storage::{Array, is_fused, read, tensor};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, D, DType, Layout, Result, Shape, Tensor, bail};
use std::ops::Range;
use std::sync::OnceLock;

/// Keeps the direction of an embedding defined, and its gradient finite, where its length is 0.
const EPS: f64 = 1e-24;

/// The normalised temperature-scaled cross-entropy of 2N embeddings, two views of N images: `left` (N, D) and `right`
/// (N, D), row k of each a view of image k. A scalar (Chen et al., 2002.05709, equation 1 and algorithm 1).
///
/// With s(i, j) the cosine of embeddings i and j, the loss of i with its other view j is
/// -log(exp(s(i, j) / t) / Σ_{k ≠ i} exp(s(i, k) / t)), and the loss is its mean over all 2N embeddings.
///
/// It is finite for any temperature above 0 and embeddings of any length: each row's largest similarity is taken out
/// before the exponential.
pub fn nt_xent(left: &Tensor, right: &Tensor, temperature: f64) -> Result<Tensor> {
    check(left, right, temperature)?;
    if !is_fused(&[left, right]) || left.dtype() != DType::F32 {
        return naive(left, right, temperature);
    }
    let op = NtXent {
        temperature,
        views: OnceLock::new(),
        #[cfg(feature = "cuda")]
        views_on_cuda: OnceLock::new(),
    };
    autograd::apply_op2(&left.contiguous()?, &right.contiguous()?, op)
}

/// [`nt_xent`] in candle's ops.
pub fn naive(left: &Tensor, right: &Tensor, temperature: f64) -> Result<Tensor> {
    let count = check(left, right, temperature)?;
    let directions = normalised(&Tensor::cat(&[left, right], 0)?)?; // (2N, D)
    let logits = (directions.matmul(&directions.t()?)? * (1.0 / temperature))?; // (2N, 2N)
    let others = without_diagonal(&logits)?; // (2N, 2N), -inf where a view meets itself
    let largest = others.max_keepdim(D::Minus1)?.detach(); // (2N, 1)
    let log_sum = (others.broadcast_sub(&largest)?.exp()?.sum_keepdim(D::Minus1)?.log()? + largest)?; // (2N, 1)
    let (of_left, of_right) = (directions.narrow(0, 0, count)?, directions.narrow(0, count, count)?);
    let positive = ((of_left * of_right)?.sum_keepdim(D::Minus1)? * (1.0 / temperature))?; // (N, 1)
    // Both views of a pair have the same positive.
    log_sum.mean_all()? - positive.mean_all()?
}

/// Each row of x (N, D) divided by its length, in candle's ops.
pub fn normalised(x: &Tensor) -> Result<Tensor> {
    x.broadcast_div(&(x.sqr()?.sum_keepdim(D::Minus1)? + EPS)?.sqrt()?)
}

fn without_diagonal(x: &Tensor) -> Result<Tensor> {
    let count = x.dim(0)?;
    let diagonal: Vec<u8> = (0..count * count).map(|place| u8::from(place / count == place % count)).collect();
    let diagonal = Tensor::from_vec(diagonal, (count, count), x.device())?;
    diagonal.where_cond(&(x.ones_like()? * f64::NEG_INFINITY)?, x)
}

fn check(left: &Tensor, right: &Tensor, temperature: f64) -> Result<usize> {
    if !(temperature > 0.0 && temperature.is_finite()) {
        bail!("nt_xent: the temperature must be above 0, found {temperature}")
    }
    match *left.dims() {
        [count, dim] if count > 0 && dim > 0 && left.dims() == right.dims() => Ok(count),
        _ => bail!("nt_xent: expected two (N, D) of one shape, found {:?} and {:?}", left.dims(), right.dims()),
    }
}

struct NtXent {
    temperature: f64,
    /// Written by the forward pass.
    views: OnceLock<cpu::Views>,
    #[cfg(feature = "cuda")]
    views_on_cuda: OnceLock<cuda::Views>,
}

impl autograd::Taped for NtXent {
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Arguments
    }
}

impl CustomOp2 for NtXent {
    fn name(&self) -> &'static str {
        "nt_xent"
    }

    fn cpu_fwd(&self, left: &CpuStorage, ll: &Layout, right: &CpuStorage, lr: &Layout) -> Result<(CpuStorage, Shape)> {
        let (left, right) = (Array::new(left, ll)?, Array::new(right, lr)?);
        let (loss, views) = cpu::forward([left.values, right.values].concat(), left.dims[1], self.temperature);
        self.views.get_or_init(|| views);
        Ok((CpuStorage::F32(vec![loss]), Shape::from(())))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        left: &CudaStorage,
        ll: &Layout,
        right: &CudaStorage,
        lr: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::of(&left.device)?;
        let (left, right) = (CudaArray::new(left, ll)?, CudaArray::new(right, lr)?);
        let (loss, views) = cuda::forward(&gpu, left, right, self.temperature)?;
        self.views_on_cuda.get_or_init(|| views);
        Ok(loss.into_storage())
    }

    fn bwd(
        &self,
        left: &Tensor,
        right: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        #[cfg(feature = "cuda")]
        if let Some(views) = self.views_on_cuda.get() {
            let (count, _) = left.dims2()?;
            return lend(&gradient.contiguous()?, |gpu, gradient| {
                let of_directions = views.of_directions(gpu)?;
                let of = |side: &Tensor, rows: Range<usize>| {
                    let given = || views.gradient(gpu, of_directions.array(), rows, self.temperature, gradient);
                    side.track_op().then(given).transpose().map(|given| given.map(Fresh::into_tensor))
                };
                Ok((of(left, 0..count)?, of(right, count..2 * count)?))
            });
        }
        let Some(views) = self.views.get() else { return Ok((None, None)) };
        let (count, _) = left.dims2()?;
        let factor = f64::from(read(gradient, |gradient| gradient[0])?);
        let of = |side: &Tensor, rows: Range<usize>| {
            let gradient = || tensor(views.gradient(rows, self.temperature, factor), side.dims());
            side.track_op().then(gradient).transpose()
        };
        Ok((of(left, 0..count)?, of(right, count..2 * count)?))
    }
}
