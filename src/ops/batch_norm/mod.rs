//! Batch normalisation over the last dimension, then an activation (Ioffe & Szegedy, arXiv 1502.03167).

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod frozen;
mod moments;
mod track;

use super::activation;
use crate::autograd;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Fresh, Gpu, lend};
use crate::kernels::storage::{Array, is_fused, is_host, read, tensor};
use crate::ops::activation::Activation;
use crate::ops::shifted::Shifted;
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor, bail};
pub use frozen::Frozen;
pub use track::track_statistics;

/// What [`batch_norm_train`] gives; from the statistics a layer updates its running ones.
#[derive(Clone, Debug)]
pub struct BatchNormOutput<X = Tensor> {
    /// (.., C), as the input.
    pub output: X,
    /// The batch's mean (C); no gradient goes through it.
    pub mean: Tensor,
    /// The batch's biased variance (C), the sum of squares over the count; no gradient goes through it.
    pub variance: Tensor,
}

/// Normalises each channel of x (.., C) by the mean and biased variance of this batch, scales it by weight (C), adds
/// bias (C), and applies `activation`. As `torch.nn.functional.batch_norm` in training, and as there it is an error if
/// a channel has fewer than two values.
pub fn batch_norm_train(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
    activation: Activation,
) -> Result<BatchNormOutput> {
    check_training(x, weight, bias, activation)?;
    if !is_fused(&[x, weight, bias]) {
        return naive_train(x, weight, bias, eps, activation);
    }
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        let x = x.contiguous()?;
        let [mean, variance, coefficients] = lend(&x, |gpu, x| cuda::moments(gpu, x, eps))?;
        let statistics = Statistics::Cuda(coefficients);
        let op = BatchNorm { statistics, trains: true, activation, is_apart: false };
        let output = autograd::apply_op3(&x, &weight.contiguous()?, &bias.contiguous()?, op)?;
        return Ok(BatchNormOutput { output, mean: mean.into_tensor(), variance: variance.into_tensor() });
    }
    let BatchNormOutput { output, mean, variance } = train_on_host(x, weight, bias, eps, activation, false)?;
    Ok(BatchNormOutput { output: output.values, mean, variance })
}

/// [`batch_norm_train`] without an activation, on the CPU with its shift apart.
pub fn batch_norm_train_shifted(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<BatchNormOutput<Shifted>> {
    if !is_host(&[x, weight, bias]) {
        let found = batch_norm_train(x, weight, bias, eps, Activation::Identity)?;
        return Ok(BatchNormOutput { output: found.output.into(), mean: found.mean, variance: found.variance });
    }
    check_training(x, weight, bias, Activation::Identity)?;
    train_on_host(x, weight, bias, eps, Activation::Identity, true)
}

fn train_on_host(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
    activation: Activation,
    is_apart: bool,
) -> Result<BatchNormOutput<Shifted>> {
    let x = x.contiguous()?;
    let dims = weight.dims();
    let (mean, variance) = read(&x, |values| moments::moments(values, weight.elem_count()))?;
    let scale = inverse_deviation(&variance, eps);
    let shift = is_apart.then(|| {
        let statistics = cpu::Statistics { mean: &mean, scale: &scale };
        let shift =
            read(weight, |weight| read(bias, |bias| cpu::Affine::new(statistics, weight, bias, activation).shift()));
        tensor(shift??, dims)
    });
    let op =
        BatchNorm { statistics: Statistics::Host { mean: mean.clone(), scale }, trains: true, activation, is_apart };
    let values = autograd::apply_op3(&x, &weight.contiguous()?, &bias.contiguous()?, op)?;
    Ok(BatchNormOutput {
        output: Shifted { values, shift: shift.transpose()? },
        mean: tensor(mean, dims)?,
        variance: tensor(variance, dims)?,
    })
}

/// Normalises each channel of x (.., C) by running statistics (C), which take no gradient; else as
/// [`batch_norm_train`].
pub fn batch_norm_eval(
    x: &Tensor,
    running_mean: &Tensor,
    running_variance: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
    activation: Activation,
) -> Result<Tensor> {
    check(x, &[running_mean, running_variance, weight, bias], activation)?;
    if !is_fused(&[x, running_mean, running_variance, weight, bias]) {
        return naive_eval(x, running_mean, running_variance, weight, bias, eps, activation);
    }
    let statistics = running_statistics(running_mean, running_variance, eps)?;
    let op = BatchNorm { statistics, trains: false, activation, is_apart: false };
    autograd::apply_op3(&x.contiguous()?, &weight.contiguous()?, &bias.contiguous()?, op)
}

/// A batch norm in evaluation, the arguments of [`batch_norm_eval`]: what the product before it can take into its pass.
#[derive(Clone, Copy, Debug)]
pub struct RunningNorm<'a> {
    pub mean: &'a Tensor,
    pub variance: &'a Tensor,
    pub weight: &'a Tensor,
    pub bias: &'a Tensor,
    pub eps: f64,
    pub activation: Activation,
}

