//! Products on CUDA.

use super::Product;
use super::op::{Gradients, ProductOp};
use crate::kernels::activation::Activation;
use crate::kernels::cuda::epilogue::{self, Epilogue};
use crate::kernels::cuda::{Array, Fresh, Gpu, On, lend};
use candle_core::{CudaStorage, Layout, Result, Shape, Tensor};

impl<P: Product> ProductOp<P> {
    pub fn cuda_forward(
        &self,
        x: &CudaStorage,
        weight: &CudaStorage,
        dims: [&Layout; 2],
        epilogue: Epilogue,
    ) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::of(&x.device)?;
        let on = On { gpu: &gpu, precision: self.precision };
        let (x, weight) = (Array::new(x, dims[0])?, Array::new(weight, dims[1])?);
        Ok(self.product.cuda_forward(on, x, weight, epilogue)?.into_storage())
    }

    pub fn cuda_backward(
        &self,
        (x, weight, bias): (&Tensor, &Tensor, Option<&Tensor>),
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Gradients> {
        let gradient = gradient.contiguous()?;
        let x_dtype = x.dtype();
        lend(&gradient, |gpu, gradient| {
            let on = On { gpu, precision: self.precision };
            let of_output = match self.activation {
                Activation::Identity => gradient, // not read, and not kept
                _ => lend(output, |_, output| Ok(output.reshaped(gradient.dims)))?,
            };
            let (before, for_bias) = match (bias, self.activation) {
                (Some(_), activation) => {
                    let (before, sums) = epilogue::bias_gradient(gpu, gradient, of_output, activation)?;
                    (before, Some(sums.into_tensor()))
                }
                (None, Activation::Identity) => (None, None),
                (None, activation) => (Some(epilogue::gradient(gpu, gradient, of_output, activation)?), None),
            };
            let gradient = before.as_ref().map_or(gradient, Fresh::array);
            let for_x = x.track_op().then(|| {
                lend(weight, |_, weight| self.product.cuda_input_gradient(on, (x.dims(), x_dtype), weight, gradient))
            });
            let for_weight = weight
                .track_op()
                .then(|| lend(x, |_, x| self.product.cuda_weight_gradient(on, x, weight.dims(), gradient)));
            let tensor = |fresh: Option<Result<Fresh>>| fresh.map(|fresh| fresh.map(Fresh::into_tensor)).transpose();
            Ok((tensor(for_x)?, tensor(for_weight)?, for_bias))
        })
    }
}
