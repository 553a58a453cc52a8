//! What an op promises for its backward pass.

use crate::autograd::saved::Saved;
use crate::autograd::variable_grads::Update;
use candle_core::{Result, Tensor, bail};

/// A gradient or none for each argument.
pub type Grads = Vec<Option<Tensor>>;

/// What the tape asks of an op beside candle's trait. The [module](crate::autograd) has the whole contract.
pub trait Taped {
    fn saved(&self) -> Saved;

    /// Whether the op keeps its arguments in any case and computes its output in one pass over them. Where a later op's
    /// backward pass reads a large output of it, the tape then computes it again instead of keeping it.
    fn is_cheap(&self) -> bool {
        false
    }

    /// candle's `bwd` for the sum of two gradients, where the op adds them up in its own pass over them.
    fn bwd_of_sum(&self, _arguments: &[&Tensor], _output: &Tensor, _gradients: [&Tensor; 2]) -> Result<Option<Grads>> {
        Ok(None)
    }

    /// How the output changes, to first order, as the arguments move by `tangents`; one of them at least does. Computed by
    /// ops that have gradients, from the values that `bwd` may read.
    fn tangent(&self, _arguments: &[&Tensor], _output: &Tensor, _tangents: &[Option<&Tensor>]) -> Result<Tensor> {
        bail!("an op without a derivative along a direction")
    }

    /// The argument whose gradient the op can hand to an update in pieces.
    fn updates(&self) -> Option<usize> {
        None
    }

    /// candle's `bwd` that hands the gradient of that argument to `update`: a gradient or none for each argument, and none
    /// for that one.
    fn bwd_updating(
        &self,
        _arguments: &[&Tensor],
        _output: &Tensor,
        _gradient: &Tensor,
        _update: &dyn Update,
    ) -> Result<Grads> {
        bail!("an op without updates")
    }
}
