//! The linear layer: x Wᵀ + b, then an activation.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use super::activation;
use super::product::{self, Product, ScaleShift};
use crate::autograd::Update;
use crate::kernels::activation::Activation;
use crate::kernels::cpu::epilogue::Epilogue;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Epilogue as CudaEpilogue, Fresh, On};
use crate::kernels::storage::{Array, is_fused};
#[cfg(feature = "cuda")]
use candle_core::DType;
use candle_core::{Result, Tensor, bail};

/// x (N, I) times weight (O, I) transposed, plus bias (O), then `activation`: (N, O). As `torch.nn.functional.linear`.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, activation: Activation) -> Result<Tensor> {
    product::check(&Linear, x, weight, bias, activation)?;
    if is_fused(&[x, weight, bias.unwrap_or(x)]) {
        product::apply(Linear, x, weight, bias, activation)
    } else {
        naive(x, weight, bias, activation)
    }
}

/// [`linear`], then each output scaled and shifted.
pub fn linear_scaled(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    activation: Activation,
    scale: &ScaleShift,
) -> Result<Tensor> {
    let plain = || linear(x, weight, bias, activation);
    product::apply_scaled(Linear, (x, weight, bias), activation, scale, plain)
}

/// [`linear`] in candle's ops.
pub fn naive(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, activation: Activation) -> Result<Tensor> {
    let y = x.matmul(&weight.t()?)?;
    let y = match bias {
        Some(bias) => y.broadcast_add(bias)?,
        None => y,
    };
    activation::naive(&y, activation)
}

#[derive(Clone, Copy)]
struct Linear;

impl Product for Linear {
    const NAME: &'static str = "linear";

    fn output_dims(&self, x: &[usize], weight: &[usize]) -> Result<Vec<usize>> {
        match (x, weight) {
            (&[count, inputs], &[outputs, expected]) if inputs == expected && inputs > 0 && outputs > 0 => {
                Ok(vec![count, outputs])
            }
            _ => bail!("linear: expected an input (N, I) and a weight (O, I), found {x:?} and {weight:?}"),
        }
    }

    fn forward(&self, x: Array, weight: Array, epilogue: Epilogue) -> Result<Vec<f32>> {
        Ok(cpu::forward(x, weight, epilogue))
    }

    fn input_gradient(&self, _: &[usize], weight: Array, gradient: Array) -> Result<Vec<f32>> {
        Ok(cpu::input_gradient(weight, gradient))
    }

    fn weight_gradient(&self, x: Array, _: &[usize], gradient: Array) -> Result<Vec<f32>> {
        Ok(cpu::weight_gradient(x, gradient))
    }

    const UPDATES: bool = true;

    fn update_weight(&self, x: Array, gradient: Array, update: &dyn Update) -> Result<()> {
        cpu::update_weight(x, gradient, update)
    }

    #[cfg(feature = "cuda")]
    fn cuda_forward(&self, on: On, x: CudaArray, weight: CudaArray, epilogue: CudaEpilogue) -> Result<Fresh> {
        let output = cuda::forward(on.gpu, x, weight, on.precision)?;
        epilogue.finish(on.gpu, output.array())?;
        Ok(output)
    }

    #[cfg(feature = "cuda")]
    fn cuda_input_gradient(
        &self,
        on: On,
        (_, dtype): (&[usize], DType),
        weight: CudaArray,
        gradient: CudaArray,
    ) -> Result<Fresh> {
        cuda::input_gradient(on.gpu, dtype, weight, gradient, on.precision)
    }

    #[cfg(feature = "cuda")]
    fn cuda_weight_gradient(&self, on: On, x: CudaArray, _: &[usize], gradient: CudaArray) -> Result<Fresh> {
        cuda::weight_gradient(on.gpu, x, gradient, on.precision)
    }
}
