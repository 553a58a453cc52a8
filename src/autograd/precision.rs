//! The precision of the step that a thread is in.

use crate::kernels::precision::Precision;
use candle_core::{Result, Tensor};
use std::cell::Cell;

thread_local! {
    static PRECISION: Cell<Precision> = const { Cell::new(Precision::F32) };
}

/// The precision of products in the step that this thread is in; outside of steps f32.
pub fn precision() -> Precision {
    PRECISION.get()
}

/// Runs a part of a step with its products in another precision than the step's, forward and, for the ops of this part,
/// backward.
pub fn in_precision<R>(precision: Precision, work: impl FnOnce() -> R) -> R {
    struct Restore(Precision);
    impl Drop for Restore {
        fn drop(&mut self) {
            PRECISION.set(self.0);
        }
    }
    let _restore = Restore(PRECISION.replace(precision));
    work()
}

/// `x` as a ResNet takes it in the precision of this step ([`Precision::of_activations`]). Layers pass their input's type on.
pub fn activations(x: &Tensor) -> Result<Tensor> {
    precision().of_activations(x.device()).map_or_else(|| Ok(x.clone()), |dtype| x.to_dtype(dtype))
}
