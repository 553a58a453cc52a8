//! Penalties on the gradient of a discriminator's scores in its images.
//!
//! - R1: γ/2 · mean ‖∇D(x)‖² at real images x, and R2 the same at fakes (Mescheder, Geiger and Nowozin, "Which training
//!   methods for GANs do actually converge?", 1801.04406, equation 9; R3GAN, 2501.05441, has both).
//! - That of WGAN-GP: λ · mean (‖∇D(x)‖ - 1)² at random points between real images and fakes (Gulrajani et al., 1704.00028,
//!   equation 3).
//!
//! Their gradients in D's weights take the derivative of a gradient. With g = ∇D(x) of each image and u the gradient of the
//! penalty in g, held fixed, it is the gradient of u·g: of the derivative of the scores along u, a forward pass of
//! [`autograd::tangent`](crate::autograd::tangent). That is exact, and what PyTorch has with `create_graph=True`.
//!
//! Where scores depend on a batch, by batch norm, ∇D(x) is that of the sum of the batch's scores, as in PyTorch.

use candle_core::{Result, Tensor};

use crate::ops::{rescale_to_norm, scaled_mean};

/// A penalty on the gradients of the scores of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GradientPenalty {
    /// `gamma` / 2 · mean ‖∇D(x)‖²
    ZeroCentred {
        /// γ, the weight.
        gamma: f64,
    },
    /// `lambda` · mean (‖∇D(x)‖ - 1)²
    OneCentred {
        /// λ, the weight.
        lambda: f64,
    },
}

impl GradientPenalty {
    /// Along which to take the derivative of the scores: the gradient of the penalty in `gradients`, those of each image's
    /// score in its pixels, (N, H, W, C) both. A gradient of 0 has the direction 0.
    pub fn direction(self, gradients: &Tensor) -> Result<Tensor> {
        let count = gradients.dim(0)? as f64;
        match self {
            Self::ZeroCentred { gamma } => gradients * (gamma / count),
            Self::OneCentred { lambda } => (gradients - rescale_to_norm(gradients, 1.0)?)? * (2.0 * lambda / count),
        }
    }
}

/// What is minimised for a penalty, from the derivatives of the scores along its direction, (N, 1): their sum, a scalar. Its
/// gradient is that of the penalty, its value is not.
pub fn minimised(derivatives: &Tensor) -> Result<Tensor> {
    scaled_mean(derivatives, derivatives.elem_count() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::{self, Precision};
    use crate::ops::{self, Activation};
    use crate::rng::Stream;
    use candle_core::{Device, Var};

    fn random(name: &str, dims: &[usize]) -> Var {
        let mut generator = Stream::new(3, name).at(0);
        let values: Vec<f32> = (0..dims.iter().product()).map(|_| generator.symmetric()).collect();
        Var::from_vec(values, dims, &Device::Cpu).unwrap()
    }

    fn values(tensor: &Tensor) -> Vec<f64> {
        tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f64::from).collect()
    }

    /// In f64, from gradients (N, D).
    fn value(penalty: GradientPenalty, gradients: &Tensor) -> f64 {
        let rows = gradients.to_vec2::<f32>().unwrap();
        let norms = rows.iter().map(|row| row.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt());
        let each = norms.map(|norm| match penalty {
            GradientPenalty::ZeroCentred { gamma } => gamma / 2.0 * norm * norm,
            GradientPenalty::OneCentred { lambda } => lambda * (norm - 1.0) * (norm - 1.0),
        });
        each.sum::<f64>() / rows.len() as f64
    }

    #[test]
    fn the_direction_is_the_gradient_of_the_penalty() {
        let gradients = random("gradients", &[4, 6]);
        for penalty in [GradientPenalty::ZeroCentred { gamma: 3.0 }, GradientPenalty::OneCentred { lambda: 10.0 }] {
            let direction = values(&penalty.direction(&gradients).unwrap());
            let h = 1e-2;
            for (place, found) in direction.iter().enumerate() {
                let moved = |by: f64| {
                    let mut moved: Vec<f32> = gradients.flatten_all().unwrap().to_vec1().unwrap();
                    moved[place] += by as f32;
                    value(penalty, &Tensor::from_vec(moved, (4, 6), &Device::Cpu).unwrap())
                };
                let expected = (moved(h) - moved(-h)) / (2.0 * h);
                assert!((found - expected).abs() < 2e-3, "{penalty:?} [{place}]: {found}, not {expected}");
            }
            let nothing = Tensor::zeros_like(&gradients).unwrap();
            assert!(values(&penalty.direction(&nothing).unwrap()).iter().all(|u| *u == 0.0));
        }
    }

    /// Of a network of two layers: what the gradient of `minimised` says of a change of the weights, and central
    /// differences of the penalty itself.
    #[test]
    fn its_gradient_is_that_of_differences_of_the_penalty() {
        let leaky = Activation::LeakyRelu(0.2);
        let [first, second] = [random("first", &[16, 10]), random("second", &[1, 16])];
        let images = random("images", &[8, 10]);
        let scores = |first: &Tensor, images: &Tensor| {
            let hidden = ops::linear(images, first, None, leaky).unwrap();
            ops::linear(&hidden, &second, None, Activation::Identity).unwrap()
        };
        let gradients = |first: &Tensor| {
            let slopes = |images: &Var| autograd::backward(&scores(first, images)).unwrap().remove(images).unwrap();
            autograd::training_step(Precision::F32, || slopes(&images))
        };
        for penalty in [GradientPenalty::ZeroCentred { gamma: 3.0 }, GradientPenalty::OneCentred { lambda: 10.0 }] {
            let direction = penalty.direction(&gradients(&first.as_detached_tensor())).unwrap();
            let found = autograd::training_step(Precision::F32, || {
                let along = autograd::tangent(&scores(&first, &images), &images, &direction).unwrap();
                autograd::backward(&minimised(&along).unwrap()).unwrap().remove(&first).unwrap()
            });
            let change = random("change", &[16, 10]).as_detached_tensor();
            let found: f64 = values(&found).iter().zip(values(&change)).map(|(g, c)| g * c).sum();
            // So small that no unit turns on or off: the penalty is smooth there.
            let h = 3e-4;
            let moved =
                |by: f64| value(penalty, &gradients(&(first.as_detached_tensor() + (&change * by).unwrap()).unwrap()));
            let expected = (moved(h) - moved(-h)) / (2.0 * h);
            assert!((found - expected).abs() < 1e-2 * expected.abs(), "{penalty:?}: {found}, not {expected}");
        }
    }
}
