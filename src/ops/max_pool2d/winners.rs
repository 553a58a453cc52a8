//! The values of other images at the maxima of a pooling: how its output changes as its input does.

use super::cpu;
#[cfg(feature = "cuda")]
use super::cuda;
use crate::autograd;
use crate::kernels::activation::Activation;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Fresh, Gpu, lend};
use crate::kernels::storage::{read, tensor, values};
use crate::kernels::window::Window;
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use std::sync::{Arc, OnceLock};

/// Where the maxima are; written by the forward pass.
#[derive(Default)]
pub struct Winners {
    /// For each image the position in its window of each maximum, row after row.
    pub on_host: OnceLock<Vec<Vec<u8>>>,
    #[cfg(feature = "cuda")]
    pub on_cuda: OnceLock<Fresh>,
}

/// Of x (N, H, W, C) the values at the maxima: (N, H', W', C).
pub fn at_winners(x: &Tensor, window: Window, winners: &Arc<Winners>) -> Result<Tensor> {
    autograd::apply_op1(&x.contiguous()?, AtWinners { window, winners: winners.clone() })
}

struct AtWinners {
    window: Window,
    winners: Arc<Winners>,
}

impl autograd::Taped for AtWinners {
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Nothing
    }
}

impl CustomOp1 for AtWinners {
    fn name(&self) -> &'static str {
        "at_winners"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Window { images, down, across, channels, .. } = self.window;
        let Some(winners) = self.winners.on_host.get() else { bail!("max_pool2d: no maxima on the CPU") };
        let output = cpu::at_winners(values(x, layout)?, winners, &self.window);
        Ok((CpuStorage::F32(output), Shape::from((images, down, across, channels))))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let Some(winners) = self.winners.on_cuda.get() else { bail!("max_pool2d: no maxima on CUDA") };
        let gpu = Gpu::of(&x.device)?;
        Ok(cuda::at_winners(&gpu, CudaArray::new(x, layout)?, winners.array(), &self.window)?.into_storage())
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        #[cfg(feature = "cuda")]
        if let Some(winners) = self.winners.on_cuda.get() {
            let given = lend(&gradient.contiguous()?, |gpu, gradient| {
                cuda::backward(gpu, gradient, winners.array(), &self.window)
            });
            return Ok(Some(given?.into_tensor()));
        }
        let Some(winners) = self.winners.on_host.get() else { return Ok(None) };
        let of_x = |gradient: &[f32]| cpu::backward(gradient, &[], winners, &self.window, Activation::Identity);
        Ok(Some(tensor(read(gradient, of_x)?, x.dims())?))
    }
}
