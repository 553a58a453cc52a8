//! What linear layers, convolutions and transposed convolutions share: an input times a weight, plus a bias for each
//! channel of the output, then an activation; and the backward pass of that.

use super::activation::{self, Activation};
use super::precision::Precision;
use super::storage::{Array, read, tensor};
use super::tape;
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
}

/// What a product does to each tile of its output while the tile is in the cache.
#[derive(Clone, Copy)]
pub struct Epilogue<'a> {
    bias: Option<&'a [f32]>,
    activation: Activation,
}

impl Epilogue<'_> {
    /// For products that are gradients: nothing.
    pub const NONE: Epilogue<'static> = Epilogue { bias: None, activation: Activation::Identity };

    /// Finishes rows that have all of the output's channels.
    pub fn finish(&self, rows: &mut [f32]) {
        activation::cpu::add_bias_and_activate(rows, self.bias, self.activation);
    }

    /// Finishes rows that have the output's channels of this range.
    pub fn finish_columns(&self, rows: &mut [f32], columns: std::ops::Range<usize>) {
        activation::cpu::add_bias_and_activate(rows, self.bias.map(|bias| &bias[columns]), self.activation);
    }
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
    let precision = tape::precision();
    if let Some(what) = precision.missing(x.device()) {
        bail!("{}: no products in {} here: {what}", P::NAME, precision.name())
    }
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    let op = Affine { product, activation, precision };
    match bias {
        Some(bias) => tape::apply_op3(&x, &weight, &bias.contiguous()?, op),
        None => tape::apply_op2(&x, &weight, op),
    }
}

/// A product as an op of candle's: of two arguments without a bias, of three with one.
struct Affine<P> {
    product: P,
    activation: Activation,
    precision: Precision,
}

type Gradients = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

impl<P: Product> Affine<P> {
    fn forward(&self, x: Array, weight: Array, bias: Option<&[f32]>) -> Result<(CpuStorage, Shape)> {
        let dims = self.product.output_dims(x.dims, weight.dims)?;
        let epilogue = Epilogue { bias, activation: self.activation };
        let output = self.product.forward(x, weight, self.precision, epilogue)?;
        Ok((CpuStorage::F32(output), Shape::from(dims)))
    }

    fn backward(
        &self,
        (x, weight, bias): (&Tensor, &Tensor, Option<&Tensor>),
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Gradients> {
        let bias = bias.filter(|bias| bias.track_op());
        let channels = output.dims().last().copied().unwrap_or(1);
        // Without an activation the output is not kept: it would be read as a copy of its stand-in.
        let no_values = Tensor::zeros(0, DType::F32, &Device::Cpu)?;
        let output_values = if self.activation == Activation::Identity { &no_values } else { output };
        read(gradient, |gradient| {
            read(output_values, |values| {
                let (gradient, sums) =
                    activation::cpu::backward(gradient, values, channels, self.activation, bias.is_some());
                let gradient = Array { values: &gradient, dims: output.dims() };
                let for_x = x.track_op().then(|| {
                    let product = |values: &[f32]| {
                        let weight = Array { values, dims: weight.dims() };
                        self.product.input_gradient(x.dims(), weight, gradient, self.precision)
                    };
                    tensor(read(weight, product)??, x.dims())
                });
                let for_weight = weight.track_op().then(|| {
                    let product = |values: &[f32]| {
                        let x = Array { values, dims: x.dims() };
                        self.product.weight_gradient(x, weight.dims(), gradient, self.precision)
                    };
                    tensor(read(x, product)??, weight.dims())
                });
                let for_bias = bias.map(|bias| tensor(sums, bias.dims()));
                Ok((for_x.transpose()?, for_weight.transpose()?, for_bias.transpose()?))
            })
        })??
    }
}

impl<P: Product> tape::Saves for Affine<P> {
    fn saved(&self) -> tape::Saved {
        match self.activation {
            Activation::Identity => tape::Saved::Arguments,
            _ => tape::Saved::ArgumentsAndOutput,
        }
    }
}

impl<P: Product> CustomOp2 for Affine<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, weight: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward(Array::new(x, lx)?, Array::new(weight, lw)?, None)
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (for_x, for_weight, _) = self.backward((x, weight, None), output, gradient)?;
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

    fn bwd(&self, x: &Tensor, weight: &Tensor, bias: &Tensor, output: &Tensor, gradient: &Tensor) -> Result<Gradients> {
        self.backward((x, weight, Some(bias)), output, gradient)
    }
}
