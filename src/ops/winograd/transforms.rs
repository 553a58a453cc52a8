//! The transforms of Winograd's F(4 x 4, 3 x 3): polynomial products by their values at the points 0, ±A, ±B and
//! infinity, along each of the two axes, for as many channels at once as a vector holds.
//!
//! Lavin and Gray (1509.09308) take the points ±1 and ±2. With ±5/8 and ±3/2, as in oneDNN, the transforms amplify the
//! rounding of their inputs by less.

use pulp::Simd;

const A: f32 = 0.625;
const B: f32 = 1.5;
const A2: f32 = A * A;
const B2: f32 = B * B;
/// The products of a point's distances from the others.
const AT_ZERO: f32 = A2 * B2;
const AT_A: f32 = 2.0 * A2 * (A2 - B2);
const AT_B: f32 = 2.0 * B2 * (B2 - A2);

/// Along one axis: the vectors after the transform from those before it.
pub trait Axis<const FROM: usize, const TO: usize> {
    fn along<S: Simd>(simd: S, values: [S::f32s; FROM]) -> [S::f32s; TO];
}

/// Bᵀ: six pixels of an image to their values at the points.
pub struct Pixels;

/// G: the three weights of a row of the kernel to their values at the points.
pub struct Weights;

/// Aᵀ: products at the points to four places of the output.
pub struct Places;

/// A, the adjoint of [`Places`]: the gradient of four places to that of the products.
pub struct OfPlaces;

/// Gᵀ, the adjoint of [`Weights`]: the gradient of the values at the points to that of three weights.
pub struct OfWeights;

/// Both axes: down, then across. `load` gives the value at (row, column), `store` takes those after the transform;
/// `down` is memory for what is between, its content arbitrary.
///
/// Both must be inlined always, and arrays go through loops here: the closure of an array's `map` is compiled for the
/// baseline.
#[inline(always)]
pub fn both_axes<T: Axis<FROM, TO>, const FROM: usize, const TO: usize, S: Simd>(
    simd: S,
    down: &mut [[S::f32s; FROM]; TO],
    load: impl Fn(usize, usize) -> S::f32s,
    mut store: impl FnMut(usize, usize, S::f32s),
) {
    for column in 0..FROM {
        let mut line = [simd.splat_f32s(0.0); FROM];
        for (row, value) in line.iter_mut().enumerate() {
            *value = load(row, column);
        }
        for (row, value) in down.iter_mut().zip(T::along(simd, line)) {
            row[column] = value;
        }
    }
    for (row, line) in down.iter().enumerate() {
        let line = T::along(simd, *line);
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

impl Axis<6, 6> for Pixels {
    #[inline(always)]
    fn along<S: Simd>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
        let (a, minus_a) = pair(simd, scaled(simd, -B2, d[2], d[4]), times(simd, A, scaled(simd, -B2, d[1], d[3])));
        let (b, minus_b) = pair(simd, scaled(simd, -A2, d[2], d[4]), times(simd, B, scaled(simd, -A2, d[1], d[3])));
        let zero = scaled(simd, A2 * B2, d[0], scaled(simd, -(A2 + B2), d[2], d[4]));
        let infinity = scaled(simd, A2 * B2, d[1], scaled(simd, -(A2 + B2), d[3], d[5]));
        [zero, a, minus_a, b, minus_b, infinity]
    }
}

/// The polynomial with these coefficients at ±`point`, divided by `product`.
#[inline(always)]
fn weights_at<S: Simd>(simd: S, w: [S::f32s; 3], point: f32, product: f32) -> (S::f32s, S::f32s) {
    let even = scaled(simd, 1.0 / product, w[0], times(simd, point * point / product, w[2]));
    pair(simd, even, times(simd, point / product, w[1]))
}

impl Axis<3, 6> for Weights {
    #[inline(always)]
    fn along<S: Simd>(simd: S, w: [S::f32s; 3]) -> [S::f32s; 6] {
        let ((a, minus_a), (b, minus_b)) = (weights_at(simd, w, A, AT_A), weights_at(simd, w, B, AT_B));
        [times(simd, 1.0 / AT_ZERO, w[0]), a, minus_a, b, minus_b, w[2]]
    }
}

impl Axis<6, 4> for Places {
    #[inline(always)]
    fn along<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 4] {
        let ((a_even, a_odd), (b_even, b_odd)) = (pair(simd, m[1], m[2]), pair(simd, m[3], m[4]));
        [
            simd.add_f32s(simd.add_f32s(m[0], a_even), b_even),
            scaled(simd, A, a_odd, times(simd, B, b_odd)),
            scaled(simd, A2, a_even, times(simd, B2, b_even)),
            scaled(simd, A2 * A, a_odd, scaled(simd, B2 * B, b_odd, m[5])),
        ]
    }
}

/// The polynomial with these coefficients at ±`point`.
#[inline(always)]
fn places_at<S: Simd>(simd: S, y: [S::f32s; 4], point: f32) -> (S::f32s, S::f32s) {
    let odd = times(simd, point, scaled(simd, point * point, y[3], y[1]));
    pair(simd, scaled(simd, point * point, y[2], y[0]), odd)
}

impl Axis<4, 6> for OfPlaces {
    #[inline(always)]
    fn along<S: Simd>(simd: S, y: [S::f32s; 4]) -> [S::f32s; 6] {
        let ((a, minus_a), (b, minus_b)) = (places_at(simd, y, A), places_at(simd, y, B));
        [y[0], a, minus_a, b, minus_b, y[3]]
    }
}

impl Axis<6, 3> for OfWeights {
    #[inline(always)]
    fn along<S: Simd>(simd: S, u: [S::f32s; 6]) -> [S::f32s; 3] {
        let ((a_even, a_odd), (b_even, b_odd)) = (pair(simd, u[1], u[2]), pair(simd, u[3], u[4]));
        [
            scaled(simd, 1.0 / AT_ZERO, u[0], scaled(simd, 1.0 / AT_A, a_even, times(simd, 1.0 / AT_B, b_even))),
            scaled(simd, A / AT_A, a_odd, times(simd, B / AT_B, b_odd)),
            scaled(simd, A2 / AT_A, a_even, scaled(simd, B2 / AT_B, b_even, u[5])),
        ]
    }
}
