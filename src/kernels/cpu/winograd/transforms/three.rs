//! F(4 x 4, 3 x 3) at the points 0, ±A, ±B and infinity.
//!
//! Lavin and Gray (1509.09308) take the points ±1 and ±2. With ±5/8 and ±3/2, as in oneDNN, the transforms amplify the
//! rounding of their inputs by less.

use super::{Transforms, pair, places_at, scaled, times};
use crate::kernels::cpu::winograd::Winograd;
use pulp::Simd;

const A: f32 = 0.625;
const B: f32 = 1.5;
const A2: f32 = A * A;
const B2: f32 = B * B;
/// The products of a point's distances from the others.
const AT_ZERO: f32 = A2 * B2;
const AT_A: f32 = 2.0 * A2 * (A2 - B2);
const AT_B: f32 = 2.0 * B2 * (B2 - A2);

impl Transforms<3, 6> for Winograd<3, 6> {
    #[inline(always)]
    fn pixels<S: Simd>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
        let (a, minus_a) = pair(simd, scaled(simd, -B2, d[2], d[4]), times(simd, A, scaled(simd, -B2, d[1], d[3])));
        let (b, minus_b) = pair(simd, scaled(simd, -A2, d[2], d[4]), times(simd, B, scaled(simd, -A2, d[1], d[3])));
        let zero = scaled(simd, A2 * B2, d[0], scaled(simd, -(A2 + B2), d[2], d[4]));
        let infinity = scaled(simd, A2 * B2, d[1], scaled(simd, -(A2 + B2), d[3], d[5]));
        [zero, a, minus_a, b, minus_b, infinity]
    }

    #[inline(always)]
    fn weights<S: Simd>(simd: S, w: [S::f32s; 3]) -> [S::f32s; 6] {
        let ((a, minus_a), (b, minus_b)) = (weights_at(simd, w, A, AT_A), weights_at(simd, w, B, AT_B));
        [times(simd, 1.0 / AT_ZERO, w[0]), a, minus_a, b, minus_b, w[2]]
    }

    #[inline(always)]
    fn places<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 4] {
        let ((a_even, a_odd), (b_even, b_odd)) = (pair(simd, m[1], m[2]), pair(simd, m[3], m[4]));
        [
            simd.add_f32s(simd.add_f32s(m[0], a_even), b_even),
            scaled(simd, A, a_odd, times(simd, B, b_odd)),
            scaled(simd, A2, a_even, times(simd, B2, b_even)),
            scaled(simd, A2 * A, a_odd, scaled(simd, B2 * B, b_odd, m[5])),
        ]
    }

    #[inline(always)]
    fn of_pixels<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 6] {
        let ((a_even, a_odd), (b_even, b_odd)) = (pair(simd, m[1], m[2]), pair(simd, m[3], m[4]));
        let (a_odd, b_odd) = (times(simd, A, a_odd), times(simd, B, b_odd));
        [
            times(simd, A2 * B2, m[0]),
            scaled(simd, A2 * B2, m[5], scaled(simd, -B2, a_odd, times(simd, -A2, b_odd))),
            scaled(simd, -(A2 + B2), m[0], scaled(simd, -B2, a_even, times(simd, -A2, b_even))),
            scaled(simd, -(A2 + B2), m[5], simd.add_f32s(a_odd, b_odd)),
            simd.add_f32s(m[0], simd.add_f32s(a_even, b_even)),
            m[5],
        ]
    }

    #[inline(always)]
    fn of_weights<S: Simd>(simd: S, u: [S::f32s; 6]) -> [S::f32s; 3] {
        let ((a_even, a_odd), (b_even, b_odd)) = (pair(simd, u[1], u[2]), pair(simd, u[3], u[4]));
        [
            scaled(simd, 1.0 / AT_ZERO, u[0], scaled(simd, 1.0 / AT_A, a_even, times(simd, 1.0 / AT_B, b_even))),
            scaled(simd, A / AT_A, a_odd, times(simd, B / AT_B, b_odd)),
            scaled(simd, A2 / AT_A, a_even, scaled(simd, B2 / AT_B, b_even, u[5])),
        ]
    }

    #[inline(always)]
    fn of_places<S: Simd>(simd: S, y: [S::f32s; 4]) -> [S::f32s; 6] {
        let ((a, minus_a), (b, minus_b)) = (places_at(simd, y, A), places_at(simd, y, B));
        [y[0], a, minus_a, b, minus_b, y[3]]
    }
}

/// The polynomial with these coefficients at ±`point`, divided by `product`.
#[inline(always)]
fn weights_at<S: Simd>(simd: S, w: [S::f32s; 3], point: f32, product: f32) -> (S::f32s, S::f32s) {
    let even = scaled(simd, 1.0 / product, w[0], times(simd, point * point / product, w[2]));
    pair(simd, even, times(simd, point / product, w[1]))
}
