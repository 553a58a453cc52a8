//! The widest vectors that the machine has, chosen when the program runs.

/// Runs `work` compiled for the best instruction set of this machine (AVX-512, AVX2 with FMA, or the baseline).
///
/// Only what is inlined into `work` is compiled so: its closure must be `#[inline(always)]`. The results are the same
/// bits on every path, because Rust neither reorders floating-point sums nor contracts products into them.
#[inline(always)]
pub fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}
