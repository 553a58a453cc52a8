//! The convolutional networks of the assignment: a LeNet-like discriminator and InfoGAN's MNIST generator
//! (Chen et al., 1606.03657, appendix C.1).

use crate::autograd;
use candle_core::{Module, ModuleT, Result, Tensor};
use candle_nn::VarBuilder;

use crate::image_shape::ImageShape;
use crate::layers::{BatchNorm, Conv2d, Conv2dConfig, ConvTranspose2d, Initialisation, Linear, LinearConfig};
use crate::models::mlp::LEAKY;
use crate::models::require;
use crate::ops::{self, Activation};

/// What the layers below are sized for.
const SHAPE: ImageShape = ImageShape::new(28, 28, 1);

/// Linear and transposed-convolution weights of a DCGAN are Xavier-uniform; the convolutions keep PyTorch's default,
/// as in the assignment's `initialize_weights`.
fn fully_connected(inputs: usize, outputs: usize, activation: Activation, vb: VarBuilder) -> Result<Linear> {
    let config = LinearConfig { initialisation: Initialisation::XavierUniform, activation, ..Default::default() };
    Linear::new(inputs, outputs, config, vb)
}

/// `Sequential(Unflatten, Conv 1-32 5x5, LeakyReLU, MaxPool 2, Conv 32-64 5x5, LeakyReLU, MaxPool 2, Flatten,
/// Linear 1024-1024, LeakyReLU, Linear 1024-1)`: 1,102,721 parameters. The LeakyReLUs before the pooling are computed after
/// it, on a quarter of the values.
#[derive(Clone, Debug)]
pub struct DcganDiscriminator {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
}

impl DcganDiscriminator {
    /// An error where `shape` is not 28x28x1.
    pub fn new(shape: ImageShape, vb: VarBuilder) -> Result<Self> {
        require("the dcgan discriminator", SHAPE, shape)?;
        Ok(Self {
            conv1: Conv2d::new(1, 32, 5, Conv2dConfig::default(), vb.pp(1))?,
            conv2: Conv2d::new(32, 64, 5, Conv2dConfig::default(), vb.pp(4))?,
            fc1: fully_connected(1024, 1024, LEAKY, vb.pp(8))?,
            fc2: fully_connected(1024, 1, Activation::Identity, vb.pp(10))?,
        })
    }
}

impl Module for DcganDiscriminator {
    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let x = self.conv1.forward(images)?; // (N, 24, 24, 32)
        let x = ops::max_pool2d(&x, 2, LEAKY)?; // (N, 12, 12, 32)
        let x = self.conv2.forward(&x)?; // (N, 8, 8, 64)
        let x = ops::max_pool2d(&x, 2, LEAKY)?; // (N, 4, 4, 64)
        // PyTorch flattens channels first: the columns of fc1's weight are in that order.
        let x = autograd::reshape(&ops::channels_first(&x)?, (x.dim(0)?, 1024))?; // (N, 1024)
        let x = self.fc1.forward(&x)?; // (N, 1024)
        self.fc2.forward(&x) // (N, 1)
    }
}

/// `Sequential(Linear Z-1024, ReLU, BatchNorm, Linear 1024-6272, ReLU, BatchNorm, Unflatten 128x7x7,
/// ConvTranspose 128-64 4x4 s2 p1, ReLU, BatchNorm, ConvTranspose 64-1 4x4 s2 p1, Tanh)`: 6,675,009 parameters at 96
/// latents.
#[derive(Clone, Debug)]
pub struct DcganGenerator {
    fc1: Linear,
    norm1: BatchNorm,
    fc2: Linear,
    norm2: BatchNorm,
    up1: ConvTranspose2d,
    norm3: BatchNorm,
    up2: ConvTranspose2d,
}

impl DcganGenerator {
    /// An error where `shape` is not 28x28x1.
    pub fn new(latent_dim: usize, shape: ImageShape, vb: VarBuilder) -> Result<Self> {
        require("the dcgan generator", SHAPE, shape)?;
        let up = |activation| Conv2dConfig {
            stride: 2,
            padding: 1,
            initialisation: Initialisation::XavierUniform,
            activation,
            ..Default::default()
        };
        Ok(Self {
            fc1: fully_connected(latent_dim, 1024, Activation::Relu, vb.pp(0))?,
            norm1: BatchNorm::new(1024, Activation::Identity, vb.pp(2))?,
            fc2: fully_connected(1024, 128 * 7 * 7, Activation::Relu, vb.pp(3))?,
            norm2: BatchNorm::new(128 * 7 * 7, Activation::Identity, vb.pp(5))?,
            up1: ConvTranspose2d::new(128, 64, 4, up(Activation::Relu), vb.pp(7))?,
            norm3: BatchNorm::new(64, Activation::Identity, vb.pp(9))?,
            up2: ConvTranspose2d::new(64, 1, 4, up(Activation::Tanh), vb.pp(10))?,
        })
    }
}

impl ModuleT for DcganGenerator {
    fn forward_t(&self, latents: &Tensor, train: bool) -> Result<Tensor> {
        let x = self.norm1.shifted_after(&self.fc1, latents, train)?; // (N, 1024)
        let x = self.norm2.images_after(&self.fc2, &x, [128, 7, 7], train)?; // (N, 7, 7, 128)
        let x = self.norm3.after(&self.up1, &x, train)?; // (N, 14, 14, 64)
        self.up2.forward(&x) // (N, 28, 28, 1)
    }
}