impl RunningNorm<'_> {
    /// [`batch_norm_eval`] of x.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let Self { mean, variance, weight, bias, eps, activation } = *self;
        batch_norm_eval(x, mean, variance, weight, bias, eps, activation)
    }

    pub(crate) fn tensors(&self) -> [&Tensor; 4] {
        [self.mean, self.variance, self.weight, self.bias]
    }

    /// The numbers of it, of a product with so many channels.
    pub(crate) fn frozen(&self, channels: usize) -> Result<Frozen> {
        self.activation.check()?;
        if self.tensors().iter().any(|tensor| tensor.dims() != [channels]) {
            let found = self.tensors().map(Tensor::dims);
            bail!("batch_norm: expected a value for each of {channels} channels, found {found:?}")
        }
        let scale = read(self.variance, |variance| inverse_deviation(variance, self.eps))?;
        let [mean, weight, bias] = [self.mean, self.weight, self.bias].map(|tensor| read(tensor, <[f32]>::to_vec));
        Ok(Frozen::new(mean?, &scale, &weight?, bias?, self.activation))
    }
}

/// [`batch_norm_train`] in candle's ops.
pub fn naive_train(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
    activation: Activation,
) -> Result<BatchNormOutput> {
    let rows = x.reshape(((), x.dim(D::Minus1)?))?;
    let mean = rows.mean(0)?;
    let variance = rows.broadcast_sub(&mean)?.sqr()?.mean(0)?;
    let output = normalise(x, &mean, &variance, weight, bias, eps, activation)?;
    Ok(BatchNormOutput { output, mean: mean.detach(), variance: variance.detach() })
}

/// [`batch_norm_eval`] in candle's ops.
pub fn naive_eval(
    x: &Tensor,
    running_mean: &Tensor,
    running_variance: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
    activation: Activation,
) -> Result<Tensor> {
    normalise(x, &running_mean.detach(), &running_variance.detach(), weight, bias, eps, activation)
}

fn normalise(
    x: &Tensor,
    mean: &Tensor,
    variance: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
    activation: Activation,
) -> Result<Tensor> {
    let normal = x.broadcast_sub(mean)?.broadcast_div(&(variance + eps)?.sqrt()?)?;
    activation::naive(&normal.broadcast_mul(weight)?.broadcast_add(bias)?, activation)
}

fn check_training(x: &Tensor, weight: &Tensor, bias: &Tensor, activation: Activation) -> Result<()> {
    let channels = check(x, &[weight, bias], activation)?;
    if x.elem_count() < 2 * channels {
        bail!("batch_norm: training needs more than one value a channel, found an input {:?}", x.dims())
    }
    Ok(())
}

fn check(x: &Tensor, of_channels: &[&Tensor], activation: Activation) -> Result<usize> {
    activation.check()?;
    match x.dims().last() {
        Some(&channels) if channels > 0 && of_channels.iter().all(|tensor| tensor.dims() == [channels]) => Ok(channels),
        _ => bail!(
            "batch_norm: expected an input (.., C) and a value for each of its channels, found {:?} and {:?}",
            x.dims(),
            of_channels.iter().map(|tensor| tensor.dims()).collect::<Vec<_>>()
        ),
    }
}

fn inverse_deviation(variance: &[f32], eps: f64) -> Vec<f32> {
    variance.iter().map(|variance| (1.0 / (f64::from(*variance) + eps).sqrt()) as f32).collect()
}

/// Each channel's mean and one over its standard deviation.
enum Statistics {
    Host {
        mean: Vec<f32>,
        scale: Vec<f32>,
    },
    /// (2, C)
    #[cfg(feature = "cuda")]
    Cuda(Fresh),
}

impl Statistics {
    fn on_host(&self) -> Result<cpu::Statistics<'_>> {
        match self {
            Statistics::Host { mean, scale } => Ok(cpu::Statistics { mean, scale }),
            #[cfg(feature = "cuda")]
            Statistics::Cuda(_) => bail!("batch_norm: the statistics are on a GPU, the input is not"),
        }
    }

    #[cfg(feature = "cuda")]
    fn on_cuda(&self) -> Result<CudaArray<'_>> {
        match self {
            Statistics::Cuda(coefficients) => Ok(coefficients.array()),
            Statistics::Host { .. } => bail!("batch_norm: the input is on a GPU, the statistics are not"),
        }
    }
}

