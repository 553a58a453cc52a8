use candle_core::{Module, Result, Tensor};
use candle_nn::VarBuilder;

use super::Initialisation;
use crate::ops::{self, Activation, ScaleShift};

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
    pub(super) weight: Tensor,       // (outputs, inputs)
    pub(super) bias: Option<Tensor>, // (outputs)
    pub(super) activation: Activation,
    /// Of a batch norm behind the activation; see [`fold`](super::fold).
    pub(super) scale: Option<ScaleShift>,
}

impl Linear {
    pub fn new(inputs: usize, outputs: usize, config: LinearConfig, vb: VarBuilder) -> Result<Self> {
        let weight =
            vb.get_with_hints((outputs, inputs), "weight", config.initialisation.weight(outputs, inputs, 1))?;
        let bias = match config.bias {
            true => Some(vb.get_with_hints(outputs, "bias", config.initialisation.bias(inputs))?),
            false => None,
        };
        Ok(Self { weight, bias, activation: config.activation, scale: None })
    }
}

impl Module for Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let Self { weight, bias, activation, scale } = self;
        match scale {
            Some(scale) => ops::linear_scaled(x, weight, bias.as_ref(), *activation, scale),
            None => ops::linear(x, weight, bias.as_ref(), *activation),
        }
    }
}
