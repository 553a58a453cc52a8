//! What a batch norm normalises by.

use super::across_shards::{AcrossShards, moments_of_all};
use super::cpu::MeanAndScale;
#[cfg(feature = "cuda")]
use super::cuda;
use super::moments;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Fresh, Gpu, lend};
use crate::kernels::storage::{read, tensor};
#[cfg(feature = "cuda")]
use candle_core::bail;
use candle_core::{Result, Tensor};

/// Each channel's mean and one over its standard deviation.
pub enum Statistics {
    Host {
        mean: Vec<f32>,
        scale: Vec<f32>,
    },
    /// (2, C)
    #[cfg(feature = "cuda")]
    Cuda(Fresh),
}

impl Statistics {
    /// Of running estimates (C).
    pub fn running(mean: &Tensor, variance: &Tensor, eps: f64) -> Result<Self> {
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

    pub fn on_host(&self) -> Result<MeanAndScale<'_>> {
        match self {
            Statistics::Host { mean, scale } => Ok(MeanAndScale { mean, scale }),
            #[cfg(feature = "cuda")]
            Statistics::Cuda(_) => bail!("batch_norm: the statistics are on a GPU, the input is not"),
        }
    }

    #[cfg(feature = "cuda")]
    pub fn on_cuda(&self) -> Result<CudaArray<'_>> {
        match self {
            Statistics::Cuda(coefficients) => Ok(coefficients.array()),
            Statistics::Host { .. } => bail!("batch_norm: the input is on a GPU, the statistics are not"),
        }
    }
}

/// Statistics of a batch, and the same for the running estimates.
pub struct BatchStatistics {
    pub statistics: Statistics,
    /// Values of each channel.
    pub count: usize,
    /// (C)
    pub mean: Tensor,
    /// Biased, (C).
    pub variance: Tensor,
}

impl BatchStatistics {
    /// Of x, contiguous rows of so many channels; over all shards where there are several.
    pub fn of(x: &Tensor, channels: usize, eps: f64, shards: Option<&dyn AcrossShards>) -> Result<Self> {
        let count = x.elem_count() / channels;
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            let [mean, variance, coefficients] = lend(x, |gpu, x| cuda::moments(gpu, x, eps))?;
            let statistics = Statistics::Cuda(coefficients);
            return Ok(Self { statistics, count, mean: mean.into_tensor(), variance: variance.into_tensor() });
        }
        let own = read(x, |values| moments::moments(values, channels))?;
        let (count, (mean, variance)) = match shards {
            Some(shards) => {
                let all = moments_of_all(shards, &own)?;
                (all.count as usize, all.mean_and_variance())
            }
            None => (count, own.mean_and_variance()),
        };
        let statistics = Statistics::Host { mean: mean.clone(), scale: inverse_deviation(&variance, eps) };
        Ok(Self { statistics, count, mean: tensor(mean, &[channels])?, variance: tensor(variance, &[channels])? })
    }
}

fn inverse_deviation(variance: &[f32], eps: f64) -> Vec<f32> {
    variance.iter().map(|variance| (1.0 / (f64::from(*variance) + eps).sqrt()) as f32).collect()
}
