//! What of a forward pass the backward pass reads.

use crate::autograd::variable_grads::Update;
use candle_core::{DType, Device, Result, Tensor, Var, bail};

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
pub type Grads = Vec<Option<Tensor>>;

/// What the tape asks of an op beside candle's trait.
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

/// A tensor's shape and type, and whether gradients go through it, in the memory of one value. That is NaN, or the largest
/// u32 where the type has none: an op that reads what it has not saved must not go unnoticed.
pub fn shape_only(tensor: &Tensor) -> Result<Tensor> {
    let value = match (tensor.dtype(), tensor.track_op()) {
        (DType::F32, true) => Var::new(f32::NAN, &Device::Cpu)?.into_inner(),
        (DType::F32, false) => Tensor::new(f32::NAN, &Device::Cpu)?,
        (dtype, is_tracked) => {
            let value = if dtype.is_float() { f64::NAN } else { u32::MAX.into() };
            let value = Tensor::new(value, &Device::Cpu)?.to_dtype(dtype)?;
            if is_tracked { Var::from_tensor(&value)?.into_inner() } else { value }
        }
    };
    value.broadcast_as(tensor.dims())
}
