//! The softmax cross-entropy of one row, and its gradient in the row's place; the softmax alone.
//!
//! For closures of [`vectorised`](crate::kernels::cpu::simd::vectorised): all of it is inlined. Sums run in lanes, which is what
//! lets the compiler use vectors, and their order is part of the source.

use crate::kernels::cpu::exponential::exp_below_zero;

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

/// softmax(scale x) in the row's place, for a finite `scale` of at least 0. NaN anywhere makes everything NaN.
#[inline(always)]
pub fn softmax(row: &mut [f32], scale: f32) {
    let largest = largest(row);
    for x in &mut *row {
        *x = exp_below_zero((*x - largest) * scale);
    }
    let share = (1.0 / sum(row)) as f32;
    for x in row {
        *x *= share;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
