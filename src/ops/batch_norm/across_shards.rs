//! Batch norms over several shards of a batch, each of which is computed apart from the others.

use super::moments::{Moments, joined};
use candle_core::{Result, bail};
use std::cell::RefCell;
use std::sync::Arc;

/// The shards of a batch, as one of them sees the others. Every call is made in all of them, in the same order.
pub trait AcrossShards: Send + Sync {
    /// What each shard gives, in the order of the shards: as many values from each.
    fn gather(&self, own: Vec<f64>) -> Result<Vec<Vec<f64>>>;

    /// Whether this shard moves the running statistics that it shares with others, whose batch statistics are the same.
    fn moves_running_statistics(&self) -> bool;
}

thread_local! {
    static SHARDS: RefCell<Option<Arc<dyn AcrossShards>>> = const { RefCell::new(None) };
}

/// Runs `work` on one shard of a batch with batch norms, forward and backward, over all of `shards`. On this thread: steps
/// and inference that `work` begins must run on it too.
pub fn norm_across<R>(shards: Arc<dyn AcrossShards>, work: impl FnOnce() -> R) -> R {
    struct Restore(Option<Arc<dyn AcrossShards>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            SHARDS.set(self.0.take());
        }
    }
    let _restore = Restore(SHARDS.replace(Some(shards)));
    work()
}

/// The shards that this thread normalises across, if it does.
pub fn shards() -> Option<Arc<dyn AcrossShards>> {
    SHARDS.with_borrow(Clone::clone)
}

/// The moments of all shards, from those of one.
pub fn moments_of_all(shards: &dyn AcrossShards, own: &Moments) -> Result<Moments> {
    let channels = own.mean.len();
    let all = shards.gather([&[own.count][..], &own.mean, &own.squares].concat())?;
    let of = |values: Vec<f64>| match values.len() == 2 * channels + 1 {
        true => {
            let (mean, squares) = values[1..].split_at(channels);
            Ok(Moments { mean: mean.to_vec(), squares: squares.to_vec(), count: values[0] })
        }
        false => bail!("batch_norm: shards with other channels than {channels}"),
    };
    Ok(joined(channels, &all.into_iter().map(of).collect::<Result<Vec<_>>>()?))
}

/// The sums over all shards of what each gives, in the order of the shards.
pub fn sums_of_all<const N: usize>(shards: &dyn AcrossShards, own: [&[f64]; N]) -> Result<[Vec<f32>; N]> {
    let channels = own[0].len();
    let mut sums = vec![0.0; N * channels];
    for values in shards.gather(own.concat())? {
        if values.len() != sums.len() {
            bail!("batch_norm: shards with other channels than {channels}");
        }
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
    let of = |part: usize| &sums[part * channels..(part + 1) * channels];
    Ok(std::array::from_fn(|part| of(part).iter().map(|sum| *sum as f32).collect()))
}
