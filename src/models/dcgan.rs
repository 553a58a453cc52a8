//! The convolutional networks of the assignment: a LeNet-like discriminator and InfoGAN's MNIST generator
//! (Chen et al., 1606.03657, appendix C.1).

use crate::autograd;
use candle_core::{Module, ModuleT, Result, Tensor, bail};
use candle_nn::VarBuilder;

use crate::image_shape::ImageShape;
use crate::layers::{
    BatchNorm, ClassProjection, Conv2d, Conv2dConfig, ConvTranspose2d, Initialisation, Linear, LinearConfig,
    Normalised, SpectralNorm,
};
use crate::models::mlp::LEAKY;
use crate::models::require;
use crate::ops::{self, Activation};

/// What the layers below are sized for.
const SHAPE: ImageShape = ImageShape::COURSE;

/// Linear and transposed-convolution weights of a DCGAN are Xavier-uniform; the convolutions keep PyTorch's default,
/// as in the assignment's `initialize_weights`.
fn fully_connected(inputs: usize, outputs: usize, activation: Activation, vb: VarBuilder) -> Result<Linear> {
    let config = LinearConfig { initialisation: Initialisation::XavierUniform, activation, ..Default::default() };
    Linear::new(inputs, outputs, config, vb)
}

/// `Sequential(Unflatten, Conv 1-32 5x5, LeakyReLU, MaxPool 2, Conv 32-64 5x5, LeakyReLU, MaxPool 2, Flatten,
/// Linear 1024-1024, LeakyReLU, Linear 1024-1)`: 1,102,721 parameters. The LeakyReLUs before the pooling are computed after
/// it, on a quarter of the values.
///
/// Of a conditional GAN, the 1024 features before the last layer are also projected on the embedding of the class
/// (Miyato and Koyama, 1802.05637): the tensor `embedding.weight`, (K, 1024), Xavier-uniform as in their code.
#[derive(Clone, Debug)]
pub struct DcganDiscriminator {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
    projection: Option<ClassProjection>,
}

impl DcganDiscriminator {
    /// Conditional on one of `classes` unless that is 0. An error where `shape` is not 28x28x1.
    pub fn new(shape: ImageShape, classes: usize, spectral_norm: bool, vb: VarBuilder) -> Result<Self> {
        require("the dcgan discriminator", SHAPE, shape)?;
        let initialisation = Initialisation::XavierUniform;
        let projection = || ClassProjection::new(classes, 1024, 1, initialisation, spectral_norm, vb.clone());
        let conv = Conv2dConfig { spectral_norm, ..Default::default() };
        let fully_connected = |inputs, outputs, activation, vb| {
            Linear::new(
                inputs,
                outputs,
                LinearConfig { initialisation, activation, spectral_norm, ..Default::default() },
                vb,
            )
        };
        Ok(Self {
            conv1: Conv2d::new(1, 32, 5, conv, vb.pp(1))?,
            conv2: Conv2d::new(32, 64, 5, conv, vb.pp(4))?,
            fc1: fully_connected(1024, 1024, LEAKY, vb.pp(8))?,
            fc2: fully_connected(1024, 1, Activation::Identity, vb.pp(10))?,
            projection: (classes > 0).then(projection).transpose()?,
        })
    }

    /// What normalises its weights, if something does.
    pub fn spectral_norms(&self) -> impl Iterator<Item = &SpectralNorm> {
        let of_convolutions = [&self.conv1, &self.conv2].into_iter().filter_map(Conv2d::spectral_norm);
        let of_linear = [&self.fc1, &self.fc2].into_iter().filter_map(Linear::spectral_norm);
        of_convolutions.chain(of_linear).chain(self.projection.iter().filter_map(ClassProjection::spectral_norm))
    }

