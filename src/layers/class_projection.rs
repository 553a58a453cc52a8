use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::{Initialisation, SpectralNorm, Weight};
use crate::autograd::{self, Precision};
use crate::ops::{self, Activation};

/// What a projection discriminator adds to a score: the inner product of an image's features with the embedding of its
/// class (Miyato and Koyama, "cGANs with projection discriminator", 1802.05637, equation 4). The embedding is PyTorch's
/// `nn.Embedding`.
#[derive(Clone, Debug)]
pub struct ClassProjection {
    embedding: Weight, // (classes, features)
    /// Adds up a row.
    ones: Tensor, // (1, classes)
}

impl ClassProjection {
    /// Its one tensor is `embedding.weight`. The product is taken `places` times: where features are means over so many
    /// places of an image, it is that with their sums.
    pub fn new(
        classes: usize,
        features: usize,
        places: usize,
        initialisation: Initialisation,
        spectral_norm: bool,
        vb: VarBuilder,
    ) -> Result<Self> {
        let init = initialisation.weight(classes, features, 1);
        Ok(Self {
            embedding: Weight::new((classes, features), init, spectral_norm, &vb.pp("embedding"))?,
            ones: Tensor::full(places as f32, (1, classes), vb.device())?.to_dtype(vb.dtype())?,
        })
    }

    /// What normalises its weight, if something does.
    pub fn spectral_norm(&self) -> Option<&SpectralNorm> {
        self.embedding.spectral_norm()
    }

    /// `scores` (N, 1) with what `features` (N, D) and one-hot `classes` (N, K) add to them.
    ///
    /// The product is with the embeddings of all classes, of which one is kept: for tens of classes that costs nothing
    /// beside a layer, and `linear` has the gradient of the embedding on every device. The rows are added up by a product
    /// too: of candle's sum a recorded step on CUDA could not be repeated.
    pub fn add_to(&self, scores: &Tensor, features: &Tensor, classes: &Tensor) -> Result<Tensor> {
        let products = ops::linear(features, &self.embedding.value()?, None, Activation::Identity)?; // (N, K)
        let of_class = autograd::mul(&products, classes)?; // (N, K), of each row one
        let sum = || ops::linear(&of_class, &self.ones, None, Activation::Identity); // (N, 1)
        autograd::add(scores, &autograd::in_precision(Precision::F32, sum)?) // (N, 1)
    }
}
