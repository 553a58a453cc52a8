//! What linear layers, convolutions and transposed convolutions share: an input times a weight, plus a bias for each
//! channel of the output, then an activation; and the backward pass of that.

#[cfg(feature = "cuda")]
mod cuda;
mod op;

use crate::autograd::{self, Precision, Update};
use crate::kernels::activation::Activation;
use crate::kernels::cpu::epilogue::Epilogue;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Epilogue as CudaEpilogue, Fresh, On};
use crate::kernels::storage::{Array, is_host, read};
use candle_core::{DType, Result, Tensor, bail};
use op::ProductOp;

/// The product at the heart of an op, bilinear in the input and the weight. `gradient` is that of the product's output.
pub trait Product: Copy + Send + Sync + 'static {
    const NAME: &'static str;
    /// The shape of the output (its last dimension is what the bias is added to), or why the shapes do not fit.
    fn output_dims(&self, x: &[usize], weight: &[usize]) -> Result<Vec<usize>>;
    /// The product, each tile of it finished by `epilogue`.
    fn forward(&self, x: Array, weight: Array, epilogue: Epilogue) -> Result<Vec<f32>>;
    fn input_gradient(&self, x_dims: &[usize], weight: Array, gradient: Array) -> Result<Vec<f32>>;
    fn weight_gradient(&self, x: Array, weight_dims: &[usize], gradient: Array) -> Result<Vec<f32>>;

    /// Whether [`update_weight`](Self::update_weight) is to be used.
    const UPDATES: bool = false;
    /// The weight's gradient in pieces, for `update`.
    fn update_weight(&self, _x: Array, _gradient: Array, _update: &dyn Update) -> Result<()> {
        bail!("{}: no gradient in pieces", Self::NAME)
    }

    /// The product on CUDA, finished.
    #[cfg(feature = "cuda")]
    fn cuda_forward(&self, on: On, x: CudaArray, weight: CudaArray, epilogue: CudaEpilogue) -> Result<Fresh>;
    /// The gradient of an input of these dimensions and type.
    #[cfg(feature = "cuda")]
    fn cuda_input_gradient(
        &self,
        on: On,
        x: (&[usize], DType),
        weight: CudaArray,
        gradient: CudaArray,
    ) -> Result<Fresh>;
    #[cfg(feature = "cuda")]
    fn cuda_weight_gradient(&self, on: On, x: CudaArray, weight_dims: &[usize], gradient: CudaArray) -> Result<Fresh>;
}

/// Checks the shapes of a product and its bias.
pub fn check<P: Product>(
    product: &P,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    activation: Activation,
) -> Result<()> {
    activation.check()?;
    let output = product.output_dims(x.dims(), weight.dims())?;
    if let (Some(bias), Some(channels)) = (bias, output.last())
        && bias.dims() != [*channels]
    {
        bail!("{}: the bias should have shape [{channels}], found {:?}", P::NAME, bias.dims())
    }
    Ok(())
}

/// Applies `product`, its bias and the activation as one op, in the precision of the step. The shapes must have passed
/// [`check`].
pub fn apply<P: Product>(
    product: P,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    activation: Activation,
) -> Result<Tensor> {
    apply_op(product, x, weight, bias, activation, None)
}

/// Each channel of an op's output times `scale` (C) plus `shift` (C), after the activation: a batch norm in evaluation that
/// stands behind the activation, where it cannot be part of the weight.
#[derive(Clone, Debug)]
pub struct ScaleShift {
    pub scale: Tensor,
    pub shift: Tensor,
}

/// `plain`, scaled and shifted; on the CPU, where nothing asks for a gradient, as one op.
pub fn apply_scaled<P: Product>(
    product: P,
    (x, weight, bias): (&Tensor, &Tensor, Option<&Tensor>),
    activation: Activation,
    ScaleShift { scale, shift }: &ScaleShift,
    plain: impl FnOnce() -> Result<Tensor>,
) -> Result<Tensor> {
    let tensors = [x, weight, bias.unwrap_or(x), scale, shift];
    if !is_host(&tensors) || tensors.iter().any(|tensor| tensor.track_op()) {
        return plain()?.broadcast_mul(scale)?.broadcast_add(shift);
    }
    check(&product, x, weight, bias, activation)?;
    let channels = product.output_dims(x.dims(), weight.dims())?.last().copied().unwrap_or(1);
    if [scale, shift].iter().any(|tensor| tensor.dims() != [channels]) {
        let (scale, shift) = (scale.dims(), shift.dims());
        bail!("{}: the scale and shift should have shape [{channels}], found {scale:?} and {shift:?}", P::NAME)
    }
    let scale = [read(scale, <[f32]>::to_vec)?, read(shift, <[f32]>::to_vec)?];
    apply_op(product, x, weight, bias, activation, Some(scale))
}

fn apply_op<P: Product>(
    product: P,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    activation: Activation,
    scale: Option<[Vec<f32>; 2]>,
) -> Result<Tensor> {
    let precision = precision_of(x);
    if let Some(what) = precision.missing(x.device()) {
        bail!("{}: no products in {} here: {what}", P::NAME, precision.name())
    }
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    let op = ProductOp { product, activation, scale, precision };
    match bias {
        Some(bias) => autograd::apply_op3(&x, &weight, &bias.contiguous()?, op),
        None => autograd::apply_op2(&x, &weight, op),
    }
}

/// How a product's output changes as its input and its weight do, each if it does, in the precision of the step.
fn tangent<P: Product>(
    product: P,
    [x, weight]: [&Tensor; 2],
    [of_x, of_weight]: [Option<&Tensor>; 2],
) -> Result<Tensor> {
    let times = |x: &Tensor, weight: &Tensor| apply(product, x, weight, None, Activation::Identity);
    match (of_x, of_weight) {
        (Some(of_x), Some(of_weight)) => autograd::add(&times(of_x, weight)?, &times(x, of_weight)?),
        (Some(of_x), None) => times(of_x, weight),
        (None, Some(of_weight)) => times(x, of_weight),
        (None, None) => bail!("{}: expected the change of an argument", P::NAME),
    }
}

/// The step's precision; inputs that are bf16 are multiplied as that.
fn precision_of(x: &Tensor) -> Precision {
    match x.dtype() {
        DType::BF16 => Precision::Bf16,
        _ => autograd::precision(),
    }
}
