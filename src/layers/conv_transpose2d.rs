use candle_core::{Module, Result, Tensor};
use candle_nn::VarBuilder;

use super::{Conv2dConfig, Initialisation, Normalisable};
use crate::ops::{self, RunningNorm};

/// (N, H, W, inputs) to (N, (H - 1) stride - 2 padding + kernel, …, outputs). PyTorch's `nn.ConvTranspose2d` with a
/// square kernel.
#[derive(Clone, Debug)]
pub struct ConvTranspose2d {
    weight: Tensor,       // (inputs, outputs, kernel, kernel)
    bias: Option<Tensor>, // (outputs)
    config: Conv2dConfig,
}

impl ConvTranspose2d {
    pub fn new(inputs: usize, outputs: usize, kernel: usize, config: Conv2dConfig, vb: VarBuilder) -> Result<Self> {
        let taps = kernel * kernel;
        let init = config.initialisation.weight(inputs, outputs, taps);
        let weight = vb.get_with_hints((inputs, outputs, kernel, kernel), "weight", init)?;
        let bias = match config.bias {
            // The fan-in of PyTorch is taken from the weight's second dimension, here the outputs.
            true => Some(vb.get_with_hints(outputs, "bias", Initialisation::bias(outputs * taps))?),
            false => None,
        };
        Ok(Self { weight, bias, config })
    }
}

impl Module for ConvTranspose2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let Conv2dConfig { stride, padding, activation, .. } = self.config;
        ops::conv_transpose2d(x, &self.weight, self.bias.as_ref(), stride, padding, activation)
    }
}

impl Normalisable for ConvTranspose2d {
    fn forward_normalised(&self, x: &Tensor, norm: &RunningNorm) -> Result<Tensor> {
        let Conv2dConfig { stride, padding, activation, .. } = self.config;
        ops::conv_transpose2d_normalised(x, &self.weight, self.bias.as_ref(), (stride, padding), activation, norm)
    }
}
