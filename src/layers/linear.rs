use candle_core::{Module, Result, Tensor};
use candle_nn::VarBuilder;

use super::{Initialisation, Normalisable};
use crate::ops::{self, Activation, RunningNorm, Shifted};

/// Options of a [`Linear`] layer.
#[derive(Clone, Copy, Debug)]
pub struct LinearConfig {
    pub bias: bool,
    pub initialisation: Initialisation,
    /// Applied to the output.
    pub activation: Activation,
}

impl Default for LinearConfig {
    fn default() -> Self {
        Self { bias: true, initialisation: Initialisation::default(), activation: Activation::Identity }
    }
}

/// y = activation(x Wᵀ + b): (N, inputs) to (N, outputs). PyTorch's `nn.Linear`.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Tensor,       // (outputs, inputs)
    bias: Option<Tensor>, // (outputs)
    activation: Activation,
}

impl Linear {
    pub fn new(inputs: usize, outputs: usize, config: LinearConfig, vb: VarBuilder) -> Result<Self> {
        let weight =
            vb.get_with_hints((outputs, inputs), "weight", config.initialisation.weight(outputs, inputs, 1))?;
        let bias = match config.bias {
            true => Some(vb.get_with_hints(outputs, "bias", Initialisation::bias(inputs))?),
            false => None,
        };
        Ok(Self { weight, bias, activation: config.activation })
    }
}

impl Linear {
    /// [`forward`](Module::forward) of an input whose shift is apart.
    pub fn forward_shifted(&self, x: &Shifted) -> Result<Tensor> {
        ops::linear_of_shifted(x, &self.weight, self.bias.as_ref(), self.activation)
    }

    /// `norm` of [`forward`](Module::forward), its shift apart.
    pub fn shifted_normalised(&self, x: &Tensor, norm: &RunningNorm) -> Result<Shifted> {
        ops::linear_normalised_shifted(x, &self.weight, self.bias.as_ref(), self.activation, norm)
    }

    /// `norm` of [`forward_shifted`](Self::forward_shifted), whose outputs are images (C, H, W) of these `dims`: (N, H, W, C).
    pub fn images_normalised(&self, x: &Shifted, norm: &RunningNorm, dims: [usize; 3]) -> Result<Tensor> {
        ops::linear_normalised_images(x, &self.weight, self.bias.as_ref(), self.activation, norm, dims)
    }
}

impl Module for Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::linear(x, &self.weight, self.bias.as_ref(), self.activation)
    }
}

impl Normalisable for Linear {
    fn forward_normalised(&self, x: &Tensor, norm: &RunningNorm) -> Result<Tensor> {
        ops::linear_normalised(x, &self.weight, self.bias.as_ref(), self.activation, norm)
    }
}
