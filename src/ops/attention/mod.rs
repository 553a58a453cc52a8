//! Scaled dot-product attention of all heads.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use crate::autograd;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Fresh, Gpu, lend};
use crate::kernels::storage::{Array, is_fused, read, tensor};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, D, DType, Layout, Result, Shape, Tensor, bail};

/// The sequences' queries, keys and values side by side (N, T, 3 D), each `heads` times D / heads wide: what each token
/// takes of the values, (N, T, D). A head is PyTorch's `scaled_dot_product_attention`, softmax(Q Kᵀ / √d) V (Vaswani et
/// al., 1706.03762, equation 1); the layout is that of timm's `Attention`, between `qkv` and `proj`.
pub fn attention(qkv: &Tensor, heads: usize) -> Result<Tensor> {
    let sizes = Sizes::of(qkv, heads)?;
    match is_fused(&[qkv]) && qkv.dtype() == DType::F32 {
        true => autograd::apply_op1(&qkv.contiguous()?, Attention(sizes)),
        false => naive(qkv, heads),
    }
}

/// [`attention`] in candle's ops.
pub fn naive(qkv: &Tensor, heads: usize) -> Result<Tensor> {
    let Sizes { tokens, width, heads } = Sizes::of(qkv, heads)?;
    let parts = qkv.reshape(((), tokens, 3, heads, width / heads))?.permute((2, 0, 3, 1, 4))?; // (3, N, heads, T, d)
    let part = |index: usize| parts.get(index)?.contiguous();
    let scores = (part(0)?.matmul(&part(1)?.t()?.contiguous()?)? / ((width / heads) as f64).sqrt())?; // (N, heads, T, T)
    let shares = candle_nn::ops::softmax(&scores, D::Minus1)?;
    let mixed = shares.matmul(&part(2)?)?.transpose(1, 2)?; // (N, T, heads, d)
    mixed.contiguous()?.reshape(((), tokens, width))
}

/// What decides an attention's arithmetic, beside the number of its sequences.
#[derive(Clone, Copy)]
struct Sizes {
    tokens: usize,
    /// D, of all heads together.
    width: usize,
    heads: usize,
}

impl Sizes {
    fn of(qkv: &Tensor, heads: usize) -> Result<Self> {
        match *qkv.dims() {
            [_, tokens, columns] if tokens > 0 && columns > 0 && heads > 0 && columns.is_multiple_of(3 * heads) => {
                Ok(Self { tokens, width: columns / 3, heads })
            }
            _ => bail!("attention: expected (N, T, 3 D) with D in {heads} heads, found {:?}", qkv.dims()),
        }
    }

    fn of_head(self) -> usize {
        self.width / self.heads
    }

    /// 1 / √d
    fn scale(self) -> f32 {
        (1.0 / (self.of_head() as f64).sqrt()) as f32
    }
}

struct Attention(Sizes);

impl autograd::Taped for Attention {
    /// The softmax is computed again: kept, it would take a third of what qkv takes, and of longer sequences more.
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Arguments
    }
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (qkv, Sizes { tokens, width, .. }) = (Array::new(qkv, layout)?, self.0);
        Ok((CpuStorage::F32(cpu::forward(qkv.values, self.0)), Shape::from((qkv.dims[0], tokens, width))))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, qkv: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        Ok(cuda::forward(&*Gpu::of(&qkv.device)?, CudaArray::new(qkv, layout)?, self.0)?.into_storage())
    }

    fn bwd(&self, qkv: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !qkv.track_op() {
            return Ok(None);
        }
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            let given = lend(&gradient.contiguous()?, |gpu, gradient| {
                lend(qkv, |_, qkv| cuda::backward(gpu, qkv, gradient, self.0))
            });
            return Ok(Some(Fresh::into_tensor(given?)));
        }
        let given = read(gradient, |gradient| read(qkv, |qkv| cpu::backward(qkv, gradient, self.0)))??;
        Ok(Some(tensor(given, qkv.dims())?))
    }
}
