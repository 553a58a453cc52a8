//! How a batch norm's output changes as its input does, and the gradient of that.
//!
//! With x̂ the normalised values, s = 1 / √(variance + eps) and n values a channel, a change d of the input changes the output
//! before its activation by
//!
//! γ s J d, J d = d - mean(d) - x̂ mean(x̂ d).
//!
//! J is symmetric: the backward pass is the same map. Of a gradient h, with A = Σ (h - mean(h)) (d - mean(d)),
//! B_h = Σ x̂ h and B_d = Σ x̂ d, what goes to γ is s (A - B_h B_d / n), and what goes to x is
//!
//! -γ s² / n (x̂ (A - 3 B_h B_d / n) + (h - mean(h)) B_d + (d - mean(d)) B_h).

use super::across_shards::{shards, sums_of_all};
use super::cpu::{CpuNorm, MeanAndScale, ThroughStatistics, combination};
use super::statistics::BatchStatistics;
use crate::autograd;
use crate::kernels::activation::Activation;
use crate::kernels::storage::{Array, is_host, read_all, tensor};
use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor, bail};

/// The change of [`batch_norm_train`](super::batch_norm_train)'s output, without its bias and activation, as x (.., C)
/// changes by `change`, of the same shape; weight (C) is held. To be differentiated in all three.
///
/// Fused on the CPU alone; there within [`norm_across`](super::norm_across) it is over all shards.
pub fn batch_norm_tangent(x: &Tensor, weight: &Tensor, change: &Tensor, eps: f64) -> Result<Tensor> {
    let channels = super::check(x, &[weight], Activation::Identity)?;
    if change.dims() != x.dims() {
        bail!("batch_norm_tangent: a change of {:?} of an input {:?}", change.dims(), x.dims());
    }
    if !is_host(&[x, weight, change]) {
        return naive(x, weight, change, eps);
    }
    let (x, shards) = (x.contiguous()?, shards());
    let BatchStatistics { statistics, count, .. } = BatchStatistics::of(&x, channels, eps, shards.as_deref())?;
    let MeanAndScale { mean, scale } = statistics.on_host()?;
    let op = BatchNormTangent { mean: mean.to_vec(), scale: scale.to_vec(), count, is_across_shards: shards.is_some() };
    autograd::apply_op3(&x, &weight.contiguous()?, &change.contiguous()?, op)
}

/// [`batch_norm_tangent`] in candle's ops.
pub fn naive(x: &Tensor, weight: &Tensor, change: &Tensor, eps: f64) -> Result<Tensor> {
    let rows = |x: &Tensor| x.reshape(((), x.dim(D::Minus1)?)); // (R, C)
    let centred = |rows: Tensor| rows.broadcast_sub(&rows.mean(0)?);
    let (dims, x, change) = (x.dims(), centred(rows(x)?)?, centred(rows(change)?)?);
    let scale = (x.sqr()?.mean(0)? + eps)?.sqrt()?.recip()?; // (C)
    let normal = x.broadcast_mul(&scale)?;
    let along = normal.broadcast_mul(&(&normal * &change)?.mean(0)?)?;
    (change - along)?.broadcast_mul(&(scale * weight)?)?.reshape(dims)
}

struct BatchNormTangent {
    /// Of the batch, each channel's.
    mean: Vec<f32>,
    scale: Vec<f32>,
    /// Values of each channel.
    count: usize,
    is_across_shards: bool,
}

impl BatchNormTangent {
    /// The sums of all shards, from those of this one.
    fn of_all<const N: usize>(&self, sums: [&[f64]; N]) -> Result<[Vec<f32>; N]> {
        match (self.is_across_shards, shards()) {
            (true, Some(shards)) => sums_of_all(&*shards, sums),
            (true, None) => bail!("batch_norm: its backward pass must be across the shards too"),
            (false, _) => Ok(sums.map(|sums| sums.iter().map(|sum| *sum as f32).collect())),
        }
    }

