//! What of a forward pass the backward pass reads.

use super::gradients::Update;
use candle_core::{Device, Result, Tensor, Var, bail};

/// The values that an op's backward pass reads. Of the others it gets the shape alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Saved {
    Nothing,
    Arguments,
    Output,
    ArgumentsAndOutput,
}

impl Saved {
    pub fn arguments(self) -> bool {
        matches!(self, Saved::Arguments | Saved::ArgumentsAndOutput)
    }

    pub fn output(self) -> bool {
        matches!(self, Saved::Output | Saved::ArgumentsAndOutput)
    }
}

/// A gradient or none for each argument.
pub type Given = Vec<Option<Tensor>>;

/// What the tape asks of an op beside candle's trait.
pub trait Taped {
    fn saved(&self) -> Saved;

    /// Whether the op keeps its arguments in any case and computes its output in one pass over them. Where a later op's
    /// backward pass reads a large output of it, the tape then computes it again instead of keeping it.
    fn is_cheap(&self) -> bool {
        false
    }

    /// candle's `bwd` for the sum of two gradients, where the op adds them up in its own pass over them.
    fn bwd_of_sum(&self, _arguments: &[&Tensor], _output: &Tensor, _gradients: [&Tensor; 2]) -> Result<Option<Given>> {
        Ok(None)
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
    ) -> Result<Given> {
        bail!("an op without updates")
    }
}

/// A tensor's shape and type, and whether gradients go through it, in the memory of one value.
pub fn stand_in(tensor: &Tensor) -> Result<Tensor> {
    let value = match tensor.track_op() {
        true => Var::zeros((), tensor.dtype(), &Device::Cpu)?.into_inner(),
        false => Tensor::zeros((), tensor.dtype(), &Device::Cpu)?,
    };
    value.broadcast_as(tensor.dims())
}
