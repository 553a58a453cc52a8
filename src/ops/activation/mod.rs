//! Activations, alone or fused into the op before them.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod slope;

use crate::autograd;
use crate::kernels::activation::Activation;
use crate::kernels::cpu::epilogue::gradient_before;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Gpu, epilogue, lend};
use crate::kernels::storage::{is_fused, read, tensor, values};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
pub use slope::times_slope;

/// Applies `activation` to every element. NaN stays NaN.
pub fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    activation.check()?;
    if activation == Activation::Identity {
        return Ok(x.clone());
    }
    if !is_fused(&[x]) {
        return naive(x, activation);
    }
    autograd::apply_op1(&x.contiguous()?, Activate(activation))
}

/// [`activate`] in candle's ops. Not candle's relu, whose gradient at 0 is 1.
pub fn naive(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Identity => Ok(x.clone()),
        Activation::Relu => x.le(0f64)?.where_cond(&x.zeros_like()?, x),
        Activation::LeakyRelu(slope) => x.gt(0f64)?.where_cond(x, &(x * f64::from(slope))?),
        Activation::Tanh => x.tanh(),
    }
}

struct Activate(Activation);

impl autograd::Taped for Activate {
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Output
    }

    fn tangent(&self, _: &[&Tensor], output: &Tensor, tangents: &[Option<&Tensor>]) -> Result<Tensor> {
        match tangents {
            [Some(x)] => times_slope(x, output, self.0),
            _ => bail!("activate: expected the change of one argument"),
        }
    }
}

impl CustomOp1 for Activate {
    fn name(&self) -> &'static str {
        "activate"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(cpu::forward(values(x, layout)?, self.0)), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        Ok(cuda::forward(&*Gpu::of(&x.device)?, CudaArray::new(x, layout)?, self.0)?.into_storage())
    }

    fn bwd(&self, x: &Tensor, output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            let before = lend(&gradient.contiguous()?, |gpu, gradient| {
                lend(output, |_, output| epilogue::gradient(gpu, gradient, output, self.0))
            });
            return Ok(Some(before?.into_tensor()));
        }
        let gradient = read(gradient, |gradient| {
            read(output, |output| gradient_before(gradient, output, 1, self.0, false).0.into_owned())
        })??;
        Ok(Some(tensor(gradient, x.dims())?))
    }
}
