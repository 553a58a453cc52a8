//! What of a forward pass the backward pass reads.

use candle_core::{Device, Result, Tensor, Var};

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

/// An op that says what its backward pass reads.
pub trait Saves {
    fn saved(&self) -> Saved;
}

/// A tensor's shape and type, and whether gradients go through it, in the memory of one value.
pub fn stand_in(tensor: &Tensor) -> Result<Tensor> {
    let value = match tensor.track_op() {
        true => Var::zeros((), tensor.dtype(), &Device::Cpu)?.into_inner(),
        false => Tensor::zeros((), tensor.dtype(), &Device::Cpu)?,
    };
    value.broadcast_as(tensor.dims())
}
