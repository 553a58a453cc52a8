//! The activations that kernels apply while a value is at hand.

use candle_core::{Result, bail};

/// What is applied to the output of an op, fused into it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    Identity,
    /// max(x, 0); its gradient at 0 is 0, as PyTorch's.
    Relu,
    /// x where x > 0, else the slope times x. The slope must be finite and not negative.
    LeakyRelu(f32),
    Tanh,
}

impl Activation {
    /// Backward passes know the input's sign from the output's, so the slope must not turn it.
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Activation::LeakyRelu(slope) if !(slope >= 0.0 && slope.is_finite()) => {
                bail!("LeakyRelu: the slope must be finite and not negative, found {slope}")
            }
            _ => Ok(()),
        }
    }
}
