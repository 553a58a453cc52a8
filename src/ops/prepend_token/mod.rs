//! What a transformer of pictures begins with: a token before the patches, and a position added to each.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use crate::autograd;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Fresh, Gpu, lend};
use crate::kernels::storage::{Array, is_fused, read, tensor};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Tensor, bail};

/// `patches` (N, P, D) behind `token` (1, 1, D), with `positions` (1, P + 1, D) added: (N, P + 1, D). timm's `_pos_embed`
/// (Dosovitskiy et al., 2010.11929, equation 1).
pub fn prepend_token(patches: &Tensor, token: &Tensor, positions: &Tensor) -> Result<Tensor> {
    check(patches, token, positions)?;
    if !is_fused(&[patches, token, positions]) || patches.dtype() != DType::F32 {
        return naive(patches, token, positions);
    }
    autograd::apply_op3(&patches.contiguous()?, &token.contiguous()?, &positions.contiguous()?, PrependToken)
}

/// [`prepend_token`] in candle's ops.
pub fn naive(patches: &Tensor, token: &Tensor, positions: &Tensor) -> Result<Tensor> {
    let (count, _, width) = patches.dims3()?;
    Tensor::cat(&[&token.broadcast_as((count, 1, width))?, patches], 1)?.broadcast_add(positions)
}

fn check(patches: &Tensor, token: &Tensor, positions: &Tensor) -> Result<()> {
    match *patches.dims() {
        [_, count, width]
            if count > 0 && width > 0 && token.dims() == [1, 1, width] && positions.dims() == [1, count + 1, width] =>
        {
            Ok(())
        }
        _ => bail!(
            "prepend_token: expected patches (N, P, D), a token (1, 1, D) and positions (1, P + 1, D), found {:?}, {:?} and {:?}",
            patches.dims(),
            token.dims(),
            positions.dims()
        ),
    }
}

struct PrependToken;

impl autograd::Taped for PrependToken {
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Nothing
    }
}

/// The shape of the output.
fn output_dims(patches: &[usize], positions: &[usize]) -> Shape {
    Shape::from((patches[0], positions[1], positions[2]))
}

impl CustomOp3 for PrependToken {
    fn name(&self) -> &'static str {
        "prepend_token"
    }

    fn cpu_fwd(
        &self,
        patches: &CpuStorage,
        of_patches: &Layout,
        token: &CpuStorage,
        of_token: &Layout,
        positions: &CpuStorage,
        of_positions: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (patches, token) = (Array::new(patches, of_patches)?, Array::new(token, of_token)?);
        let positions = Array::new(positions, of_positions)?;
        let output = cpu::forward(patches.values, token.values, positions.values);
        Ok((CpuStorage::F32(output), output_dims(patches.dims, positions.dims)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        patches: &CudaStorage,
        of_patches: &Layout,
        token: &CudaStorage,
        of_token: &Layout,
        positions: &CudaStorage,
        of_positions: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::of(&patches.device)?;
        let (patches, token) = (CudaArray::new(patches, of_patches)?, CudaArray::new(token, of_token)?);
        let positions = CudaArray::new(positions, of_positions)?;
        Ok(cuda::forward(&gpu, patches, token, positions)?.into_storage())
    }

    fn bwd(
        &self,
        patches: &Tensor,
        token: &Tensor,
        positions: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (for_patches, for_positions) = gradients(patches, positions, gradient)?;
        let for_token = for_positions.narrow(1, 0, 1)?;
        let tracked = |argument: &Tensor, gradient: Tensor| argument.track_op().then_some(gradient);
        Ok((for_patches, tracked(token, for_token), tracked(positions, for_positions)))
    }
}

/// Of the patches, where they are tracked, and of the positions.
fn gradients(patches: &Tensor, positions: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Tensor)> {
    #[cfg(feature = "cuda")]
    if gradient.device().is_cuda() {
        return lend(&gradient.contiguous()?, |gpu, gradient| {
            let for_patches =
                patches.track_op().then(|| cuda::for_patches(gpu, gradient, patches.dims())).transpose()?;
            let for_positions = cuda::for_positions(gpu, gradient, positions.dims())?;
            Ok((for_patches.map(Fresh::into_tensor), for_positions.into_tensor()))
        });
    }
    let (_, tokens, width) = positions.dims3()?;
    read(gradient, |gradient| {
        let for_patches = || tensor(cpu::for_patches(gradient, tokens * width, width), patches.dims());
        let for_positions = tensor(cpu::for_positions(gradient, tokens * width), positions.dims())?;
        Ok((patches.track_op().then(for_patches).transpose()?, for_positions))
    })?
}