fn running_statistics(mean: &Tensor, variance: &Tensor, eps: f64) -> Result<Statistics> {
    #[cfg(feature = "cuda")]
    if mean.device().is_cuda() {
        let (mean, variance) = (mean.contiguous()?, variance.contiguous()?);
        let of = |gpu: &std::sync::Arc<Gpu>, mean: CudaArray| {
            lend(&variance, |_, variance| cuda::running_coefficients(gpu, mean, variance, eps))
        };
        return Ok(Statistics::Cuda(lend(&mean, of)?));
    }
    let scale = read(variance, |variance| inverse_deviation(variance, eps))?;
    Ok(Statistics::Host { mean: read(mean, <[f32]>::to_vec)?, scale })
}

struct BatchNorm {
    statistics: Statistics,
    /// Whether the statistics are this batch's, so that the gradient goes through them.
    trains: bool,
    activation: Activation,
    /// Whether the output is that less what becomes of zero. Without an activation.
    is_apart: bool,
}

impl autograd::Taped for BatchNorm {
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Arguments
    }

    fn is_cheap(&self) -> bool {
        true
    }
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
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
        let (x, weight, bias) = (Array::new(x, lx)?, Array::new(weight, lw)?, Array::new(bias, lb)?);
        let statistics = self.statistics.on_host()?;
        let affine = cpu::Affine::new(statistics, weight.values, bias.values, self.activation);
        let output = if self.is_apart { affine.without_shift(x.values) } else { affine.forward(x.values) };
        Ok((CpuStorage::F32(output), lx.shape().clone()))
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
        let gpu = Gpu::of(&x.device)?;
        let [x, weight, bias] = [CudaArray::new(x, lx)?, CudaArray::new(weight, lw)?, CudaArray::new(bias, lb)?];
        Ok(self.on_cuda(x, weight, bias)?.forward(&gpu)?.into_storage())
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, bias: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Gradients> {
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            return self.cuda_backward(x, weight, bias, gradient);
        }
        let statistics = self.statistics.on_host()?;
        let [of_weight, of_bias] = [read(weight, <[f32]>::to_vec)?, read(bias, <[f32]>::to_vec)?];
        let affine = cpu::Affine::new(statistics, &of_weight, &of_bias, self.activation);
        read(x, |values| {
            read(gradient, |gradient| {
                let needed = weight.track_op() || bias.track_op() || (self.trains && x.track_op());
                let (for_weight, for_bias) =
                    if needed { affine.parameter_gradients(values, gradient) } else { Default::default() };
                let for_x = x.track_op().then(|| {
                    let through = self.trains.then_some((&for_weight[..], &for_bias[..]));
                    tensor(affine.input_gradient(values, gradient, through), x.dims())
                });
                let for_weight = weight.track_op().then(|| tensor(for_weight, weight.dims()));
                let for_bias = bias.track_op().then(|| tensor(for_bias, bias.dims()));
                Ok((for_x.transpose()?, for_weight.transpose()?, for_bias.transpose()?))
            })
        })??
    }
}

type Gradients = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

#[cfg(feature = "cuda")]
impl BatchNorm {
    fn on_cuda<'a>(
        &'a self,
        x: CudaArray<'a>,
        weight: CudaArray<'a>,
        bias: CudaArray<'a>,
    ) -> Result<cuda::Normalisation<'a>> {
        let coefficients = self.statistics.on_cuda()?;
        Ok(cuda::Normalisation { x, coefficients, weight, bias, activation: self.activation })
    }

    fn cuda_backward(&self, x: &Tensor, weight: &Tensor, bias: &Tensor, gradient: &Tensor) -> Result<Gradients> {
        let gradient = gradient.contiguous()?;
        let [of_x, of_weight, of_bias] = [x, weight, bias].map(|tensor| lend(tensor, |_, array| Ok(array.pointer)));
        lend(&gradient, |gpu, gradient| {
            let array = |pointer, tensor: &'_ Tensor| CudaArray { pointer, dims: &[], dtype: tensor.dtype() };
            let [of_weight, of_bias] = [array(of_weight?, weight), array(of_bias?, bias)];
            let of_x = CudaArray { pointer: of_x?, dims: x.dims(), dtype: x.dtype() };
            let normalisation = self.on_cuda(of_x, of_weight, of_bias)?;
            let needed = weight.track_op() || bias.track_op() || (self.trains && x.track_op());
            let sums = needed.then(|| normalisation.parameter_gradients(gpu, gradient)).transpose()?;
            let for_x = x.track_op().then(|| {
                let through = sums.as_ref().filter(|_| self.trains);
                let through = through.map(|(weight, bias)| [weight.array(), bias.array()]);
                normalisation.input_gradient(gpu, gradient, through)
            });
            let for_x = for_x.transpose()?.map(Fresh::into_tensor);
            let Some((for_weight, for_bias)) = sums else { return Ok((for_x, None, None)) };
            let for_weight = weight.track_op().then(|| for_weight.into_tensor());
            Ok((for_x, for_weight, bias.track_op().then(|| for_bias.into_tensor())))
        })
    }
}
