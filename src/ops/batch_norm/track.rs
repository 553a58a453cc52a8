use candle_core::{Result, Tensor, Var};

#[cfg(feature = "cuda")]
use crate::kernels::cuda::lend;
use crate::ops::lerp_in_place;

/// Moves running statistics (C) by `momentum` towards a batch's mean and biased variance (C), in place; the variance is
/// made unbiased for a batch of `count` values a channel. `batches`, a scalar of i64, counts one more.
pub fn track_statistics(
    [running_mean, running_variance, batches]: [&Var; 3],
    mean: &Tensor,
    variance: &Tensor,
    count: usize,
    momentum: f64,
) -> Result<()> {
    let correction = count as f64 / (count as f64 - 1.0);
    #[cfg(feature = "cuda")]
    if mean.device().is_cuda() {
        let [running_mean, running_variance, batches, mean, variance] =
            [running_mean, running_variance, batches, mean, variance].map(|tensor| tensor.contiguous());
        let (mean, variance) = (mean?, variance?);
        return lend(&running_mean?, |gpu, running_mean| {
            lend(&running_variance?, |_, running_variance| {
                lend(&batches?, |_, batches| {
                    lend(&mean, |_, mean| {
                        lend(&variance, |_, variance| {
                            let running = [running_mean, running_variance, batches];
                            super::cuda::track(gpu, running, [mean, variance], correction, momentum)
                        })
                    })
                })
            })
        });
    }
    lerp_in_place(running_mean, mean, momentum)?;
    lerp_in_place(running_variance, &(variance * correction)?, momentum)?;
    batches.set(&(batches.as_detached_tensor() + 1.0)?)
}
