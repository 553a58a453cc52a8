//! The fully connected networks of the assignment's vanilla and least-squares GANs.

use crate::autograd;
use candle_core::{Module, Result, Tensor};
use candle_nn::VarBuilder;

use super::{IMAGE_SIZE, PIXELS};
use crate::layers::{Linear, LinearConfig};
use crate::ops::Activation;

/// The slope of every LeakyReLU in the assignment.
pub(super) const LEAKY: Activation = Activation::LeakyRelu(0.01);

fn layer(inputs: usize, outputs: usize, activation: Activation, vb: VarBuilder) -> Result<Linear> {
    Linear::new(inputs, outputs, LinearConfig { activation, ..Default::default() }, vb)
}

/// `Sequential(Flatten, Linear, LeakyReLU, Linear, LeakyReLU, Linear)`: 267,009 parameters.
#[derive(Clone, Debug)]
pub struct MlpDiscriminator {
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

impl MlpDiscriminator {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            fc1: layer(PIXELS, 256, LEAKY, vb.pp(1))?,
            fc2: layer(256, 256, LEAKY, vb.pp(3))?,
            fc3: layer(256, 1, Activation::Identity, vb.pp(5))?,
        })
    }
}

impl Module for MlpDiscriminator {
    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let x = autograd::reshape(images, (images.dim(0)?, PIXELS))?; // (N, 784)
        let x = self.fc1.forward(&x)?; // (N, 256)
        let x = self.fc2.forward(&x)?; // (N, 256)
        self.fc3.forward(&x) // (N, 1)
    }
}

/// `Sequential(Linear, ReLU, Linear, ReLU, Linear, Tanh)`: 1,952,528 parameters at 96 latents.
#[derive(Clone, Debug)]
pub struct MlpGenerator {
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

impl MlpGenerator {
    pub fn new(latent_dim: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            fc1: layer(latent_dim, 1024, Activation::Relu, vb.pp(0))?,
            fc2: layer(1024, 1024, Activation::Relu, vb.pp(2))?,
            fc3: layer(1024, PIXELS, Activation::Tanh, vb.pp(4))?,
        })
    }
}

impl Module for MlpGenerator {
    fn forward(&self, latents: &Tensor) -> Result<Tensor> {
        let x = self.fc1.forward(latents)?; // (N, 1024)
        let x = self.fc2.forward(&x)?; // (N, 1024)
        let x = self.fc3.forward(&x)?; // (N, 784)
        autograd::reshape(&x, (x.dim(0)?, IMAGE_SIZE, IMAGE_SIZE, 1)) // (N, 28, 28, 1)
    }
}
