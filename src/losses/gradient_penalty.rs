//! R1, the penalty on the slope of a discriminator at real images: γ/2 · mean ‖∇D(x)‖² (Mescheder, Geiger and Nowozin,
//! "Which training methods for GANs do actually converge?", 1801.04406, equation 9).
//!
//! Its gradient in D's weights takes the derivative of a gradient, which the ops do not have. But ‖∇D(x)‖ is the slope of
//! D along u = ∇D(x) / ‖∇D(x)‖, and since that is the steepest direction, a change of u changes the slope in second order
//! alone: u can be held fast. So the penalty here is γ/2 times the mean square of (D(x + hu) - D(x - hu)) / 2h, of which a
//! plain backward pass has the gradient (compare Pearlmutter, "Fast exact multiplication by the Hessian", 1994).
//!
//! Where D is smooth, that is R1 up to O(h²), and so is its gradient. The discriminators here are piecewise linear: the
//! slope jumps where a unit turns on or off. Automatic differentiation of a gradient takes each image's piece as it is and
//! leaves out that a change of the weights moves the jumps over images; a difference over 2h has its share of them. In
//! a trained discriminator of a vanilla GAN, over 25,600 images of MNIST, along the direction in which the two gradients
//! of the mean penalty differ most, the penalty itself changes by 0.33 (by central differences of the weights); automatic
//! differentiation says 0.005, this form 0.35. It is noisier for it, the more so the smaller h.

use candle_core::{Result, Tensor};

use crate::ops::{half_mean_square, rescale_to_norm};

/// h: how far from an image the slope is measured, as an L2 norm; images of MNIST are some 10 apart. The nearer, the more a
/// jump within it weighs in the gradient, and the more the rounding of scores.
pub const DISTANCE: f64 = 0.1;

/// The steps hu from images towards higher scores, from the gradient of each image's score in its pixels, (N, H, W, C)
/// both. Where there is no slope there is no step.
pub fn r1_perturbations(gradient: &Tensor) -> Result<Tensor> {
    rescale_to_norm(gradient, DISTANCE)
}

/// `weight` / 2 times the mean squared slope, from D's scores, (N, 1) each, at images moved by [`r1_perturbations`] and at
/// images moved by as much the other way. A scalar.
pub fn r1_penalty(ahead: &Tensor, behind: &Tensor, weight: f64) -> Result<Tensor> {
    let slopes = ((ahead - behind)? * (weight.sqrt() / (2.0 * DISTANCE)))?; // (N, 1)
    half_mean_square(&slopes, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops;
    use crate::ops::Activation;
    use crate::rng::Stream;
    use candle_core::{DType, Device, Var};

    fn random(name: &str, dims: &[usize]) -> Var {
        let mut generator = Stream::new(3, name).at(0);
        let values: Vec<f64> = (0..dims.iter().product()).map(|_| generator.symmetric().into()).collect();
        Var::from_vec(values, dims, &Device::Cpu).unwrap()
    }

    /// The gradient of each image's score, (N, D).
    fn slopes(scores: &dyn Fn(&Tensor) -> Tensor, images: &Tensor) -> Tensor {
        let images = Var::from_tensor(images).unwrap();
        let gradients = scores(&images).sum_all().unwrap().backward().unwrap();
        gradients.get(&images).unwrap().clone()
    }

    /// Of a smooth network in f64: the penalty is γ/2 mean ‖∇D‖², and its gradient that of central differences of it.
    #[test]
    fn it_is_the_penalty_of_the_paper_and_so_is_its_gradient() {
        let weights = Var::from_tensor(&(random("weights", &[6, 10]).as_detached_tensor() * 0.3).unwrap()).unwrap();
        let out = random("out", &[1, 6]);
        let images = random("images", &[8, 10]).as_detached_tensor();
        let scores = |x: &Tensor, weights: &Tensor| {
            let hidden = ops::linear(x, weights, None, Activation::Tanh).unwrap();
            ops::linear(&hidden, &out, None, Activation::Identity).unwrap()
        };
        let gamma = 3.0;
        let exact = |weights: &Tensor| {
            let slopes = slopes(&|x| scores(x, weights), &images);
            gamma / 2.0 * slopes.sqr().unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap() / 8.0
        };
        let steps = r1_perturbations(&slopes(&|x| scores(x, &weights), &images)).unwrap();
        let [ahead, behind] = [(&images + &steps).unwrap(), (&images - &steps).unwrap()].map(|x| scores(&x, &weights));
        let penalty = r1_penalty(&ahead, &behind, gamma).unwrap();
        let (found, expected) = (penalty.to_scalar::<f64>().unwrap(), exact(&weights));
        assert!((found / expected - 1.0).abs() < 1e-2, "{found}, not {expected}");
        let gradients = penalty.backward().unwrap();
        let gradient = gradients.get(&weights).unwrap();
        let direction = random("direction", &[6, 10]).as_detached_tensor();
        let moved = |by: f64| exact(&(weights.as_detached_tensor() + (&direction * by).unwrap()).unwrap());
        let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        let found = (gradient * &direction).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap();
        let norm = |x: &Tensor| x.sqr().unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap().sqrt();
        // O(h²) of the gradient's own size; along a direction it may be small itself.
        let size = norm(gradient) * norm(&direction);
        assert!((found - expected).abs() < 5e-3 * size, "{found}, not {expected}, of {size}");
    }

    /// D(x) = w x has the slope ‖w‖ everywhere, whatever the distance.
    #[test]
    fn a_linear_discriminator_has_its_weights_norm() {
        let weights = Var::new(&[[3f32, 0.0, -4.0]], &Device::Cpu).unwrap();
        let images = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
        let scores = |x: &Tensor| ops::linear(x, &weights, None, Activation::Identity).unwrap();
        let steps = r1_perturbations(&slopes(&scores, &images)).unwrap();
        let [ahead, behind] = [(&images + &steps).unwrap(), (&images - &steps).unwrap()].map(|x| scores(&x));
        let penalty = r1_penalty(&ahead, &behind, 2.0).unwrap();
        assert!((penalty.to_scalar::<f32>().unwrap() - 25.0).abs() < 1e-4);
        let gradients = penalty.backward().unwrap();
        let gradient = gradients.get(&weights).unwrap().to_vec2::<f32>().unwrap();
        for (found, expected) in gradient[0].iter().zip([6.0, 0.0, -8.0]) {
            assert!((found - expected).abs() < 1e-4, "{gradient:?}");
        }
    }
}
