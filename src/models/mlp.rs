//! The fully connected networks of the assignment's vanilla and least-squares GANs.

use crate::autograd;
use candle_core::{Module, Result, Tensor};
use candle_nn::VarBuilder;

use crate::image_shape::ImageShape;
use crate::layers::{Linear, LinearConfig, SpectralNorm};
use crate::ops::{self, Activation};

/// The slope of every LeakyReLU in the assignment.
pub(super) const LEAKY: Activation = Activation::LeakyRelu(0.01);

fn layer(inputs: usize, outputs: usize, activation: Activation, vb: VarBuilder) -> Result<Linear> {
    Linear::new(inputs, outputs, LinearConfig { activation, ..Default::default() }, vb)
}

/// `Sequential(Flatten, Linear, LeakyReLU, Linear, LeakyReLU, Linear)`: 267,009 parameters for images of 28x28x1.
/// Of a conditional GAN, the flattened image is followed by its class, one-hot (Mirza and Osindero, 1411.1784).
#[derive(Clone, Debug)]
pub struct MlpDiscriminator {
    shape: ImageShape,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

impl MlpDiscriminator {
    /// For images of any `shape`, conditional on one of `classes` unless that is 0.
    pub fn new(shape: ImageShape, classes: usize, spectral_norm: bool, vb: VarBuilder) -> Result<Self> {
        let layer = |inputs, outputs, activation, vb| {
            Linear::new(inputs, outputs, LinearConfig { activation, spectral_norm, ..Default::default() }, vb)
        };
        Ok(Self {
            shape,
            fc1: layer(shape.stride() + classes, 256, LEAKY, vb.pp(1))?,
            fc2: layer(256, 256, LEAKY, vb.pp(3))?,
            fc3: layer(256, 1, Activation::Identity, vb.pp(5))?,
        })
    }

    /// What normalises its weights, if something does.
    pub fn spectral_norms(&self) -> impl Iterator<Item = &SpectralNorm> {
        [&self.fc1, &self.fc2, &self.fc3].into_iter().filter_map(Linear::spectral_norm)
    }

    /// Scores (N, 1) of images, with their one-hot `classes` (N, K) if it is conditional.
    pub fn scores(&self, images: &Tensor, classes: Option<&Tensor>) -> Result<Tensor> {
        let x = match self.shape.channels {
            1 => images.clone(),
            // PyTorch flattens channels first: the columns of fc1's weight are in that order.
            _ => ops::channels_first(images)?, // (N, C, H, W)
        };
        let x = autograd::reshape(&x, (x.dim(0)?, self.shape.stride()))?; // (N, C H W)
        let x = match classes {
            Some(classes) => ops::append_columns(&x, classes)?, // (N, C H W + K)
            None => x,
        };
        let x = self.fc1.forward(&x)?; // (N, 256)
        let x = self.fc2.forward(&x)?; // (N, 256)
        self.fc3.forward(&x) // (N, 1)
    }
}

/// `Sequential(Linear, ReLU, Linear, ReLU, Linear, Tanh)`: 1,952,528 parameters at 96 latents and
/// images of 28x28x1.
#[derive(Clone, Debug)]
pub struct MlpGenerator {
    shape: ImageShape,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

impl MlpGenerator {
    /// Draws images of any `shape`. `latent_dim` counts the classes of a conditional one.
    pub fn new(latent_dim: usize, shape: ImageShape, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            shape,
            fc1: layer(latent_dim, 1024, Activation::Relu, vb.pp(0))?,
            fc2: layer(1024, 1024, Activation::Relu, vb.pp(2))?,
            fc3: layer(1024, shape.stride(), Activation::Tanh, vb.pp(4))?,
        })
    }

    /// Of the images that it draws.
    pub fn image_shape(&self) -> ImageShape {
        self.shape
    }
}

impl Module for MlpGenerator {
    fn forward(&self, latents: &Tensor) -> Result<Tensor> {
        let x = self.fc1.forward(latents)?; // (N, 1024)
        let x = self.fc2.forward(&x)?; // (N, 1024)
        let x = self.fc3.forward(&x)?; // (N, C H W)
        let ImageShape { height, width, channels } = self.shape;
        match channels {
            1 => autograd::reshape(&x, (x.dim(0)?, height, width, 1)), // (N, H, W, 1)
            _ => ops::channels_last(&autograd::reshape(&x, (x.dim(0)?, channels, height, width))?), // (N, H, W, C)
        }
    }
}
