//! The transforms: polynomial products by their values at some points and at infinity, along each of the two axes, for
//! as many channels at once as a vector holds.
//!
//! The points come in pairs ±p, so that even and odd powers are computed once for both.

mod five;
mod three;
mod two;

use super::M;
use pulp::Simd;

/// The transforms of F(4 x 4, R x R) along one axis, with ALPHA = R + 3 points. Those that begin with `of_` are
/// the adjoints of the others: they take gradients back.
pub trait Transforms<const R: usize, const ALPHA: usize> {
    /// Bᵀ: the pixels that a tile sees to their values at the points.
    fn pixels<S: Simd>(simd: S, pixels: [S::f32s; ALPHA]) -> [S::f32s; ALPHA];

    /// G: a row of the kernel to its values at the points.
    fn weights<S: Simd>(simd: S, weights: [S::f32s; R]) -> [S::f32s; ALPHA];

    /// Aᵀ: products at the points to the places of the output.
    fn places<S: Simd>(simd: S, values: [S::f32s; ALPHA]) -> [S::f32s; M];

    /// B
    fn of_pixels<S: Simd>(simd: S, values: [S::f32s; ALPHA]) -> [S::f32s; ALPHA];

    /// Gᵀ
    fn of_weights<S: Simd>(simd: S, values: [S::f32s; ALPHA]) -> [S::f32s; R];

    /// A
    fn of_places<S: Simd>(simd: S, places: [S::f32s; M]) -> [S::f32s; ALPHA];
}

/// Both axes: down, then across. `along` transforms a line, `load` gives the value at (row, column), `store` takes those
/// after the transform; `down` is memory for what is between, its content arbitrary.
///
/// All three must be inlined always, and none be passed on by reference; arrays go through loops here. What is between,
/// like the closure of an array's `map`, is compiled for the baseline.
#[inline(always)]
pub fn both_axes<S: Simd, const FROM: usize, const TO: usize>(
    simd: S,
    down: &mut [[S::f32s; FROM]; TO],
    along: impl Fn([S::f32s; FROM]) -> [S::f32s; TO],
    load: impl Fn(usize, usize) -> S::f32s,
    mut store: impl FnMut(usize, usize, S::f32s),
) {
    for column in 0..FROM {
        let mut line = [simd.splat_f32s(0.0); FROM];
        for (row, value) in line.iter_mut().enumerate() {
            *value = load(row, column);
        }
        for (row, value) in down.iter_mut().zip(along(line)) {
            row[column] = value;
        }
    }
    for (row, line) in down.iter().enumerate() {
        let line = along(*line);
        for (column, value) in line.iter().enumerate() {
            store(row, column, *value);
        }
    }
}

/// The half of a pair of points ±p: (even + odd, even - odd).
#[inline(always)]
fn pair<S: Simd>(simd: S, even: S::f32s, odd: S::f32s) -> (S::f32s, S::f32s) {
    (simd.add_f32s(even, odd), simd.sub_f32s(even, odd))
}

/// `factor * x + y`
#[inline(always)]
fn scaled<S: Simd>(simd: S, factor: f32, x: S::f32s, y: S::f32s) -> S::f32s {
    simd.mul_add_e_f32s(simd.splat_f32s(factor), x, y)
}

#[inline(always)]
fn times<S: Simd>(simd: S, factor: f32, x: S::f32s) -> S::f32s {
    simd.mul_f32s(simd.splat_f32s(factor), x)
}

/// The polynomial with these coefficients at ±`point`.
#[inline(always)]
fn places_at<S: Simd>(simd: S, y: [S::f32s; M], point: f32) -> (S::f32s, S::f32s) {
    let odd = times(simd, point, scaled(simd, point * point, y[3], y[1]));
    pair(simd, scaled(simd, point * point, y[2], y[0]), odd)
}
