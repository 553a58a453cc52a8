//! A [`Product`] as an op of candle's.

use super::{Product, tangent as product_tangent};
use crate::autograd::{self, Precision, Update};
use crate::kernels::activation::Activation;
use crate::kernels::cpu::epilogue::{ChannelScale, Epilogue, gradient_before};
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Epilogue as CudaEpilogue};
use crate::kernels::storage::{Array, read, tensor};
use crate::ops::activation::times_slope;
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Device, Layout, Result, Shape, Tensor, bail};

/// A product as an op of candle's: of two arguments without a bias, of three with one.
pub struct ProductOp<P> {
    pub product: P,
    pub activation: Activation,
    /// What the CPU's epilogue multiplies each channel by and adds to it, where no gradient is asked for.
    pub scale: Option<[Vec<f32>; 2]>,
    /// The backward pass has that of the forward pass. Kernels of the CPU have but one.
    #[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "read on CUDA"))]
    pub precision: Precision,
}

pub type Gradients = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

impl<P: Product> ProductOp<P> {
    fn forward(&self, x: Array, weight: Array, bias: Option<&[f32]>) -> Result<(CpuStorage, Shape)> {
        let dims = self.product.output_dims(x.dims, weight.dims)?;
        let scale = self.scale.as_ref().map(|[scale, shift]| ChannelScale { scale, shift });
        let epilogue = Epilogue { bias, activation: self.activation, scale };
        let output = self.product.forward(x, weight, epilogue)?;
        Ok((CpuStorage::F32(output), Shape::from(dims)))
    }

    fn backward(
        &self,
        (x, weight, bias): (&Tensor, &Tensor, Option<&Tensor>),
        output: &Tensor,
        gradient: &Tensor,
        update: Option<&dyn Update>,
    ) -> Result<Gradients> {
        let bias = bias.filter(|bias| bias.track_op());
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            return self.cuda_backward((x, weight, bias), output, gradient);
        }
        let channels = output.dims().last().copied().unwrap_or(1);
        // Without an activation the output is not kept: it would be read as a copy of its stand-in.
        let no_values = Tensor::zeros(0, DType::F32, &Device::Cpu)?;
        let output_values = if self.activation == Activation::Identity { &no_values } else { output };
        read(gradient, |gradient| {
            read(output_values, |values| {
                let (gradient, sums) = gradient_before(gradient, values, channels, self.activation, bias.is_some());
                let gradient = Array { values: &gradient, dims: output.dims() };
                let for_x = || {
                    let product = |values: &[f32]| {
                        let weight = Array { values, dims: weight.dims() };
                        self.product.input_gradient(x.dims(), weight, gradient)
                    };
                    x.track_op().then(|| tensor(read(weight, product)??, x.dims())).transpose()
                };
                let for_weight = || {
                    let product = |values: &[f32]| {
                        let x = Array { values, dims: x.dims() };
                        self.product.weight_gradient(x, weight.dims(), gradient)
                    };
                    weight.track_op().then(|| tensor(read(x, product)??, weight.dims())).transpose()
                };
                let (for_x, for_weight) = match update {
                    // The other needs the weight as it is.
                    Some(update) => {
                        let for_x = for_x()?;
                        read(x, |values| {
                            let x = Array { values, dims: x.dims() };
                            self.product.update_weight(x, gradient, update)
                        })??;
                        (Ok(for_x), Ok(None))
                    }
                    // Side by side: neither waits for the last tile of the other.
                    None => rayon::join(for_x, for_weight),
                };
                let for_bias = bias.map(|bias| tensor(sums, bias.dims()));
                Ok((for_x?, for_weight?, for_bias.transpose()?))
            })
        })??
    }
}

impl<P: Product> autograd::Taped for ProductOp<P> {
    fn saved(&self) -> autograd::Saved {
        match self.activation {
            Activation::Identity => autograd::Saved::Arguments,
            _ => autograd::Saved::ArgumentsAndOutput,
        }
    }

    fn tangent(&self, arguments: &[&Tensor], output: &Tensor, tangents: &[Option<&Tensor>]) -> Result<Tensor> {
        let (&[x, weight, ..], &[of_x, of_weight, ref of_bias @ ..]) = (arguments, tangents) else {
            bail!("{}: too few arguments", P::NAME)
        };
        if of_bias.iter().any(Option::is_some) {
            bail!("{}: no derivative along a change of the bias", P::NAME)
        }
        let before = product_tangent(self.product, [x, weight], [of_x, of_weight])?;
        times_slope(&before, output, self.activation)
    }

    fn updates(&self) -> Option<usize> {
        P::UPDATES.then_some(1)
    }

    fn bwd_updating(
        &self,
        arguments: &[&Tensor],
        output: &Tensor,
        gradient: &Tensor,
        update: &dyn Update,
    ) -> Result<Vec<Option<Tensor>>> {
        let &[x, weight, ref bias @ ..] = arguments else { bail!("{}: too few arguments", P::NAME) };
        let bias = bias.first().copied();
        let (for_x, _, for_bias) = self.backward((x, weight, bias), output, gradient, Some(update))?;
        Ok(match bias {
            Some(_) => vec![for_x, None, for_bias],
            None => vec![for_x, None],
        })
    }
}

impl<P: Product> CustomOp2 for ProductOp<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, weight: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward(Array::new(x, lx)?, Array::new(weight, lw)?, None)
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        lx: &Layout,
        weight: &CudaStorage,
        lw: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.cuda_forward(x, weight, [lx, lw], CudaEpilogue { bias: None, activation: self.activation })
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (for_x, for_weight, _) = self.backward((x, weight, None), output, gradient, None)?;
        Ok((for_x, for_weight))
    }
}

impl<P: Product> CustomOp3 for ProductOp<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        weight: &CpuStorage,
        lw: &Layout,
        bias: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward(Array::new(x, lx)?, Array::new(weight, lw)?, Some(Array::new(bias, lb)?.values))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        lx: &Layout,
        weight: &CudaStorage,
        lw: &Layout,
        bias: &CudaStorage,
        lb: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let epilogue = CudaEpilogue { bias: Some(CudaArray::new(bias, lb)?), activation: self.activation };
        self.cuda_forward(x, weight, [lx, lw], epilogue)
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, bias: &Tensor, output: &Tensor, gradient: &Tensor) -> Result<Gradients> {
        self.backward((x, weight, Some(bias)), output, gradient, None)
    }
}
