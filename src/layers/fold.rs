//! Batch norms of frozen networks, folded into the layers beside them.
//!
//! In evaluation a batch norm multiplies each channel by a scale and adds a shift. Right behind a product both can be part of
//! the product's weight and bias. Behind an activation they can be part of the columns and the bias of a linear layer that
//! follows. What comes out differs by rounding alone, in the last bits.
//!
//! Where a convolution with padding follows the activation they can be part of neither: the zeros around the image would be
//! shifted too. There the layer before scales and shifts its output, in the pass that applies the activation.

use candle_core::{Result, Tensor, bail};

use super::{BatchNorm, Conv2d, Conv2dConfig, ConvTranspose2d, Linear, Weight};
use crate::ops::{self, Activation, ScaleShift};

/// A layer that a batch norm behind it can be folded into.
pub trait FoldNorm: Clone {
    /// The layer and then the norm, as one layer.
    fn followed_by(&self, norm: &BatchNorm) -> Result<Self>;
}

impl FoldNorm for Linear {
    fn followed_by(&self, norm: &BatchNorm) -> Result<Self> {
        if self.activation != Activation::Identity {
            return Ok(Self { scale: Some(after_activation(norm)?), ..self.clone() });
        }
        let (weight, bias) = scale_outputs(&self.weight.value()?, self.bias.as_ref(), norm)?;
        Ok(Self { weight: Weight::Plain(weight), bias: Some(bias), activation: norm.activation(), scale: None })
    }
}

impl FoldNorm for Conv2d {
    fn followed_by(&self, norm: &BatchNorm) -> Result<Self> {
        if self.config.activation != Activation::Identity {
            bail!("a batch norm behind a convolution's activation is not folded");
        }
        let (weight, bias) = scale_outputs(&self.weight.value()?, self.bias.as_ref(), norm)?;
        let config = Conv2dConfig { bias: true, activation: norm.activation(), ..self.config };
        Ok(Self { weight: Weight::Plain(weight), bias: Some(bias), config })
    }
}

impl FoldNorm for ConvTranspose2d {
    fn followed_by(&self, norm: &BatchNorm) -> Result<Self> {
        if self.config.activation != Activation::Identity {
            return Ok(Self { scale: Some(after_activation(norm)?), ..self.clone() });
        }
        let outputs_first = self.weight.transpose(0, 1)?; // (outputs, inputs, K, K)
        let (weight, bias) = scale_outputs(&outputs_first, self.bias.as_ref(), norm)?;
        let config = Conv2dConfig { bias: true, activation: norm.activation(), ..self.config };
        Ok(Self { weight: weight.transpose(0, 1)?.contiguous()?, bias: Some(bias), config, scale: None })
    }
}

fn after_activation(norm: &BatchNorm) -> Result<ScaleShift> {
    match norm.activation() {
        Activation::Identity => norm.scale_shift(),
        activation => bail!("a batch norm with {activation:?} behind another activation is not folded"),
    }
}

/// A weight (outputs, ..) and a bias (outputs), scaled and shifted by a norm of the outputs.
fn scale_outputs(weight: &Tensor, bias: Option<&Tensor>, norm: &BatchNorm) -> Result<(Tensor, Tensor)> {
    let ScaleShift { scale, shift } = norm.scale_shift()?;
    let rows = weight.detach().contiguous()?.flatten_from(1)?; // (outputs, ..)
    let weight = rows.broadcast_mul(&scale.unsqueeze(1)?)?.reshape(weight.dims())?;
    let bias = match bias {
        Some(bias) => ((bias.detach() * scale)? + shift)?,
        None => shift,
    };
    Ok((weight, bias))
}

impl Linear {
    /// The norm and then the layer, as one layer. Zeros of the norm's input remain zeros of the layer's input, which a
    /// product of what a ReLU has given can leave out.
    pub fn preceded_by(&self, norm: &BatchNorm) -> Result<Self> {
        let ScaleShift { scale, shift } = after_activation(norm)?;
        let weight = self.weight.value()?.detach();
        let bias = self.bias.as_ref().map(Tensor::detach);
        // What becomes of an input that is the shift.
        let bias = ops::linear(&shift.unsqueeze(0)?, &weight, bias.as_ref(), Activation::Identity)?.squeeze(0)?;
        Ok(Self { weight: Weight::Plain(weight.broadcast_mul(&scale)?), bias: Some(bias), ..self.clone() })
    }
}
