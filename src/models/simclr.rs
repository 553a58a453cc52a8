//! What stands on the encoder: SimCLR's projection head while pretraining, a linear classifier afterwards.

use candle_core::{Module, ModuleT, Result, Tensor};
use candle_nn::VarBuilder;

use crate::layers::{BatchNorm, Linear, LinearConfig};
use crate::ops::Activation;

/// Width of the projection head's hidden layer, and of its output z.
const HIDDEN: usize = 512;
pub const EMBEDDING: usize = 128;

/// SimCLR's g (2002.05709, section 2.1): features (N, D) to embeddings (N, 128).
/// `Sequential(Linear D-512 without bias, BatchNorm, ReLU, Linear 512-128)`, the course's.
#[derive(Clone, Debug)]
pub struct ProjectionHead {
    fc1: Linear,
    norm: BatchNorm,
    fc2: Linear,
}

impl ProjectionHead {
    pub fn new(features: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            fc1: Linear::new(features, HIDDEN, LinearConfig { bias: false, ..Default::default() }, vb.pp(0))?,
            norm: BatchNorm::new(HIDDEN, Activation::Relu, vb.pp(1))?,
            fc2: Linear::new(HIDDEN, EMBEDDING, LinearConfig::default(), vb.pp(3))?,
        })
    }
}

impl ModuleT for ProjectionHead {
    fn forward_t(&self, features: &Tensor, train: bool) -> Result<Tensor> {
        let x = self.norm.after(&self.fc1, features, train)?; // (N, 512)
        self.fc2.forward(&x) // (N, 128)
    }
}

/// Scores of `classes` classes from features: (N, D) to (N, C), without a softmax. Its tensors are `weight` and `bias`.
pub fn linear_classifier(features: usize, classes: usize, vb: VarBuilder) -> Result<Linear> {
    Linear::new(features, classes, LinearConfig::default(), vb)
}