    /// Scores (N, 1) of images, with their one-hot `classes` (N, K) if it is conditional.
    pub fn scores(&self, images: &Tensor, classes: Option<&Tensor>) -> Result<Tensor> {
        let x = self.conv1.forward(images)?; // (N, 24, 24, 32)
        let x = ops::max_pool2d(&x, 2, 2, 0, LEAKY)?; // (N, 12, 12, 32)
        let x = self.conv2.forward(&x)?; // (N, 8, 8, 64)
        let x = ops::max_pool2d(&x, 2, 2, 0, LEAKY)?; // (N, 4, 4, 64)
        // PyTorch flattens channels first: the columns of fc1's weight are in that order.
        let x = autograd::reshape(&ops::channels_first(&x)?, (x.dim(0)?, 1024))?; // (N, 1024)
        let x = self.fc1.forward(&x)?; // (N, 1024)
        let scores = self.fc2.forward(&x)?; // (N, 1)
        match (&self.projection, classes) {
            (Some(projection), Some(classes)) => projection.add_to(&scores, &x, classes), // (N, 1)
            _ => Ok(scores),
        }
    }
}

/// `Sequential(Linear Z-1024, ReLU, BatchNorm, Linear 1024-6272, ReLU, BatchNorm, Unflatten 128x7x7,
/// ConvTranspose 128-64 4x4 s2 p1, ReLU, BatchNorm, ConvTranspose 64-1 4x4 s2 p1, Tanh)`: 6,675,009 parameters at 96
/// latents.
#[derive(Clone, Debug)]
pub struct DcganGenerator {
    fc1: Linear,
    /// None where it is folded into `fc2`.
    norm1: Option<BatchNorm>,
    fc2: Normalised<Linear>,
    up1: Normalised<ConvTranspose2d>,
    up2: ConvTranspose2d,
}

impl DcganGenerator {
    /// `latent_dim` counts the classes of a conditional one. An error where `shape` is not 28x28x1.
    pub fn new(latent_dim: usize, shape: ImageShape, vb: VarBuilder) -> Result<Self> {
        require("the dcgan generator", SHAPE, shape)?;
        let up = |activation| Conv2dConfig {
            stride: 2,
            padding: 1,
            initialisation: Initialisation::XavierUniform,
            activation,
            ..Default::default()
        };
        let fc2 = fully_connected(1024, 128 * 7 * 7, Activation::Relu, vb.pp(3))?;
        let up1 = ConvTranspose2d::new(128, 64, 4, up(Activation::Relu), vb.pp(7))?;
        Ok(Self {
            fc1: fully_connected(latent_dim, 1024, Activation::Relu, vb.pp(0))?,
            norm1: Some(BatchNorm::new(1024, Activation::Identity, vb.pp(2))?),
            fc2: Normalised::new(fc2, BatchNorm::new(128 * 7 * 7, Activation::Identity, vb.pp(5))?),
            up1: Normalised::new(up1, BatchNorm::new(64, Activation::Identity, vb.pp(9))?),
            up2: ConvTranspose2d::new(64, 1, 4, up(Activation::Tanh), vb.pp(10))?,
        })
    }

    /// The same for evaluation, with the batch norms as they are now folded into the layers.
    pub fn folded(&self) -> Result<Self> {
        let fc2 = match &self.norm1 {
            Some(norm) => self.fc2.folded()?.preceded_by(norm)?,
            None => self.fc2.folded()?,
        };
        Ok(Self { fc1: self.fc1.clone(), norm1: None, fc2, up1: self.up1.folded()?, up2: self.up2.clone() })
    }
}

impl ModuleT for DcganGenerator {
    fn forward_t(&self, latents: &Tensor, train: bool) -> Result<Tensor> {
        let x = self.fc1.forward(latents)?; // (N, 1024)
        let x = match &self.norm1 {
            Some(norm) => norm.forward_t(&x, train)?, // (N, 1024)
            None if train => bail!("a batch norm that is folded into a weight cannot be trained"),
            None => x,
        };
        let x = self.fc2.forward_t(&x, train)?; // (N, 6272)
        let x = ops::channels_last(&autograd::reshape(&x, (x.dim(0)?, 128, 7, 7))?)?; // (N, 7, 7, 128)
        let x = self.up1.forward_t(&x, train)?; // (N, 14, 14, 64)
        self.up2.forward(&x) // (N, 28, 28, 1)
    }
}
