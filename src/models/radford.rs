//! The networks of Radford et al., "Unsupervised representation learning with deep convolutional generative adversarial
//! networks" (1511.06434), as PyTorch's DCGAN example builds them (pytorch/examples, `dcgan/main.py`) for 64x64, and with a
//! block less or more for other sizes. Its discriminator ends in a sigmoid, which is left to the loss here.
//!
//! Channels of the layers, from 4x4 to half of the image's side in the generator, and back in the discriminator:
//!
//! | image | channels |
//! | --- | --- |
//! | 32x32 | 256, 128, 64 |
//! | 64x64 | 512, 256, 128, 64 |
//! | 128x128 | 1024, 512, 256, 128, 64 |
//! | 256x256 | 2048, 1024, 512, 256, 128, 64 |

use candle_core::{Module, ModuleT, Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};

use crate::autograd;
use crate::image_shape::ImageShape;
use crate::layers::{
    BatchNorm, ClassProjection, Conv2d, Conv2dConfig, ConvTranspose2d, Initialisation, Normalised, SpectralNorm,
};
use crate::ops::{self, Activation};

/// Sides of the images that the networks are sized for.
const SIZES: [usize; 4] = [32, 64, 128, 256];
/// Side of the smallest layer.
const BASE: usize = 4;
/// Channels of the largest layer: the example's `ngf` and `ndf`.
const WIDTH: usize = 64;
const KERNEL: usize = 4;
const LEAKY: Activation = Activation::LeakyRelu(0.2);
/// Of the weights, around 0, and of the batch norms' scales, around 1 (section 4 of the paper; `weights_init`).
const DEVIATION: f64 = 0.02;

/// Layers that double the side, from [`BASE`] to that of the images.
///
/// # Errors
/// Where there is no such network, with the sizes that there is one for.
pub(super) fn blocks(shape: ImageShape) -> Result<usize> {
    let ImageShape { height, width, channels } = shape;
    if height != width || !SIZES.contains(&height) || ![1, 3].contains(&channels) {
        bail!("dcgan is for images of 28x28 grey, or of 32, 64, 128 or 256 in grey or colour, not {shape}");
    }
    Ok((height / BASE).ilog2() as usize)
}

/// Channels of the layer that has been halved `count` times from the image's side, the first time by a convolution.
fn channels(count: usize) -> usize {
    WIDTH << (count - 1)
}

/// A convolution or transposed convolution that doubles or halves, or one between a single place and [`BASE`] x [`BASE`].
fn config(is_base: bool, activation: Activation) -> Conv2dConfig {
    let (stride, padding) = if is_base { (1, 0) } else { (2, 1) };
    Conv2dConfig {
        stride,
        padding,
        bias: false,
        initialisation: Initialisation::Normal(DEVIATION),
        activation,
        ..Default::default()
    }
}

fn norm(channels: usize, activation: Activation, vb: VarBuilder) -> Result<BatchNorm> {
    BatchNorm::with_weight(channels, Init::Randn { mean: 1.0, stdev: DEVIATION }, activation, vb)
}

/// `Sequential(ConvTranspose Z-512 4x4, BatchNorm, ReLU, ConvTranspose 512-256 4x4 s2 p1, BatchNorm, ReLU, ..,
/// ConvTranspose 64-C 4x4 s2 p1, Tanh)` without biases, for images of 64x64: 3,576,704 parameters in colour at 100
/// latents.
#[derive(Clone, Debug)]
pub struct RadfordGenerator {
    shape: ImageShape,
    hidden: Vec<Normalised<ConvTranspose2d>>,
    last: ConvTranspose2d,
}

impl RadfordGenerator {
    /// `latent_dim` counts the classes of a conditional one. An error where there is none for images of `shape`. Tensor
    /// names are the example's: `main.0.weight`.
    pub fn new(latent_dim: usize, shape: ImageShape, vb: VarBuilder) -> Result<Self> {
        let (blocks, vb) = (blocks(shape)?, vb.pp("main"));
        let mut hidden = Vec::with_capacity(blocks);
        let mut inputs = latent_dim;
        for (place, count) in (1..=blocks).rev().enumerate() {
            let outputs = channels(count);
            let layer = config(place == 0, Activation::Identity);
            let layer = ConvTranspose2d::new(inputs, outputs, KERNEL, layer, vb.pp(3 * place))?;
            let norm = norm(outputs, Activation::Relu, vb.pp(3 * place + 1))?;
            hidden.push(Normalised::new(layer, norm));
            inputs = outputs;
        }
        let last = config(false, Activation::Tanh);
        Ok(Self { shape, hidden, last: ConvTranspose2d::new(inputs, shape.channels, KERNEL, last, vb.pp(3 * blocks))? })
    }

