//! What stands on the encoder: SimCLR's projection head while pretraining, a linear classifier afterwards.

use candle_core::{Module, ModuleT, Result, Tensor};
use candle_nn::VarBuilder;

use crate::layers::{BatchNorm, Linear, LinearConfig, Normalised};
use crate::ops::Activation;

/// Sizes of a projection head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProjectionHeadConfig {
    /// Width of the hidden layer.
    pub hidden: usize,
    /// Numbers in the output z.
    pub embedding: usize,
}

/// The course's.
impl Default for ProjectionHeadConfig {
    fn default() -> Self {
        Self { hidden: 512, embedding: 128 }
    }
}

/// SimCLR's g (2002.05709, section 2.1): features (N, D) to embeddings (N, E).
/// `Sequential(Linear D-hidden without bias, BatchNorm, ReLU, Linear hidden-E)`.
#[derive(Clone, Debug)]
pub struct ProjectionHead {
    fc1: Normalised<Linear>,
    fc2: Linear,
}

impl ProjectionHead {
    /// A projection head of `features` inputs with the tensors of `vb`.
    pub fn new(features: usize, config: ProjectionHeadConfig, vb: VarBuilder) -> Result<Self> {
        let ProjectionHeadConfig { hidden, embedding } = config;
        let fc1 = Linear::new(features, hidden, LinearConfig { bias: false, ..Default::default() }, vb.pp(0))?;
        Ok(Self {
            fc1: Normalised::new(fc1, BatchNorm::new(hidden, Activation::Relu, vb.pp(1))?),
            fc2: Linear::new(hidden, embedding, LinearConfig::default(), vb.pp(3))?,
        })
    }
}

impl ModuleT for ProjectionHead {
    fn forward_t(&self, features: &Tensor, train: bool) -> Result<Tensor> {
        let x = self.fc1.forward_t(features, train)?; // (N, hidden)
        self.fc2.forward(&x) // (N, E)
    }
}

/// Scores of `classes` classes from features: (N, D) to (N, C), without a softmax. Its tensors are `weight` and `bias`.
pub fn linear_classifier(features: usize, classes: usize, vb: VarBuilder) -> Result<Linear> {
    Linear::new(features, classes, LinearConfig::default(), vb)
}
