//! The linear layer: x Wᵀ + b, then an activation.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use super::activation;
use super::affine;
use crate::autograd::Precision;
use crate::autograd::Update;
use crate::kernels::cpu::epilogue::Epilogue;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Fresh};
use crate::kernels::storage::{Array, is_fused, is_host, read, tensor};
#[cfg(feature = "cuda")]
use crate::kernels::window::cuda::Finish;
use crate::ops::activation::Activation;
#[cfg(feature = "cuda")]
use crate::ops::affine::On;
use crate::ops::affine::Product;
use crate::ops::batch_norm::RunningNorm;
use crate::ops::layout::channels_last;
use crate::ops::shifted::Shifted;
#[cfg(feature = "cuda")]
use candle_core::DType;
use candle_core::{Result, Tensor, bail};

/// x (N, I) times weight (O, I) transposed, plus bias (O), then `activation`: (N, O). As `torch.nn.functional.linear`.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, activation: Activation) -> Result<Tensor> {
    affine::check(&Linear::PLAIN, x, weight, bias, activation)?;
    if is_fused(&[x, weight, bias.unwrap_or(x)]) {
        affine::apply(Linear::PLAIN, x, weight, bias, activation)
    } else {
        naive(x, weight, bias, activation)
    }
}

/// [`linear`] of an input whose shift is apart.
pub fn linear_of_shifted(
    x: &Shifted,
    weight: &Tensor,
    bias: Option<&Tensor>,
    activation: Activation,
) -> Result<Tensor> {
    let Some(shift) = &x.shift else { return linear(&x.values, weight, bias, activation) };
    if !is_host(&[&x.values, shift, weight, bias.unwrap_or(weight)]) {
        return linear(&x.sum()?, weight, bias, activation);
    }
    let product = Linear::of_shifted(x, 1)?;
    affine::check(&product, &x.values, weight, bias, activation)?;
    affine::apply(product, &x.values, weight, bias, activation)
}

/// [`linear`], then a batch norm with running statistics: in one pass where nothing asks for a gradient.
pub fn linear_normalised(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    activation: Activation,
    norm: &RunningNorm,
) -> Result<Tensor> {
    affine::apply_normalised(Linear::PLAIN, (x, weight, bias), activation, norm, || linear(x, weight, bias, activation))
}

/// [`linear_normalised`] with the norm's shift apart where that is in one pass and has no activation.
pub fn linear_normalised_shifted(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    activation: Activation,
    norm: &RunningNorm,
) -> Result<Shifted> {
    if norm.activation != Activation::Identity || !affine::takes_norm((x, weight, bias), norm) {
        return linear_normalised(x, weight, bias, activation, norm).map(Shifted::from);
    }
    let (norm, shift) = affine::frozen(&Linear::PLAIN, (x, weight), norm)?.apart();
    let shift = tensor(shift, &[norm.channels()])?;
    let values = affine::apply_with_frozen(Linear::PLAIN, (x, weight, bias), activation, norm)?;
    Ok(Shifted { values, shift: Some(shift) })
}

/// [`linear_normalised`] where the outputs are images (C, H, W) of these `dims`: (N, H, W, C). Where nothing asks for a
/// gradient they are written that way at once.
pub fn linear_normalised_images(
    x: &Shifted,
    weight: &Tensor,
    bias: Option<&Tensor>,
    activation: Activation,
    norm: &RunningNorm,
    dims: [usize; 3],
) -> Result<Tensor> {
    let [channels, height, width] = dims;
    if !affine::takes_norm((&x.values, weight, bias), norm) {
        let y = norm.apply(&linear_of_shifted(x, weight, bias, activation)?)?;
        return channels_last(&y.reshape((y.dim(0)?, channels, height, width))?);
    }
    // What there is for each output, in the order of the result.
    let turned = |tensor: &Tensor| channels_last(&tensor.reshape((1, channels, height, width))?)?.flatten_all();
    let [mean, variance, norm_weight, norm_bias] = norm.tensors().map(turned);
    let norm = RunningNorm { mean: &mean?, variance: &variance?, weight: &norm_weight?, bias: &norm_bias?, ..*norm };
    let bias = bias.map(turned).transpose()?;
    let product = Linear::of_shifted(x, height * width)?;
    let y = affine::apply_with_norm(product, (&x.values, weight, bias.as_ref()), activation, &norm)?;
    y.reshape((y.dim(0)?, height, width, channels))
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

struct Linear {
    /// The outputs of the weight are channels by places; they are written places by channels.
    places: usize,
    /// Added to each row of the input. Only on the CPU.
    shift: Option<Vec<f32>>,
}

impl Linear {
    const PLAIN: Self = Self { places: 1, shift: None };

    fn of_shifted(x: &Shifted, places: usize) -> Result<Self> {
        let shift = x.shift.as_ref().map(|shift| read(shift, <[f32]>::to_vec)).transpose()?;
        let inputs = x.values.dims().last().copied().unwrap_or_default();
        if let Some(shift) = &shift
            && shift.len() != inputs
        {
            bail!("linear: expected a shift for each of {inputs} inputs, found {}", shift.len())
        }
        Ok(Self { places, shift })
    }
}

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

    fn forward(&self, x: Array, weight: Array, precision: Precision, epilogue: Epilogue) -> Result<Vec<f32>> {
        Ok(cpu::forward((x, self.shift.as_deref()), weight, self.places, precision, epilogue))
    }

    fn input_gradient(&self, _: &[usize], weight: Array, gradient: Array, precision: Precision) -> Result<Vec<f32>> {
        Ok(cpu::input_gradient(weight, gradient, precision))
    }

    fn weight_gradient(&self, x: Array, _: &[usize], gradient: Array, precision: Precision) -> Result<Vec<f32>> {
        Ok(cpu::weight_gradient((x, self.shift.as_deref()), gradient, precision))
    }

    const UPDATES: bool = true;

    fn update_weight(&self, x: Array, gradient: Array, precision: Precision, update: &dyn Update) -> Result<()> {
        cpu::update_weight((x, self.shift.as_deref()), gradient, precision, update)
    }

    #[cfg(feature = "cuda")]
    fn cuda_forward(&self, on: On, x: CudaArray, weight: CudaArray, finish: Finish) -> Result<Fresh> {
        let output = cuda::forward(on.gpu, x, weight, on.precision)?;
        activation::cuda::finish(on.gpu, output.array(), finish.bias, finish.activation)?;
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
