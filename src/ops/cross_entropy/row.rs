//! The softmax cross-entropy of one row, and its gradient in the row's place.
//!
//! For closures of [`vectorised`](crate::kernels::cpu::simd::vectorised): all of it is inlined. Sums run in lanes, which is what
//! lets the compiler use vectors, and their order is part of the source.

/// Sums at a time: a vector of AVX-512 of f32, two of f64.
const LANES: usize = 16;

/// `-log(softmax(scale x)[label])` for a row x, whose values become the softmax, less 1 at the label: the gradient by
/// `scale` x. If `skipped` is a place, it is left out of the softmax. NaN anywhere else makes everything NaN.
///
/// The largest value is taken out before the exponential, and in the loss what is large is added in f64: it is finite
/// for finite values and any finite `scale` of at least 0, as f64.
#[inline(always)]
pub fn cross_entropy(row: &mut [f32], label: usize, skipped: Option<usize>, scale: f64) -> f64 {
    if let Some(place) = skipped {
        row[place] = f32::NEG_INFINITY;
    }
    let (largest, of_label) = (largest(row), row[label]);
    if let Some(place) = skipped {
        row[place] = largest; // -inf times a scale of 0 would be NaN
    }
    let scale_of_f32 = scale.min(f64::from(f32::MAX)) as f32;
    row.iter_mut().for_each(|x| *x = exp_below_zero((*x - largest) * scale_of_f32));
    if let Some(place) = skipped {
        row[place] = 0.0;
    }
    let total = sum(row);
    // 1 - softmax[label] without cancellation: it is the share of the others, 1e-9 where the row is nearly decided.
    let others = total - f64::from(row[label]);
    let share = (1.0 / total) as f32;
    row.iter_mut().for_each(|x| *x *= share);
    row[label] = -(others / total) as f32;
    (f64::from(largest) - f64::from(of_label)) * scale + total.ln()
}

/// Σ a b, in f64.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0f64; LANES];
    let (a_lines, b_lines) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let ends = a_lines.remainder().iter().zip(b_lines.remainder());
    for (a, b) in a_lines.zip(b_lines) {
        for lane in 0..LANES {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    sums.iter_mut().zip(ends).for_each(|(sum, (a, b))| *sum += f64::from(*a) * f64::from(*b));
    sums.iter().sum()
}

#[inline(always)]
fn sum(values: &[f32]) -> f64 {
    let mut sums = [0f64; LANES];
    let lines = values.chunks_exact(LANES);
    let end = lines.remainder();
    for line in lines {
        for lane in 0..LANES {
            sums[lane] += f64::from(line[lane]);
        }
    }
    sums.iter_mut().zip(end).for_each(|(sum, value)| *sum += f64::from(*value));
    sums.iter().sum()
}

/// The largest value that is not NaN.
#[inline(always)]
fn largest(values: &[f32]) -> f32 {
    let mut largest = [f32::NEG_INFINITY; LANES];
    let lines = values.chunks_exact(LANES);
    let end = lines.remainder();
    for line in lines {
        for lane in 0..LANES {
            largest[lane] = if line[lane] > largest[lane] { line[lane] } else { largest[lane] };
        }
    }
    end.iter().chain(&largest).fold(f32::NEG_INFINITY, |largest, x| if *x > largest { *x } else { largest })
}

/// Below, exp is less than the smallest normal f32.
const LOWEST: f32 = -87.336_54;

/// exp(x) for x ≤ 0, with a relative error below 2e-7; 0 below [`LOWEST`]. NaN stays NaN. Cephes' expf: x is
/// n log 2 + r, and exp(r) a polynomial.
#[inline(always)]
fn exp_below_zero(x: f32) -> f32 {
    /// 1.5 * 2^23: a small number added to it is rounded to an integer, which stands in the sum's last bits.
    const ROUNDING: f32 = 12_582_912.0;
    let inner = if x < LOWEST { LOWEST } else { x };
    let rounded = inner * std::f32::consts::LOG2_E + ROUNDING;
    let n = rounded - ROUNDING;
    let r = (inner - n * 0.693_359_4) - n * -2.121_944_4e-4; // log 2 in two parts, the first of few bits
    let mut polynomial = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1] {
        polynomial = polynomial * r + coefficient;
    }
    let power = f32::from_bits(rounded.to_bits().wrapping_add(127) << 23); // 2^n
    let exp = (polynomial * r * r + r + 1.0) * power;
    if x < LOWEST { 0.0 } else { exp }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_below_zero_is_exp() {
        let mut worst = 0f64;
        for step in 0..=1_000_000 {
            let x = LOWEST * (step as f32 * 1e-6);
            let expected = f64::from(x).exp();
            worst = worst.max((f64::from(exp_below_zero(x)) - expected).abs() / expected);
        }
        assert!(worst <= 2e-7, "{worst}");
        assert_eq!([0.0, -0.0, -87.4, -1e30, f32::NEG_INFINITY].map(exp_below_zero), [1.0, 1.0, 0.0, 0.0, 0.0]);
        assert!(exp_below_zero(f32::NAN).is_nan());
    }

    #[test]
    fn a_row_is_what_it_is_in_f64() {
        for (len, skipped) in [(2, Some(0)), (3, None), (16, Some(4)), (33, Some(32)), (250, None)] {
            let row: Vec<f32> = (0..len).map(|place| (place as f32 * 0.7).sin()).collect();
            for scale in [0.0, 1e-3, 1.0, 20.0] {
                let (mut slopes, label) = (row.clone(), 1);
                let loss = cross_entropy(&mut slopes, label, skipped, scale);
                let exps = row.iter().enumerate().map(|(place, x)| match skipped == Some(place) {
                    true => 0.0,
                    false => (f64::from(*x) * scale).exp(),
                });
                let exps: Vec<f64> = exps.collect();
                let total: f64 = exps.iter().sum();
                let expected = (total / exps[label]).ln();
                assert!((loss - expected).abs() <= 1e-6 * expected.max(1.0), "{loss}, not {expected}");
                for (place, (slope, exp)) in slopes.iter().zip(&exps).enumerate() {
                    let expected = exp / total - f64::from(u8::from(place == label));
                    assert!((f64::from(*slope) - expected).abs() <= 1e-6, "{slope}, not {expected}");
                }
            }
        }
    }

    #[test]
    fn scales_from_nothing_to_the_largest_give_finite_rows() {
        for scale in [0.0, f64::MIN_POSITIVE, 1e39, f64::MAX] {
            let mut row = [0.5, 0.25, 1.0, 0.25];
            assert!(cross_entropy(&mut row, 1, Some(2), scale).is_finite(), "{scale}");
            assert!(row.iter().all(|slope| slope.is_finite()) && row[2] == 0.0, "{scale}: {row:?}");
        }
    }
}
