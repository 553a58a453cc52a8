//! What of a forward pass the backward pass reads.

use crate::autograd::recompute::Recompute;
use candle_core::{DType, Device, Result, Tensor, Var};
use std::sync::Arc;

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

/// An argument as an op on the tape holds it.
pub enum SavedTensor {
    /// The tensor itself, or its shape alone where its values are not read.
    Tensor(Tensor),
    /// An output that is computed again where it is read, and its shape until then.
    Again { recompute: Arc<dyn Recompute>, shape_only: Tensor },
}

impl SavedTensor {
    /// What has the shape and the place in candle's graph, if not the values.
    pub fn shape_only(&self) -> &Tensor {
        match self {
            SavedTensor::Tensor(tensor) | SavedTensor::Again { shape_only: tensor, .. } => tensor,
        }
    }

    /// The tensor with its values.
    pub fn tensor(&self) -> Result<Tensor> {
        match self {
            SavedTensor::Tensor(tensor) => Ok(tensor.clone()),
            SavedTensor::Again { recompute, .. } => recompute.output(),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_alone_has_no_values_of_any_type() {
        for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
            for tensor in [
                Tensor::zeros((2, 3), dtype, &Device::Cpu).unwrap(),
                Var::zeros((2, 3), dtype, &Device::Cpu).unwrap().into_inner(),
            ] {
                let found = shape_only(&tensor).unwrap();
                assert_eq!((found.dims(), found.dtype(), found.track_op()), (tensor.dims(), dtype, tensor.track_op()));
                let values = found.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
                assert!(values.iter().all(|value| value.is_nan()), "{dtype:?}");
            }
        }
        let labels = shape_only(&Tensor::zeros(2, DType::U32, &Device::Cpu).unwrap()).unwrap();
        assert_eq!(labels.to_vec1::<u32>().unwrap(), [u32::MAX; 2]);
    }
}
