use candle_core::{Module, Result, Tensor};
use candle_nn::VarBuilder;

use super::{Initialisation, SpectralNorm, Weight};
use crate::ops::{self, Activation, ScaleShift};

/// Options of a [`Linear`] layer.
#[derive(Clone, Copy, Debug)]
pub struct LinearConfig {
    pub bias: bool,
    pub initialisation: Initialisation,
    /// Applied to the output.
    pub activation: Activation,
    /// Whether the weight is divided by its largest singular value.
    pub spectral_norm: bool,
}

impl Default for LinearConfig {
    fn default() -> Self {
        Self {
            bias: true,
            initialisation: Initialisation::default(),
            activation: Activation::Identity,
            spectral_norm: false,
        }
    }
}

/// y = activation(x Wᵀ + b): (N, inputs) to (N, outputs). PyTorch's `nn.Linear`.
#[derive(Clone, Debug)]
pub struct Linear {
    pub(super) weight: Weight,       // (outputs, inputs)
    pub(super) bias: Option<Tensor>, // (outputs)
    pub(super) activation: Activation,
    /// Of a batch norm behind the activation; see [`fold`](super::fold).
    pub(super) scale: Option<ScaleShift>,
}

impl Linear {
    pub fn new(inputs: usize, outputs: usize, config: LinearConfig, vb: VarBuilder) -> Result<Self> {
        let weight = Weight::new(
            (outputs, inputs),
            config.initialisation.weight(outputs, inputs, 1),
            config.spectral_norm,
            &vb,
        )?;
        let bias = match config.bias {
            true => Some(vb.get_with_hints(outputs, "bias", config.initialisation.bias(inputs))?),
            false => None,
        };
        Ok(Self { weight, bias, activation: config.activation, scale: None })
    }

    /// What normalises its weight, if something does.
    pub fn spectral_norm(&self) -> Option<&SpectralNorm> {
        self.weight.spectral_norm()
    }
}

impl Module for Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let Self { weight, bias, activation, scale } = self;
        let weight = &weight.value()?;
        match scale {
            Some(scale) => ops::linear_scaled(x, weight, bias.as_ref(), *activation, scale),
            None => ops::linear(x, weight, bias.as_ref(), *activation),
        }
    }
}
