//! Steps, and what needs no gradient.

use crate::autograd::precision::{in_precision, precision};
use crate::autograd::tape::{Tape, with_tape};
use crate::kernels::exclusion::{exclusive, shared};
use crate::kernels::precision::Precision;

/// Runs a step, forward passes and their [`backward`](crate::autograd::backward()), with products in `precision`, on one of
/// the pool's own threads. From there each op starts at once, where a thread outside of the pool wakes it and sleeps
/// itself, op by op.
///
/// Steps of several threads take turns, and [`inference`] waits for them: a step changes weights (`exclusion` says why).
/// The step must not wait for anything that needs the pool, and from the pool's own threads none must begin beside work on
/// the same tensors. There a thread that waits within an op may begin another step in the meantime; each has its own tape.
pub fn training_step<R: Send>(precision: Precision, step: impl FnOnce() -> R + Send) -> R {
    exclusive(|| rayon::scope(|_| with_tape(Some(Tape::default()), || in_precision(precision, step))))
}

/// Runs what needs no gradient, on one of the pool's own threads: outputs keep nothing alive that candle would not.
/// Within a step the products are in the step's precision. Other threads may be in [`inference`] too, beside it, but none
/// in a [`training_step`]: `work` must not change tensors that they have.
pub fn inference<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let precision = precision();
    shared(|| rayon::scope(|_| with_tape(None, || in_precision(precision, work))))
}