    /// Those of x, of the weight and of the change, from that of the output.
    fn gradients(&self, x: &[f32], weight: &[f32], change: &[f32], gradient: &[f32]) -> Result<[Vec<f32>; 3]> {
        let (channels, count) = (weight.len(), self.count as f64);
        let (no_bias, ones) = (vec![0.0; channels], vec![1.0; channels]);
        let norm = CpuNorm::new(self.statistics(), weight, &no_bias, Activation::Identity);
        let [of_change, of_gradient] = [change, gradient].map(|values| norm.parameter_gradients(x, values));
        let [along_d, sum_d, along_h, sum_h] =
            self.of_all([&of_change[0], &of_change[1], &of_gradient[0], &of_gradient[1]])?;
        // A as Σ h (d - mean(d)): nothing cancels that need not.
        let means: Vec<f32> = sum_d.iter().map(|sum| (f64::from(*sum) / count) as f32).collect();
        let about_means = MeanAndScale { mean: &means, scale: &ones };
        let about_means = CpuNorm::new(about_means, &ones, &no_bias, Activation::Identity);
        let [of_both, _] = about_means.parameter_gradients(change, gradient);
        let [of_both_in_all] = self.of_all([&of_both])?;

        let (mut for_weight, mut factors) = (Vec::with_capacity(channels), <[Vec<f32>; 4]>::default());
        for c in 0..channels {
            let [scale, along_d, along_h, sum_d, sum_h, both] =
                [&self.scale, &along_d, &along_h, &sum_d, &sum_h, &of_both_in_all].map(|values| f64::from(values[c]));
            // The weight's is of this shard alone: it is added up over the shards with the others.
            for_weight.push((scale * (of_both[c] - of_gradient[0][c] * along_d / count)) as f32);
            let share = -f64::from(weight[c]) * scale * scale / count;
            let of_channel = [
                share * scale * (both - 3.0 * along_h * along_d / count),
                share * along_d,
                share * along_h,
                -share * (sum_h * along_d + sum_d * along_h) / count,
            ];
            factors.iter_mut().zip(of_channel).for_each(|(factor, value)| factor.push(value as f32));
        }
        let through = ThroughStatistics { for_weight: &along_h, for_bias: &sum_h, count: self.count };
        let for_change = norm.input_gradient(x, gradient, Some(&through));
        Ok([combination([x, gradient, change], &self.mean, &factors), for_weight, for_change])
    }

    fn statistics(&self) -> MeanAndScale<'_> {
        MeanAndScale { mean: &self.mean, scale: &self.scale }
    }
}

impl autograd::Taped for BatchNormTangent {
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Arguments
    }
}

impl CustomOp3 for BatchNormTangent {
    fn name(&self) -> &'static str {
        "batch_norm_tangent"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        weight: &CpuStorage,
        lw: &Layout,
        change: &CpuStorage,
        lc: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight, change) = (Array::new(x, lx)?, Array::new(weight, lw)?, Array::new(change, lc)?);
        let no_bias = vec![0.0; weight.values.len()];
        let norm = CpuNorm::new(self.statistics(), weight.values, &no_bias, Activation::Identity);
        // Σ x̂ d and Σ d of each channel, the gradients that d would give weight and bias.
        let sums = norm.parameter_gradients(x.values, change.values);
        let [along, total] = self.of_all(sums.each_ref().map(Vec::as_slice))?;
        let through = ThroughStatistics { for_weight: &along, for_bias: &total, count: self.count };
        Ok((CpuStorage::F32(norm.input_gradient(x.values, change.values, Some(&through))), lx.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        change: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let given = read_all(&[x, weight, change, &gradient], |lent| match *lent {
            [x, weight, change, gradient] => self.gradients(x, weight, change, gradient),
            _ => bail!("batch_norm_tangent: expected four tensors"),
        })??;
        let mut given = given
            .into_iter()
            .zip([x, weight, change])
            .map(|(values, argument)| argument.track_op().then(|| tensor(values, argument.dims())).transpose());
        let mut next = || given.next().transpose().map(Option::flatten);
        Ok((next()?, next()?, next()?))
    }
}
