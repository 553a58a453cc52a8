//! The widest vectors that the machine has, chosen when the program runs.

/// Runs `work` compiled for the best instruction set of this machine (AVX-512, AVX2 with FMA, or the baseline).
///
/// Only what is inlined into `work` is compiled so: its closure must be `#[inline(always)]`. The results are the same
/// bits on every path, because Rust neither reorders floating-point sums nor contracts products into them.
#[inline(always)]
pub fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// The same for work that is written in vectors. It may round a multiplication and addition once where the instruction
/// set can, so its last bits may differ from one set to another.
pub fn with_vectors<W: pulp::WithSimd>(work: W) -> W::Output {
    pulp::Arch::new().dispatch(work)
}

/// The vector of `values` that starts at `start`, all of it.
#[inline(always)]
pub fn load<S: pulp::Simd>(values: &[f32], start: usize) -> S::f32s {
    S::as_simd_f32s(&values[start..start + S::F32_LANES]).0[0]
}

/// The same with zeros where the values end. Compiled for the baseline, for the ends of rows.
#[cold]
#[inline(never)]
pub fn load_end<S: pulp::Simd>(simd: S, values: &[f32], start: usize) -> S::f32s {
    let end = values.len().min(start + S::F32_LANES);
    simd.partial_load_f32s(values.get(start..end).unwrap_or_default())
}

/// Writes a vector to `values` from `start` on, all of it.
#[inline(always)]
pub fn store<S: pulp::Simd>(values: &mut [f32], start: usize, vector: S::f32s) {
    S::as_mut_simd_f32s(&mut values[start..start + S::F32_LANES]).0[0] = vector;
}

/// The same as far as the values reach. Compiled for the baseline, for the ends of rows.
#[cold]
#[inline(never)]
pub fn store_end<S: pulp::Simd>(simd: S, values: &mut [f32], start: usize, vector: S::f32s) {
    let end = values.len().min(start + S::F32_LANES);
    simd.partial_store_f32s(values.get_mut(start..end).unwrap_or_default(), vector);
}

/// Short rows are taken together, so that loops over columns have the length of a few vectors at least.
pub fn rows_in_a_pattern(columns: usize) -> usize {
    (256 / columns.max(1)).max(1)
}

/// `x`, or zero where it is too small for a normal number (1.2e-38). For what decays towards zero and is kept: the
/// moments of weights behind a unit that is dead would end as subnormal numbers and stay, and an operation on one of
/// those takes a hundred times as long on many processors. NaN stays NaN.
#[inline(always)]
pub fn normal_or_zero(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0.0 } else { x }
}
