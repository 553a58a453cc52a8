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
use crate::kernels::storage::{Array, is_host, read, tensor};
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
        let (dims, of_weight) = (x.dims(), read(weight, <[f32]>::to_vec)?);
        let (channels, count) = (of_weight.len(), self.count as f64);
        let no_bias = vec![0.0; channels];
        let norm = CpuNorm::new(self.statistics(), &of_weight, &no_bias, Activation::Identity);
        read(x, |x_values| {
            read(change, |change_values| {
                read(gradient, |gradient| {
                    let of_change = norm.parameter_gradients(x_values, change_values);
                    let of_gradient = norm.parameter_gradients(x_values, gradient);
                    let [along_change, sum_of_change, along_gradient, sum_of_gradient] =
                        self.of_all([&of_change[0], &of_change[1], &of_gradient[0], &of_gradient[1]])?;
                    // Σ h (d - mean(d)), which is A: nothing cancels that need not.
                    let means: Vec<f32> = sum_of_change.iter().map(|sum| (f64::from(*sum) / count) as f32).collect();
                    let ones = vec![1.0; channels];
                    let about_mean = MeanAndScale { mean: &means, scale: &ones };
                    let about_mean = CpuNorm::new(about_mean, &ones, &no_bias, Activation::Identity);
                    let [of_both, _] = about_mean.parameter_gradients(change_values, gradient);
                    let [of_both_in_all] = self.of_all([&of_both])?;

                    let for_weight = (0..channels).map(|c| {
                        let along = of_gradient[0][c] * f64::from(along_change[c]) / count;
                        (f64::from(self.scale[c]) * (of_both[c] - along)) as f32
                    });
                    let for_weight = weight.track_op().then(|| tensor(for_weight.collect(), weight.dims()));
                    let through = ThroughStatistics {
                        for_weight: &along_gradient,
                        for_bias: &sum_of_gradient,
                        count: self.count,
                    };
                    let for_change = || tensor(norm.input_gradient(x_values, gradient, Some(&through)), dims);
                    let for_x = || {
                        let factors: [Vec<f32>; 4] = std::array::from_fn(|factor| {
                            let of_channel = |c: usize| {
                                let (scale, weight) = (f64::from(self.scale[c]), f64::from(of_weight[c]));
                                let [along_h, along_d] =
                                    [&along_gradient, &along_change].map(|sums| f64::from(sums[c]));
                                let [sum_h, sum_d] = [&sum_of_gradient, &sum_of_change].map(|sums| f64::from(sums[c]));
                                let share = -weight * scale * scale / count;
                                let both = f64::from(of_both_in_all[c]) - 3.0 * along_h * along_d / count;
                                (match factor {
                                    0 => share * scale * both,
                                    1 => share * along_d,
                                    2 => share * along_h,
                                    _ => -share * (sum_h * along_d + sum_d * along_h) / count,
                                }) as f32
                            };
                            (0..channels).map(of_channel).collect()
                        });
                        tensor(combination([x_values, gradient, change_values], &self.mean, &factors), dims)
                    };
                    Ok((
                        x.track_op().then(for_x).transpose()?,
                        for_weight.transpose()?,
                        change.track_op().then(for_change).transpose()?,
                    ))
                })
            })
        })???
    }
}
