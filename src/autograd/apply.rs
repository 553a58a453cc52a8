//! Applies ops: on the tape within a step, else in candle's graph.

use crate::autograd::op::{One, Three, Two};
use crate::autograd::tape::{is_recorded, record};
use crate::autograd::taped::Taped;
use crate::kernels::exclusion::shared;
use candle_core::{CustomOp1, CustomOp2, CustomOp3, Result, Tensor};

/// `Tensor::apply_op1`, on the tape if there is one.
pub fn apply_op1<C: CustomOp1 + Taped + Send + Sync + 'static>(x: &Tensor, op: C) -> Result<Tensor> {
    match is_recorded(&[x]) {
        true => record([x], One(op)),
        false => shared(|| x.apply_op1(op)),
    }
}

/// `Tensor::apply_op2`, on the tape if there is one.
pub fn apply_op2<C: CustomOp2 + Taped + Send + Sync + 'static>(x: &Tensor, y: &Tensor, op: C) -> Result<Tensor> {
    match is_recorded(&[x, y]) {
        true => record([x, y], Two(op)),
        false => shared(|| x.apply_op2(y, op)),
    }
}

/// `Tensor::apply_op3`, on the tape if there is one.
pub fn apply_op3<C: CustomOp3 + Taped + Send + Sync + 'static>(
    x: &Tensor,
    y: &Tensor,
    z: &Tensor,
    op: C,
) -> Result<Tensor> {
    match is_recorded(&[x, y, z]) {
        true => record([x, y, z], Three(op)),
        false => shared(|| x.apply_op3(y, z, op)),
    }
}
