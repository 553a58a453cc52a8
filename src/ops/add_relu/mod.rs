//! The end of a residual block: the sum of its two branches, then ReLU.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use super::activation;
use crate::autograd;
use crate::kernels::activation::Activation;
use crate::kernels::cpu::epilogue::gradient_before;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Gpu, epilogue, lend};
use crate::kernels::storage::{Array, is_fused, is_host, read, tensor};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

/// max(x + y, 0) for two tensors of one shape. The gradient at 0 is 0, as PyTorch's; NaN stays NaN.
pub fn add_relu(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    if x.dims() != y.dims() {
        bail!("add_relu: expected two tensors of one shape, found {:?} and {:?}", x.dims(), y.dims())
    }
    if !is_fused(&[x, y]) || x.dtype() != y.dtype() {
        return naive(x, y);
    }
    autograd::apply_op2(&x.contiguous()?, &y.contiguous()?, AddRelu)
}

/// [`add_relu`] in candle's ops.
pub fn naive(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    activation::naive(&(x + y)?, Activation::Relu)
}

struct AddRelu;

impl autograd::Taped for AddRelu {
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Output
    }

    /// The output of a block goes into the next one's convolutions and past them: it has two gradients.
    fn bwd_of_sum(
        &self,
        arguments: &[&Tensor],
        output: &Tensor,
        gradients: [&Tensor; 2],
    ) -> Result<Option<autograd::Grads>> {
        let [first, second] = gradients;
        if !is_host(&[output, first, second]) {
            return Ok(None);
        }
        let sum =
            |first: &[f32]| read(second, |second| read(output, |output| cpu::gradient_of_sum([first, second], output)));
        let gradient = tensor(read(first, sum)???, output.dims())?;
        Ok(Some(arguments.iter().map(|argument| argument.track_op().then(|| gradient.clone())).collect()))
    }
}

impl CustomOp2 for AddRelu {
    fn name(&self) -> &'static str {
        "add_relu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, y: &CpuStorage, ly: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, y) = (Array::new(x, lx)?, Array::new(y, ly)?);
        Ok((CpuStorage::F32(cpu::forward(x.values, y.values)), Shape::from(x.dims)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, lx: &Layout, y: &CudaStorage, ly: &Layout) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::of(&x.device)?;
        Ok(cuda::forward(&gpu, CudaArray::new(x, lx)?, CudaArray::new(y, ly)?)?.into_storage())
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            let given = lend(&gradient.contiguous()?, |gpu, gradient| {
                lend(output, |_, output| epilogue::gradient(gpu, gradient, output, Activation::Relu))
            });
            let given = given?.into_tensor();
            return Ok((x.track_op().then(|| given.clone()), y.track_op().then_some(given)));
        }
        let gradient = read(gradient, |gradient| {
            read(output, |output| gradient_before(gradient, output, 1, Activation::Relu, false).0.into_owned())
        })??;
        // Both branches have the same gradient: one tensor serves them.
        let gradient = tensor(gradient, output.dims())?;
        Ok((x.track_op().then(|| gradient.clone()), y.track_op().then_some(gradient)))
    }
}
