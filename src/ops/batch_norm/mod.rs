//! Batch normalisation over the last dimension, then an activation (Ioffe & Szegedy, arXiv 1502.03167).

mod across_shards;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod moments;
mod op;
mod statistics;
mod tangent;
mod track;

use super::activation;
use crate::autograd;
use crate::kernels::activation::Activation;
use crate::kernels::storage::{is_fused, is_host};
pub use across_shards::{AcrossShards, norm_across};
use candle_core::{D, Result, Tensor, bail};
use op::BatchNormOp;
use statistics::{BatchStatistics, Statistics};
pub use tangent::{batch_norm_tangent, naive as naive_tangent};
pub use track::track_statistics;

/// What [`batch_norm_train`] gives; from the statistics a layer updates its running ones.
#[derive(Clone, Debug)]
pub struct BatchNormOutput {
    /// (.., C), as the input.
    pub output: Tensor,
    /// The batch's mean (C); no gradient goes through it.
    pub mean: Tensor,
    /// The batch's biased variance (C), the sum of squares over the count; no gradient goes through it.
    pub variance: Tensor,
    /// Values of each channel, of all shards where [`norm_across`] has several.
    pub count: usize,
    /// Whether the running statistics are to move: of several shards that share them one moves them for all.
    pub moves_running_statistics: bool,
}

/// Normalises each channel of x (.., C) by the mean and biased variance of this batch, scales it by weight (C), adds
/// bias (C), and applies `activation`. As `torch.nn.functional.batch_norm` in training, and as there it is an error if
/// a channel has fewer than two values.
///
/// Within [`norm_across`] the statistics are those of all shards, as `torch.nn.SyncBatchNorm` has them: on the CPU, in f32.
/// There a shard may have one value of a channel, as long as others have some too.
pub fn batch_norm_train(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
    activation: Activation,
) -> Result<BatchNormOutput> {
    let channels = check(x, &[weight, bias], activation)?;
    let shards = across_shards::shards();
    if shards.is_none() {
        check_count(x, x.elem_count() / channels)?;
    }
    if shards.is_some() && !is_host(&[x, weight, bias]) {
        bail!("batch_norm: across shards it is on the CPU and in f32, found {:?} on {:?}", x.dtype(), x.device())
    }
    if !is_fused(&[x, weight, bias]) {
        return naive_train(x, weight, bias, eps, activation);
    }
    let x = x.contiguous()?;
    let BatchStatistics { statistics, count, mean, variance } =
        BatchStatistics::of(&x, channels, eps, shards.as_deref())?;
    check_count(&x, count)?;
    let moves_running_statistics = shards.as_ref().is_none_or(|shards| shards.moves_running_statistics());
    let op = BatchNormOp { statistics, trains: true, is_across_shards: shards.is_some(), count, eps, activation };
    let output = autograd::apply_op3(&x, &weight.contiguous()?, &bias.contiguous()?, op)?;
    Ok(BatchNormOutput { output, mean, variance, count, moves_running_statistics })
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
    let statistics = Statistics::running(running_mean, running_variance, eps)?;
    let count = x.elem_count() / running_mean.elem_count();
    let op = BatchNormOp { statistics, trains: false, is_across_shards: false, count, eps, activation };
    autograd::apply_op3(&x.contiguous()?, &weight.contiguous()?, &bias.contiguous()?, op)
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
    let (count, mean, variance) = (rows.dim(0)?, mean.detach(), variance.detach());
    Ok(BatchNormOutput { output, mean, variance, count, moves_running_statistics: true })
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

/// Refuses statistics of so few values a channel.
fn check_count(x: &Tensor, count: usize) -> Result<()> {
    if count < 2 {
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
