use candle_core::{Module, Result, Tensor};
use candle_nn::VarBuilder;

use super::Conv2dConfig;
use crate::ops::{self, ScaleShift};

/// (N, H, W, inputs) to (N, (H - 1) stride - 2 padding + kernel, …, outputs). PyTorch's `nn.ConvTranspose2d` with a
/// square kernel.
#[derive(Clone, Debug)]
pub struct ConvTranspose2d {
    pub(super) weight: Tensor,       // (inputs, outputs, kernel, kernel)
    pub(super) bias: Option<Tensor>, // (outputs)
    pub(super) config: Conv2dConfig,
    /// Of a batch norm behind the activation; see [`fold`](super::fold).
    pub(super) scale: Option<ScaleShift>,
}

impl ConvTranspose2d {
    pub fn new(inputs: usize, outputs: usize, kernel: usize, config: Conv2dConfig, vb: VarBuilder) -> Result<Self> {
        let taps = kernel * kernel;
        let init = config.initialisation.weight(inputs, outputs, taps);
        let weight = vb.get_with_hints((inputs, outputs, kernel, kernel), "weight", init)?;
        let bias = match config.bias {
            // The fan-in of PyTorch is taken from the weight's second dimension, here the outputs.
            true => Some(vb.get_with_hints(outputs, "bias", config.initialisation.bias(outputs * taps))?),
            false => None,
        };
        Ok(Self { weight, bias, config, scale: None })
    }
}

impl Module for ConvTranspose2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let Conv2dConfig { stride, padding, activation, .. } = self.config;
        let (weight, bias) = (&self.weight, self.bias.as_ref());
        match &self.scale {
            Some(scale) => ops::conv_transpose2d_scaled(x, weight, bias, (stride, padding), activation, scale),
            None => ops::conv_transpose2d(x, weight, bias, stride, padding, activation),
        }
    }
}
