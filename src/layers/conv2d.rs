use candle_core::{Module, Result, Tensor};
use candle_nn::VarBuilder;

use super::{Initialisation, SpectralNorm, Weight};
use crate::ops::{self, Activation};

/// Options of a [`Conv2d`] or [`super::ConvTranspose2d`] layer.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dConfig {
    pub stride: usize,
    pub padding: usize,
    pub bias: bool,
    pub initialisation: Initialisation,
    /// Applied to the output.
    pub activation: Activation,
    /// Whether the weight of a convolution is divided by its largest singular value.
    pub spectral_norm: bool,
}

impl Default for Conv2dConfig {
    fn default() -> Self {
        Self {
            stride: 1,
            padding: 0,
            bias: true,
            initialisation: Initialisation::default(),
            activation: Activation::Identity,
            spectral_norm: false,
        }
    }
}

/// (N, H, W, inputs) to (N, H', W', outputs). PyTorch's `nn.Conv2d` with a square kernel.
#[derive(Clone, Debug)]
pub struct Conv2d {
    pub(super) weight: Weight,       // (outputs, inputs, kernel, kernel)
    pub(super) bias: Option<Tensor>, // (outputs)
    pub(super) config: Conv2dConfig,
}

impl Conv2d {
    pub fn new(inputs: usize, outputs: usize, kernel: usize, config: Conv2dConfig, vb: VarBuilder) -> Result<Self> {
        let taps = kernel * kernel;
        let init = config.initialisation.weight(outputs, inputs, taps);
        let weight = Weight::new((outputs, inputs, kernel, kernel), init, config.spectral_norm, &vb)?;
        let bias = match config.bias {
            true => Some(vb.get_with_hints(outputs, "bias", config.initialisation.bias(inputs * taps))?),
            false => None,
        };
        Ok(Self { weight, bias, config })
    }

    /// What normalises its weight, if something does.
    pub fn spectral_norm(&self) -> Option<&SpectralNorm> {
        self.weight.spectral_norm()
    }
}

impl Module for Conv2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let Conv2dConfig { stride, padding, activation, .. } = self.config;
        ops::conv2d(x, &self.weight.value()?, self.bias.as_ref(), stride, padding, activation)
    }
}
