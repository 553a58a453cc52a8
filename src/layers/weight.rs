use candle_core::{Result, Shape, Tensor, Var, bail};
use candle_nn::{Init, VarBuilder};

use crate::ops;

/// The weight of a layer: a tensor of its file, or one over its largest singular value.
#[derive(Clone, Debug)]
pub enum Weight {
    /// `weight`, as it is.
    Plain(Tensor),
    /// Normalised.
    Spectral(Box<SpectralNorm>),
}

/// A weight over its largest singular value (Miyato et al., 1802.05957), under the names of PyTorch's
/// `torch.nn.utils.parametrizations.spectral_norm`: `parametrizations.weight.original` is trained, and
/// `parametrizations.weight.0._u` and `_v`, estimates of its first singular vectors, are state.
///
/// PyTorch makes a step of power iteration in each forward pass in training. Here [`iterate`](Self::iterate) makes it, once
/// for all passes of a training step: they see one and the same weight, whatever shards and penalties there are.
#[derive(Clone, Debug)]
pub struct SpectralNorm {
    original: Tensor, // (outputs, ..)
    u: Tensor,        // (outputs)
    v: Tensor,        // (inputs)
}

impl Weight {
    /// The tensor `weight` of `vb`, begun as `init`; or what normalises it.
    pub fn new(shape: impl Into<Shape>, init: Init, spectral_norm: bool, vb: &VarBuilder) -> Result<Self> {
        let shape = shape.into();
        if !spectral_norm {
            return Ok(Self::Plain(vb.get_with_hints(shape, "weight", init)?));
        }
        let Some(&outputs) = shape.dims().first() else { bail!("a weight has outputs") };
        let inputs = shape.elem_count() / outputs;
        let (vb, drawn) = (vb.pp("parametrizations.weight"), Init::Randn { mean: 0.0, stdev: 1.0 });
        Ok(Self::Spectral(Box::new(SpectralNorm {
            original: vb.get_with_hints(shape, "original", init)?,
            u: vb.pp(0).get_with_hints(outputs, "_u", drawn)?,
            v: vb.pp(0).get_with_hints(inputs, "_v", drawn)?,
        })))
    }

    /// What a layer multiplies by.
    pub fn value(&self) -> Result<Tensor> {
        match self {
            Self::Plain(weight) => Ok(weight.clone()),
            Self::Spectral(norm) => ops::spectral_weight(&norm.original, &norm.u, &norm.v),
        }
    }

    /// What normalises it, if something does.
    pub fn spectral_norm(&self) -> Option<&SpectralNorm> {
        match self {
            Self::Plain(_) => None,
            Self::Spectral(norm) => Some(norm),
        }
    }
}

impl SpectralNorm {
    /// So many steps of power iteration: u becomes W v and then v Wᵀ u, each of norm 1.
    pub fn iterate(&self, steps: usize) -> Result<()> {
        if !self.u.is_variable() {
            bail!("the singular vectors of a frozen weight are not its own");
        }
        let original = self.original.detach();
        let (outputs, inputs) = (self.u.elem_count(), self.v.elem_count());
        let matrix = original.reshape((outputs, inputs))?;
        let transposed = ops::channels_first(&matrix.reshape((1, outputs, 1, inputs))?)?.reshape((inputs, outputs))?;
        let mut v = self.v.detach().reshape((1, inputs))?;
        let mut u = self.u.detach().reshape((1, outputs))?;
        let times = |x: &Tensor, matrix: &Tensor| {
            ops::rescale_to_norm(&ops::linear(x, matrix, None, ops::Activation::Identity)?, 1.0)
        };
        for _ in 0..steps {
            u = times(&v, &matrix)?; // (1, outputs)
            v = times(&u, &transposed)?; // (1, inputs)
        }
        Var::from_tensor(&self.u)?.set(&u.flatten_all()?)?;
        Var::from_tensor(&self.v)?.set(&v.flatten_all()?)
    }
}