    /// Of the images that it draws.
    pub fn image_shape(&self) -> ImageShape {
        self.shape
    }

    /// The same for evaluation, with the batch norms as they are now folded into the layers.
    pub fn folded(&self) -> Result<Self> {
        let hidden = self.hidden.iter().map(Normalised::folded).collect::<Result<_>>()?;
        Ok(Self { shape: self.shape, hidden, last: self.last.clone() })
    }
}

impl ModuleT for RadfordGenerator {
    fn forward_t(&self, latents: &Tensor, train: bool) -> Result<Tensor> {
        let (count, dim) = latents.dims2()?;
        let mut x = autograd::reshape(latents, (count, 1, 1, dim))?; // (N, 1, 1, Z)
        for layer in &self.hidden {
            x = layer.forward_t(&x, train)?; // (N, 4, 4, 512), (N, 8, 8, 256), .. (N, H/2, W/2, 64)
        }
        self.last.forward(&x) // (N, H, W, C)
    }
}

/// `Sequential(Conv C-64 4x4 s2 p1, LeakyReLU 0.2, Conv 64-128 4x4 s2 p1, BatchNorm, LeakyReLU, .., Conv 512-1 4x4)`
/// without biases, for images of 64x64: 2,765,568 parameters in colour.
///
/// Of a conditional GAN, the features before the last convolution, (N, 4, 4, 512), are summed over their places and
/// projected on the embedding of the class, as Miyato and Koyama do (1802.05637, figure 14: "global sum pooling"): a class
/// is a matter of what is in an image and not of where. Flattened, the embedding would have sixteen times the numbers.
#[derive(Clone, Debug)]
pub struct RadfordDiscriminator {
    first: Conv2d,
    hidden: Vec<Normalised<Conv2d>>,
    last: Conv2d,
    projection: Option<ClassProjection>,
}

impl RadfordDiscriminator {
    /// Conditional on one of `classes` unless that is 0. An error where there is none for images of `shape`. Tensor names
    /// are the example's, `main.0.weight`, and `embedding.weight`.
    pub fn new(shape: ImageShape, classes: usize, spectral_norm: bool, vb: VarBuilder) -> Result<Self> {
        let blocks = blocks(shape)?;
        let config = |is_base, activation| Conv2dConfig { spectral_norm, ..config(is_base, activation) };
        let initialisation = Initialisation::Normal(DEVIATION);
        let projection = || {
            let features = channels(blocks);
            ClassProjection::new(classes, features, BASE * BASE, initialisation, spectral_norm, vb.clone())
        };
        let projection = (classes > 0).then(projection).transpose()?;
        let vb = vb.pp("main");
        let first = Conv2d::new(shape.channels, WIDTH, KERNEL, config(false, LEAKY), vb.pp(0))?;
        let mut hidden = Vec::with_capacity(blocks);
        for count in 2..=blocks {
            let (place, outputs) = (3 * count - 4, channels(count));
            let layer = config(false, Activation::Identity);
            let layer = Conv2d::new(channels(count - 1), outputs, KERNEL, layer, vb.pp(place))?;
            hidden.push(Normalised::new(layer, norm(outputs, LEAKY, vb.pp(place + 1))?));
        }
        let last = Conv2d::new(channels(blocks), 1, KERNEL, config(true, Activation::Identity), vb.pp(3 * blocks - 1))?;
        Ok(Self { first, hidden, last, projection })
    }

    /// What normalises its weights, if something does.
    pub fn spectral_norms(&self) -> impl Iterator<Item = &SpectralNorm> {
        let of_hidden = self.hidden.iter().map(Normalised::layer);
        let convolutions = [&self.first].into_iter().chain(of_hidden).chain([&self.last]);
        let of_projection = self.projection.iter().filter_map(ClassProjection::spectral_norm);
        convolutions.filter_map(Conv2d::spectral_norm).chain(of_projection)
    }

    /// Scores (N, 1) of images, with their one-hot `classes` (N, K) if it is conditional.
    pub fn scores(&self, images: &Tensor, classes: Option<&Tensor>, train: bool) -> Result<Tensor> {
        let mut x = self.first.forward(images)?; // (N, H/2, W/2, 64)
        for layer in &self.hidden {
            x = layer.forward_t(&x, train)?; // (N, H/4, W/4, 128), .. (N, 4, 4, 512)
        }
        let scores = self.last.forward(&x)?; // (N, 1, 1, 1)
        let scores = autograd::reshape(&scores, (x.dim(0)?, 1))?; // (N, 1)
        match (&self.projection, classes) {
            (Some(projection), Some(classes)) => {
                projection.add_to(&scores, &ops::mean_pool2d(&x)?, classes) // (N, 1)
            }
            _ => Ok(scores),
        }
    }
}
