//! Steps, and what needs no gradient.

use crate::autograd::precision::{in_precision, precision};
use crate::autograd::tape::{Tape, with_tape};
use crate::kernels::exclusion::{exclusive, shared, within};
use crate::kernels::precision::Precision;
use std::cell::Cell;
use std::panic::resume_unwind;
use std::thread;

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

thread_local! {
    /// Whether this thread computes a part of a step that waits for other parts.
    static IS_PART: Cell<bool> = const { Cell::new(false) };
}

/// Runs a step in `count` parts that wait for each other: `step` for each of 0 to `count` - 1, each on a thread of its own
/// with a tape of its own. These threads are not the pool's, which would take up the work of one part while they wait in
/// another and never come back to it; so each op wakes the pool, and a step in parts takes longer.
///
/// # Panics
/// If a part does.
pub fn training_step_in_parts<R: Send>(precision: Precision, count: usize, step: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let part = |part: usize| {
        IS_PART.set(true);
        within(|| with_tape(Some(Tape::default()), || in_precision(precision, || step(part))))
    };
    let part = &part;
    exclusive(|| {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..count).map(|number| scope.spawn(move || part(number))).collect();
            let results = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
            results.collect()
        })
    })
}

/// Runs what needs no gradient, on one of the pool's own threads unless this is a part of a step: outputs keep nothing
/// alive that candle would not.
/// Within a step the products are in the step's precision. Other threads may be in [`inference`] too, beside it, but none
/// in a [`training_step`]: `work` must not change tensors that they have.
pub fn inference<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let precision = precision();
    let run = || with_tape(None, || in_precision(precision, work));
    match IS_PART.get() {
        true => run(),
        false => shared(|| rayon::scope(|_| run())),
    }
}
