//! What linear layers, convolutions and transposed convolutions share: an input times a weight, plus a bias for each
//! channel of the output, then an activation; and the backward pass of that.

use super::activation;
use crate::autograd::Precision;
use crate::autograd::{self, Update};
use crate::kernels::cpu::epilogue::Epilogue;
#[cfg(feature = "cuda")]
use crate::kernels::cuda;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Fresh, Gpu};
use crate::kernels::storage::{Array, is_host, read, tensor};
#[cfg(feature = "cuda")]
use crate::kernels::window::cuda::Finish;
use crate::ops::activation::Activation;
use crate::ops::batch_norm::{Frozen, RunningNorm};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Device, Layout, Result, Shape, Tensor, bail};

/// The product at the heart of an op, bilinear in the input and the weight, with its factors in a [`Precision`].
/// `gradient` is that of the product's output.
pub trait Product: Send + Sync + 'static {
    const NAME: &'static str;
    /// The shape of the output (its last dimension is what the bias is added to), or why the shapes do not fit.
    fn output_dims(&self, x: &[usize], weight: &[usize]) -> Result<Vec<usize>>;
    /// The product, each tile of it finished by `epilogue`.
    fn forward(&self, x: Array, weight: Array, precision: Precision, epilogue: Epilogue) -> Result<Vec<f32>>;
    fn input_gradient(
        &self,
        x_dims: &[usize],
        weight: Array,
        gradient: Array,
        precision: Precision,
    ) -> Result<Vec<f32>>;
    fn weight_gradient(
        &self,
        x: Array,
        weight_dims: &[usize],
        gradient: Array,
        precision: Precision,
    ) -> Result<Vec<f32>>;

    /// Whether [`update_weight`](Self::update_weight) is to be used.
    const UPDATES: bool = false;
    /// The weight's gradient in pieces, for `update`.
    fn update_weight(&self, _x: Array, _gradient: Array, _precision: Precision, _update: &dyn Update) -> Result<()> {
        bail!("{}: no gradient in pieces", Self::NAME)
    }

    /// The product on CUDA, finished.
    #[cfg(feature = "cuda")]
    fn cuda_forward(&self, on: On, x: cuda::Array, weight: cuda::Array, finish: Finish) -> Result<Fresh>;
    /// The gradient of an input of these dimensions and type.
    #[cfg(feature = "cuda")]
    fn cuda_input_gradient(
        &self,
        on: On,
        x: (&[usize], DType),
        weight: cuda::Array,
        gradient: cuda::Array,
    ) -> Result<Fresh>;
    #[cfg(feature = "cuda")]
    fn cuda_weight_gradient(
        &self,
        on: On,
        x: cuda::Array,
        weight_dims: &[usize],
        gradient: cuda::Array,
    ) -> Result<Fresh>;
}

/// Where, and in which arithmetic, a product on CUDA is computed.
#[cfg(feature = "cuda")]
#[derive(Clone, Copy)]
pub struct On<'a> {
    pub gpu: &'a Gpu,
    pub precision: Precision,
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

/// Applies `product`, its bias and the activation as one op. The shapes must have passed [`check`].
pub fn apply<P: Product>(
    product: P,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    activation: Activation,
) -> Result<Tensor> {
    apply_with(product, x, weight, bias, activation, None)
}

/// The product, its bias, the activation and then the batch norm: as one op where [`takes_norm`] says so, else the norm
/// of what `otherwise` gives.
pub fn apply_normalised<P: Product>(
    product: P,
    (x, weight, bias): (&Tensor, &Tensor, Option<&Tensor>),
    activation: Activation,
    norm: &RunningNorm,
    otherwise: impl FnOnce() -> Result<Tensor>,
) -> Result<Tensor> {
    match takes_norm((x, weight, bias), norm) {
        true => apply_with_norm(product, (x, weight, bias), activation, norm),
        false => norm.apply(&otherwise()?),
    }
}

/// Whether a batch norm can be part of the product before it: on the CPU, where nothing asks for a gradient.
pub fn takes_norm((x, weight, bias): (&Tensor, &Tensor, Option<&Tensor>), norm: &RunningNorm) -> bool {
    let tensors: Vec<_> = [x, weight, bias.unwrap_or(x)].into_iter().chain(norm.tensors()).collect();
    is_host(&tensors) && !tensors.iter().any(|tensor| tensor.track_op())
}

/// The product, its bias, the activation and the batch norm, tile by tile while they are in the cache. [`takes_norm`]
/// must have said so.
pub fn apply_with_norm<P: Product>(
    product: P,
    (x, weight, bias): (&Tensor, &Tensor, Option<&Tensor>),
    activation: Activation,
    norm: &RunningNorm,
) -> Result<Tensor> {
    let norm = frozen(&product, (x, weight), norm)?;
    apply_with_frozen(product, (x, weight, bias), activation, norm)
}

/// A batch norm's numbers for a product's output.
pub fn frozen<P: Product>(product: &P, (x, weight): (&Tensor, &Tensor), norm: &RunningNorm) -> Result<Frozen> {
    let output = product.output_dims(x.dims(), weight.dims())?;
    norm.frozen(output.last().copied().unwrap_or_default())
}

/// [`apply_with_norm`] with the norm's numbers.
pub fn apply_with_frozen<P: Product>(
    product: P,
    (x, weight, bias): (&Tensor, &Tensor, Option<&Tensor>),
    activation: Activation,
    norm: Frozen,
) -> Result<Tensor> {
    check(&product, x, weight, bias, activation)?;
    apply_with(product, x, weight, bias, activation, Some(norm))
}

