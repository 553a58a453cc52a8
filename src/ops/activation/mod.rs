//! Activations, alone or fused into the op before them.

pub(crate) mod cpu;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;

use crate::autograd;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Gpu, lend};
use crate::kernels::storage::{is_fused, read, tensor, values};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

/// What is applied to the output of an op, fused into it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    Identity,
    /// max(x, 0); its gradient at 0 is 0, as PyTorch's.
    Relu,
    /// x where x > 0, else the slope times x. The slope must be finite and not negative.
    LeakyRelu(f32),
    Tanh,
}

impl Activation {
    /// Backward passes know the input's sign from the output's, so the slope must not turn it.
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Activation::LeakyRelu(slope) if !(slope >= 0.0 && slope.is_finite()) => {
                bail!("LeakyRelu: the slope must be finite and not negative, found {slope}")
            }
            _ => Ok(()),
        }
    }
}

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
                lend(output, |_, output| cuda::gradient(gpu, gradient, output, self.0))
            });
            return Ok(Some(before?.into_tensor()));
        }
        let gradient = read(gradient, |gradient| {
            read(output, |output| cpu::backward(gradient, output, 1, self.0, false).0.into_owned())
        })??;
        Ok(Some(tensor(gradient, x.dims())?))
    }
}
