//! R1, the penalty on the slope of a discriminator at real images: γ/2 · mean ‖∇D(x)‖² (Mescheder, Geiger and Nowozin,
//! "Which training methods for GANs do actually converge?", 1801.04406, equation 9).
//!
//! Its gradient in D's weights takes the derivative of a gradient, which the ops do not have. But ‖∇D(x)‖ is the slope of
//! D along u = ∇D(x) / ‖∇D(x)‖, and since ∇D(x) is the steepest direction, a change of u changes that slope in second
//! order alone: with u held fast, the slope (D(x + hu) - D(x - hu)) / 2h and its gradient in the weights are those of
//! ‖∇D(x)‖. So the penalty is half the mean square of these slopes, of which a plain backward pass has the gradient. What
//! is left is the error of a central difference, O(h²) where D is smooth (that trick: Pearlmutter, "Fast exact
//! multiplication by the Hessian", 1994).

use candle_core::{Result, Tensor};

use crate::ops::{half_mean_square, to_length};

/// h: how far from an image the slope is measured. MNIST's digits, in [-1, 1], are some 10 apart. Less would be nearer to
/// the derivative, until rounding of the scores shows.
pub const DISTANCE: f64 = 0.1;

/// The steps hu from images towards higher scores, from the gradient of each image's score in its pixels, (N, 28, 28, 1)
/// both. Where there is no slope there is no step.
pub fn steepest_steps(gradient: &Tensor) -> Result<Tensor> {
    to_length(gradient, DISTANCE)
}

/// `weight` / 2 times the mean squared slope, from D's scores, (N, 1) each, at images moved by [`steepest_steps`] and at
/// images moved by as much the other way. A scalar.
pub fn mean_square_slope(ahead: &Tensor, behind: &Tensor, weight: f64) -> Result<Tensor> {
    let slopes = ((ahead - behind)? * (weight.sqrt() / (2.0 * DISTANCE)))?; // (N, 1)
    half_mean_square(&slopes, 0.0)
}
