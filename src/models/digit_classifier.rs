//! The network whose features and classes the scores of generators are made of: small, for 28x28 grey images of ten
//! classes.

use crate::autograd;
use candle_core::{Module, ModuleT, Result, Tensor};
use candle_nn::VarBuilder;

use crate::image_shape::ImageShape;
use crate::layers::{BatchNorm, Conv2d, Conv2dConfig, Linear, LinearConfig, Normalised};
use crate::models::require;
use crate::ops::{self, Activation};

/// Numbers that the classifier makes of an image before its last layer.
pub const FEATURES: usize = 128;
/// Classes it tells apart.
pub const CLASSES: usize = 10;

/// `Sequential(Conv 1-32 5x5, BatchNorm, ReLU, MaxPool 2, Conv 32-64 5x5, BatchNorm, ReLU, MaxPool 2, Flatten,
/// Linear 1024-128, BatchNorm, ReLU, Linear 128-10)`, no biases before a batch norm: 184,266 parameters.
#[derive(Clone, Debug)]
pub struct DigitClassifier {
    conv1: Normalised<Conv2d>,
    conv2: Normalised<Conv2d>,
    fc1: Normalised<Linear>,
    fc2: Linear,
}

impl DigitClassifier {
    /// What its layers are sized for.
    pub const IMAGE_SHAPE: ImageShape = ImageShape::COURSE;

    /// An error where `shape` is not 28x28x1.
    pub fn new(shape: ImageShape, vb: VarBuilder) -> Result<Self> {
        require("the digit classifier", Self::IMAGE_SHAPE, shape)?;
        let unbiased = Conv2dConfig { bias: false, ..Default::default() };
        let conv1 = Conv2d::new(1, 32, 5, unbiased, vb.pp(0))?;
        let conv2 = Conv2d::new(32, 64, 5, unbiased, vb.pp(4))?;
        let fc1 = Linear::new(1024, FEATURES, LinearConfig { bias: false, ..Default::default() }, vb.pp(9))?;
        Ok(Self {
            conv1: Normalised::new(conv1, BatchNorm::new(32, Activation::Relu, vb.pp(1))?),
            conv2: Normalised::new(conv2, BatchNorm::new(64, Activation::Relu, vb.pp(5))?),
            fc1: Normalised::new(fc1, BatchNorm::new(FEATURES, Activation::Relu, vb.pp(10))?),
            fc2: Linear::new(FEATURES, CLASSES, LinearConfig::default(), vb.pp(12))?,
        })
    }

    /// The same for evaluation, with the batch norms as they are now in the weights.
    pub fn folded(&self) -> Result<Self> {
        let (conv1, conv2, fc1) = (self.conv1.folded()?, self.conv2.folded()?, self.fc1.folded()?);
        Ok(Self { conv1, conv2, fc1, fc2: self.fc2.clone() })
    }

    /// Images (N, 28, 28, 1) in [-1, 1] to features (N, 128), none below 0.
    pub fn features(&self, images: &Tensor, train: bool) -> Result<Tensor> {
        let x = self.conv1.forward_t(images, train)?; // (N, 24, 24, 32)
        let x = ops::max_pool2d(&x, 2, 2, 0, Activation::Identity)?; // (N, 12, 12, 32)
        let x = self.conv2.forward_t(&x, train)?; // (N, 8, 8, 64)
        let x = ops::max_pool2d(&x, 2, 2, 0, Activation::Identity)?; // (N, 4, 4, 64)
        // PyTorch flattens channels first.
        let x = autograd::reshape(&ops::channels_first(&x)?, (x.dim(0)?, 1024))?; // (N, 1024)
        self.fc1.forward_t(&x, train) // (N, 128)
    }

    /// Features (N, 128) to scores of the classes (N, 10), without a softmax.
    pub fn scores(&self, features: &Tensor) -> Result<Tensor> {
        self.fc2.forward(features)
    }
}