fn apply_with<P: Product>(
    product: P,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    activation: Activation,
    norm: Option<Frozen>,
) -> Result<Tensor> {
    let precision = precision_of(x);
    if let Some(what) = precision.missing(x.device()) {
        bail!("{}: no products in {} here: {what}", P::NAME, precision.name())
    }
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    let op = Affine { product, activation, norm, precision };
    match bias {
        Some(bias) => autograd::apply_op3(&x, &weight, &bias.contiguous()?, op),
        None => autograd::apply_op2(&x, &weight, op),
    }
}

/// The step's precision; inputs that are bf16 are multiplied as that.
fn precision_of(x: &Tensor) -> Precision {
    match x.dtype() {
        DType::BF16 => Precision::Bf16,
        _ => autograd::precision(),
    }
}

/// A product as an op of candle's: of two arguments without a bias, of three with one.
struct Affine<P> {
    product: P,
    activation: Activation,
    /// Only where no gradient is asked for.
    norm: Option<Frozen>,
    /// The backward pass has that of the forward pass.
    precision: Precision,
}

type Gradients = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

impl<P: Product> Affine<P> {
    fn forward(&self, x: Array, weight: Array, bias: Option<&[f32]>) -> Result<(CpuStorage, Shape)> {
        let dims = self.product.output_dims(x.dims, weight.dims)?;
        let epilogue = Epilogue { bias, activation: self.activation, norm: self.norm.as_ref() };
        let output = self.product.forward(x, weight, self.precision, epilogue)?;
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
                let (gradient, sums) =
                    activation::cpu::backward(gradient, values, channels, self.activation, bias.is_some());
                let gradient = Array { values: &gradient, dims: output.dims() };
                let for_x = || {
                    let product = |values: &[f32]| {
                        let weight = Array { values, dims: weight.dims() };
                        self.product.input_gradient(x.dims(), weight, gradient, self.precision)
                    };
                    x.track_op().then(|| tensor(read(weight, product)??, x.dims())).transpose()
                };
                let for_weight = || {
                    let product = |values: &[f32]| {
                        let x = Array { values, dims: x.dims() };
                        self.product.weight_gradient(x, weight.dims(), gradient, self.precision)
                    };
                    weight.track_op().then(|| tensor(read(x, product)??, weight.dims())).transpose()
                };
                let (for_x, for_weight) = match update {
                    // The other needs the weight as it is.
                    Some(update) => {
                        let for_x = for_x()?;
                        read(x, |values| {
                            let x = Array { values, dims: x.dims() };
                            self.product.update_weight(x, gradient, self.precision, update)
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

#[cfg(feature = "cuda")]
impl<P: Product> Affine<P> {
    fn cuda_forward(
        &self,
        x: &CudaStorage,
        weight: &CudaStorage,
        dims: [&Layout; 2],
        finish: Finish,
    ) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::of(&x.device)?;
        let on = On { gpu: &gpu, precision: self.precision };
        let (x, weight) = (cuda::Array::new(x, dims[0])?, cuda::Array::new(weight, dims[1])?);
        Ok(self.product.cuda_forward(on, x, weight, finish)?.into_storage())
    }

    fn cuda_backward(
        &self,
        (x, weight, bias): (&Tensor, &Tensor, Option<&Tensor>),
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Gradients> {
        let gradient = gradient.contiguous()?;
        let x_dtype = x.dtype();
        cuda::lend(&gradient, |gpu, gradient| {
            let on = On { gpu, precision: self.precision };
            let of_output = match self.activation {
                Activation::Identity => gradient, // not read, and not kept
                _ => cuda::lend(output, |_, output| Ok(output.reshaped(gradient.dims)))?,
            };
            let (before, for_bias) = match (bias, self.activation) {
                (Some(_), activation) => {
                    let (before, sums) = activation::cuda::bias_gradient(gpu, gradient, of_output, activation)?;
                    (before, Some(sums.into_tensor()))
                }
                (None, Activation::Identity) => (None, None),
                (None, activation) => (Some(activation::cuda::gradient(gpu, gradient, of_output, activation)?), None),
            };
            let gradient = before.as_ref().map_or(gradient, Fresh::array);
            let for_x = x.track_op().then(|| {
                cuda::lend(weight, |_, weight| {
                    self.product.cuda_input_gradient(on, (x.dims(), x_dtype), weight, gradient)
                })
            });
            let for_weight = weight
                .track_op()
                .then(|| cuda::lend(x, |_, x| self.product.cuda_weight_gradient(on, x, weight.dims(), gradient)));
            let tensor = |fresh: Option<Result<Fresh>>| fresh.map(|fresh| fresh.map(Fresh::into_tensor)).transpose();
            Ok((tensor(for_x)?, tensor(for_weight)?, for_bias))
        })
    }
}

impl<P: Product> autograd::Taped for Affine<P> {
    fn saved(&self) -> autograd::Saved {
        match self.activation {
            Activation::Identity => autograd::Saved::Arguments,
            _ => autograd::Saved::ArgumentsAndOutput,
        }
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

impl<P: Product> CustomOp2 for Affine<P> {
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
        self.cuda_forward(x, weight, [lx, lw], Finish { bias: None, activation: self.activation })
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

impl<P: Product> CustomOp3 for Affine<P> {
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
        let finish = Finish { bias: Some(cuda::Array::new(bias, lb)?), activation: self.activation };
        self.cuda_forward(x, weight, [lx, lw], finish)
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, bias: &Tensor, output: &Tensor, gradient: &Tensor) -> Result<Gradients> {
        self.backward((x, weight, Some(bias)), output, gradient, None)
    }
}
