use crate::autograd;
use crate::kernels::activation::Activation;
use crate::kernels::cpu::epilogue::gradient_before;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Gpu, epilogue, lend};
use crate::kernels::storage::{read, tensor, values};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

/// x times the slope of `activation` where it gives `output`, values of the same shape: what a change x before the activation
/// is behind it. No gradient goes to the output, since between its kinks the activation is linear; tanh is refused.
pub fn times_slope(x: &Tensor, output: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Identity => Ok(x.clone()),
        Activation::Relu | Activation::LeakyRelu(_) => {
            autograd::apply_op2(&x.contiguous()?, &output.detach().contiguous()?, TimesSlope(activation))
        }
        Activation::Tanh => bail!("tanh: no derivative along a direction"),
    }
}

/// Linear in x, and its own backward pass.
struct TimesSlope(Activation);

impl autograd::Taped for TimesSlope {
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Arguments
    }
}

impl CustomOp2 for TimesSlope {
    fn name(&self) -> &'static str {
        "times_slope"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, output: &CpuStorage, lo: &Layout) -> Result<(CpuStorage, Shape)> {
        let (sloped, _) = gradient_before(values(x, lx)?, values(output, lo)?, 1, self.0, false);
        Ok((CpuStorage::F32(sloped.into_owned()), lx.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        lx: &Layout,
        output: &CudaStorage,
        lo: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::of(&x.device)?;
        let (x, output) = (CudaArray::new(x, lx)?, CudaArray::new(output, lo)?);
        Ok(epilogue::gradient(&gpu, x, output, self.0)?.into_storage())
    }

    fn bwd(
        &self,
        x: &Tensor,
        output: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if !x.track_op() {
            return Ok((None, None));
        }
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            let before = lend(&gradient.contiguous()?, |gpu, gradient| {
                lend(output, |_, output| epilogue::gradient(gpu, gradient, output, self.0))
            });
            return Ok((Some(before?.into_tensor()), None));
        }
        let gradient = read(gradient, |gradient| {
            read(output, |output| gradient_before(gradient, output, 1, self.0, false).0.into_owned())
        })??;
        Ok((Some(tensor(gradient, x.dims())?), None))
    }
}
