//! A change of colour for each image of a batch: brightness, contrast, hue, saturation, all of them in one pass.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use crate::autograd;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Gpu, lend};
use crate::kernels::storage::{is_fused, read, tensor, values};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, bail};

/// Columns of a change of colour beside those of the channels: one is added, one is a multiple of the image's mean.
pub const EXTRA_COLUMNS: usize = 2;

/// Images (N, H, W, C), the pixels x of each replaced by A x + b + c m: (N, H, W, C). m is the mean of the image over all
/// its values, and its row of `matrices`, (N, C, C + 2) in f32, is A with the columns b and c behind it. Matrices have no
/// gradient.
pub fn recolour(images: &Tensor, matrices: &Tensor) -> Result<Tensor> {
    let (count, _, _, channels) = images.dims4()?;
    if matrices.dims() != [count, channels, channels + EXTRA_COLUMNS] || matrices.dtype() != DType::F32 {
        let (found, dtype) = (matrices.dims(), matrices.dtype());
        let expected = [count, channels, channels + EXTRA_COLUMNS];
        bail!("recolour: expected matrices {expected:?} in f32, found {found:?} in {dtype:?}")
    }
    if !is_fused(&[images]) || images.dtype() != DType::F32 {
        return naive(images, matrices);
    }
    autograd::apply_op2(&images.contiguous()?, &matrices.contiguous()?.detach(), Recolour)
}

/// [`recolour`] in candle's ops.
pub fn naive(images: &Tensor, matrices: &Tensor) -> Result<Tensor> {
    let (count, height, width, channels) = images.dims4()?;
    let pixels = images.reshape((count, height * width, channels))?;
    let columns = matrices.to_dtype(images.dtype())?.transpose(1, 2)?; // (N, C + 2, C)
    let mean = pixels.mean_keepdim((1, 2))?; // (N, 1, 1)
    let mixed = pixels.matmul(&columns.narrow(1, 0, channels)?.contiguous()?)?; // (N, H * W, C)
    let added = (columns.narrow(1, channels, 1)? + columns.narrow(1, channels + 1, 1)?.broadcast_mul(&mean)?)?;
    mixed.broadcast_add(&added)?.reshape(images.dims())
}

struct Recolour;

impl autograd::Taped for Recolour {
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Arguments
    }
}

impl CustomOp2 for Recolour {
    fn name(&self) -> &'static str {
        "recolour"
    }

    fn cpu_fwd(
        &self,
        images: &CpuStorage,
        layout: &Layout,
        matrices: &CpuStorage,
        matrices_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let matrices = values(matrices, matrices_layout)?;
        let recoloured = cpu::recoloured(values(images, layout)?, layout.shape().dims4()?, matrices);
        Ok((CpuStorage::F32(recoloured), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        images: &CudaStorage,
        layout: &Layout,
        matrices: &CudaStorage,
        matrices_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::of(&images.device)?;
        let (images, matrices) = (CudaArray::new(images, layout)?, CudaArray::new(matrices, matrices_layout)?);
        Ok(cuda::recoloured(&gpu, images, matrices)?.into_storage())
    }

    fn bwd(
        &self,
        images: &Tensor,
        matrices: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if !images.track_op() {
            return Ok((None, None));
        }
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            let given = lend(&gradient.contiguous()?, |gpu, gradient| {
                lend(matrices, |_, matrices| cuda::gradient(gpu, gradient, matrices))
            });
            return Ok((Some(given?.into_tensor()), None));
        }
        let (dims, matrices) = (images.dims4()?, read(matrices, <[f32]>::to_vec)?);
        let given = read(gradient, |gradient| cpu::gradient(gradient, dims, &matrices))?;
        Ok((Some(tensor(given, images.dims())?), None))
    }
}
