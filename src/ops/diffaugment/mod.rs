//! Differentiable augmentation of a batch: each image moved, and a square of it cut out (Zhao et al., "Differentiable
//! augmentation for data-efficient GAN training", 2006.10738, section 3).

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use crate::autograd;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Gpu, lend};
use crate::kernels::storage::{is_fused, read, tensor, values};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Storage, Tensor, bail};

/// Numbers that are drawn for an image.
pub const DRAWN: usize = 4;

/// What is drawn for an image: how many pixels it moves down and to the right, and the row and column where the square
/// that is cut out of the moved image begins. Any of them may be negative.
pub type Draw = [i64; DRAWN];

/// Images (N, H, W, C), each moved as its row of `draws` says, (N, 4) in i64 ([`Draw`]), and then `cut` x `cut` pixels of
/// it taken out: (N, H, W, C). Pixels that nothing moves to and those cut out are `fill`. A gradient goes back to the
/// pixels that are still to be seen.
pub fn diffaugment(images: &Tensor, draws: &Tensor, cut: usize, fill: f32) -> Result<Tensor> {
    let dims = images.dims4()?;
    if draws.dims() != [dims.0, DRAWN] || draws.dtype() != DType::I64 {
        bail!("diffaugment: expected draws [{}, 4] in i64, found {:?} in {:?}", dims.0, draws.dims(), draws.dtype())
    }
    if !is_fused(&[images]) || images.dtype() != DType::F32 {
        return naive(images, draws, cut, fill);
    }
    autograd::apply_op2(&images.contiguous()?, &draws.contiguous()?, Moved { cut, fill })
}

/// [`diffaugment`] in candle's ops. The host waits for the draws.
pub fn naive(images: &Tensor, draws: &Tensor, cut: usize, fill: f32) -> Result<Tensor> {
    let (count, height, width, channels) = images.dims4()?;
    let area = height * width;
    let mut sources = Vec::with_capacity(count * area);
    for draw in draws.to_vec2::<i64>()? {
        let (down, right, top, left) = (draw[0], draw[1], draw[2], draw[3]);
        for pixel in 0..area {
            let (y, x) = ((pixel / width) as i64, (pixel % width) as i64);
            let is_cut = (top..top + cut as i64).contains(&y) && (left..left + cut as i64).contains(&x);
            let (y, x) = (y - down, x - right);
            let is_there = (0..height as i64).contains(&y) && (0..width as i64).contains(&x);
            // One pixel more than an image has is the fill.
            sources.push(if is_there && !is_cut { y as u32 * width as u32 + x as u32 } else { area as u32 });
        }
    }
    let sources = Tensor::from_vec(sources, (count, area, 1), images.device())?;
    let sources = sources.broadcast_as((count, area, channels))?.contiguous()?;
    let fill = Tensor::full(fill, (count, 1, channels), images.device())?.to_dtype(images.dtype())?;
    let filled = Tensor::cat(&[&images.reshape((count, area, channels))?, &fill], 1)?;
    filled.gather(&sources, 1)?.reshape((count, height, width, channels))
}

/// Which way pixels go: as drawn, or, in the backward pass, back. A move is its own transpose but for that.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Forth,
    Back,
}

struct Moved {
    cut: usize,
    fill: f32,
}

impl autograd::Taped for Moved {
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Arguments
    }
}

/// The draws that a tensor on the CPU holds.
fn draws_of<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [Draw]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::I64(draws), Some((start, end))) => Ok(draws[start..end].as_chunks::<DRAWN>().0),
        _ => bail!("expected contiguous draws in i64, found {layout:?}"),
    }
}

impl CustomOp2 for Moved {
    fn name(&self) -> &'static str {
        "diffaugment"
    }

    fn cpu_fwd(
        &self,
        images: &CpuStorage,
        layout: &Layout,
        draws: &CpuStorage,
        draws_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (draws, cut) = (draws_of(draws, draws_layout)?, self.cut as i64);
        let moved = cpu::moved(values(images, layout)?, layout.shape().dims4()?, draws, Way::Forth, cut, self.fill);
        Ok((CpuStorage::F32(moved), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        images: &CudaStorage,
        layout: &Layout,
        draws: &CudaStorage,
        draws_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::of(&images.device)?;
        let (images, draws) = (CudaArray::new(images, layout)?, CudaArray::new(draws, draws_layout)?);
        Ok(cuda::moved(&gpu, images, draws, Way::Forth, self.cut, self.fill)?.into_storage())
    }

    fn bwd(
        &self,
        images: &Tensor,
        draws: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if !images.track_op() {
            return Ok((None, None));
        }
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            let given = lend(&gradient.contiguous()?, |gpu, gradient| {
                lend(draws, |_, draws| cuda::moved(gpu, gradient, draws, Way::Back, self.cut, 0.0))
            });
            return Ok((Some(given?.into_tensor()), None));
        }
        let (storage, layout) = draws.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else { bail!("expected draws on the CPU") };
        let (draws, dims, cut) = (draws_of(storage, layout)?, images.dims4()?, self.cut as i64);
        let given = read(gradient, |gradient| cpu::moved(gradient, dims, draws, Way::Back, cut, 0.0))?;
        Ok((Some(tensor(given, images.dims())?), None))
    }
}
