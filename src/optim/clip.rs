use candle_core::{Result, Tensor};

use super::GradientTransform;

/// Scales all gradients down so that the L2 norm of all of them together is at most `max_norm`, as PyTorch's
/// `torch.nn.utils.clip_grad_norm_` does: by min(1, max_norm / (norm + 1e-6)). The host does not wait for the norm.
///
/// A gradient of NaN or infinity makes all of them NaN or zero, as there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipGlobalNorm {
    pub max_norm: f64,
}

impl GradientTransform for ClipGlobalNorm {
    fn transform(&self, gradients: &mut [Tensor]) -> Result<()> {
        let squares = gradients.iter().map(|gradient| gradient.sqr()?.sum_all()).collect::<Result<Vec<_>>>()?;
        if squares.is_empty() {
            return Ok(());
        }
        let norm = Tensor::stack(&squares, 0)?.sum_all()?.sqrt()?;
        // A one that is made on the device: a step that is captured cannot have it from the host.
        let one = (norm.zeros_like()? + 1.0)?;
        let scale = ((norm + 1e-6)?.recip()? * self.max_norm)?.minimum(&one)?;
        for gradient in gradients {
            *gradient = gradient.broadcast_mul(&scale)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;
    use candle_core::Device;

    fn gradients() -> Vec<Tensor> {
        let mut generator = Stream::new(3, "gradients").at(0);
        let shapes: [&[usize]; 3] = [&[40, 30], &[7], &[]];
        let mut random = |dims: &[usize]| {
            let values: Vec<f32> = (0..dims.iter().product()).map(|_| 3.0 * generator.symmetric()).collect();
            Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
        };
        shapes.map(&mut random).to_vec()
    }

    fn values(gradients: &[Tensor]) -> Vec<f64> {
        let of = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        gradients.iter().flat_map(of).map(f64::from).collect()
    }

    /// Against the definition of `clip_grad_norm_`, in f64: norms above and below the limit.
    #[test]
    fn clipping_is_pytorchs() {
        let before = values(&gradients());
        let norm = before.iter().map(|value| value * value).sum::<f64>().sqrt();
        for max_norm in [0.5, 0.99 * norm, 2.0 * norm] {
            let mut clipped = gradients();
            ClipGlobalNorm { max_norm }.transform(&mut clipped).unwrap();
            assert!(clipped.iter().zip(gradients()).all(|(after, before)| after.dims() == before.dims()));
            let scale = (max_norm / (norm + 1e-6)).min(1.0);
            for (found, before) in values(&clipped).into_iter().zip(&before) {
                assert!((found - before * scale).abs() <= 1e-5 * before.abs(), "{found} for {before} * {scale}");
            }
        }
        let mut untouched = gradients();
        ClipGlobalNorm { max_norm: 2.0 * norm }.transform(&mut untouched).unwrap();
        assert_eq!(values(&untouched), before, "below the limit not a bit changes");
    }

    #[test]
    fn what_is_not_finite_shows() {
        let mut spoilt = gradients();
        spoilt[1] = (&spoilt[1] * f64::NAN).unwrap();
        ClipGlobalNorm { max_norm: 1.0 }.transform(&mut spoilt).unwrap();
        assert!(values(&spoilt).iter().all(|value| value.is_nan()));
        ClipGlobalNorm { max_norm: 1.0 }.transform(&mut []).unwrap();
    }
}
