use candle_core::{Module, ModuleT, Result, Tensor, bail};

use super::{BatchNorm, FoldNorm, Linear};

/// A layer and the batch norm of its output.
#[derive(Clone, Debug)]
pub struct Normalised<L> {
    layer: L,
    /// None where it is folded into the layer.
    norm: Option<BatchNorm>,
}

impl<L> Normalised<L> {
    pub fn new(layer: L, norm: BatchNorm) -> Self {
        Self { layer, norm: Some(norm) }
    }

    pub fn layer(&self) -> &L {
        &self.layer
    }
}

impl<L: FoldNorm> Normalised<L> {
    /// The same for evaluation, with the norm as it is now in the layer's weight and bias.
    pub fn folded(&self) -> Result<Self> {
        match &self.norm {
            Some(norm) => Ok(Self { layer: self.layer.followed_by(norm)?, norm: None }),
            None => Ok(self.clone()),
        }
    }
}

impl Normalised<Linear> {
    /// With a norm of its input in the layer's weight and bias.
    pub fn preceded_by(&self, norm: &BatchNorm) -> Result<Self> {
        Ok(Self { layer: self.layer.preceded_by(norm)?, norm: self.norm.clone() })
    }
}

impl<L: Module> ModuleT for Normalised<L> {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let x = self.layer.forward(x)?;
        match &self.norm {
            Some(norm) => norm.forward_t(&x, train),
            None if train => bail!("a batch norm that is folded into its layer cannot be trained"),
            None => Ok(x),
        }
    }
}
