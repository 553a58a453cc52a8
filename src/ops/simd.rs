//! The widest vectors that the machine has, chosen when the program runs.

/// Runs `work` compiled for the best instruction set of this machine (AVX-512, AVX2 with FMA, or the baseline).
///
/// Only what is inlined into `work` is compiled so: its closure must be `#[inline(always)]`. The results are the same
/// bits on every path, because Rust neither reorders floating-point sums nor contracts products into them.
#[inline(always)]
pub fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// The same for work that is written in vectors.
pub fn with_vectors<W: pulp::WithSimd>(work: W) -> W::Output {
    pulp::Arch::new().dispatch(work)
}

/// The vector of `values` from `start` on, with zeros where they end.
#[inline(always)]
pub fn load<S: pulp::Simd>(simd: S, values: &[f32], start: usize) -> S::f32s {
    match values.get(start..start + S::F32_LANES) {
        Some(values) => S::as_simd_f32s(values).0[0],
        None => load_end(simd, values, start),
    }
}

#[cold]
#[inline(never)]
fn load_end<S: pulp::Simd>(simd: S, values: &[f32], start: usize) -> S::f32s {
    simd.partial_load_f32s(values.get(start..).unwrap_or_default())
}

/// Writes a vector to `values` from `start` on, as far as they reach.
#[inline(always)]
pub fn store<S: pulp::Simd>(simd: S, values: &mut [f32], start: usize, vector: S::f32s) {
    match values.get_mut(start..start + S::F32_LANES) {
        Some(values) => S::as_mut_simd_f32s(values).0[0] = vector,
        None => store_end(simd, values, start, vector),
    }
}

#[cold]
#[inline(never)]
fn store_end<S: pulp::Simd>(simd: S, values: &mut [f32], start: usize, vector: S::f32s) {
    simd.partial_store_f32s(values.get_mut(start..).unwrap_or_default(), vector);
}
