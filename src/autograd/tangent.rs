//! Derivatives along a direction, by forward mode over this thread's tape.

use crate::autograd::tape::TAPE;
use candle_core::{Result, Tensor, bail};
use std::collections::HashMap;

/// By how much `output` changes to first order as `input` moves by `direction`: the Jacobian times the direction, a tensor
/// of the output's shape.
///
/// `input` is a variable, `output` was computed from it earlier in this step, and every op between them has a
/// [`tangent`](crate::autograd::Taped::tangent). The derivative is recorded like any other part of the step, so a
/// [`backward`](crate::autograd::backward()) pass through it gives its exact gradient. With `direction` held fixed at the
/// gradient of the output that is a product with the Hessian (Pearlmutter, "Fast exact multiplication by the Hessian", 1994),
/// at about the cost of one more forward and backward pass.
///
/// # Errors
/// Outside of a training step, and where a part of what lies between was not computed by such ops.
pub fn tangent(output: &Tensor, input: &Tensor, direction: &Tensor) -> Result<Tensor> {
    if direction.dims() != input.dims() {
        bail!("tangent: a direction of {:?} at an input of {:?}", direction.dims(), input.dims());
    }
    let Some(nodes) = TAPE.with_borrow_mut(|tape| tape.as_mut().map(|tape| std::mem::take(&mut tape.nodes))) else {
        bail!("tangent: expected to be in a training step");
    };
    let mut tangents = HashMap::from([(input.id(), direction.clone())]);
    // What was recorded before the input was used does not depend on it.
    let mut dependent = nodes.iter().skip_while(|node| !node.takes(input.id()));
    let computed = dependent.try_for_each(|node| node.tangent(&mut tangents));
    TAPE.with_borrow_mut(|tape| {
        if let Some(tape) = tape {
            tape.nodes.splice(..0, nodes); // in front of what was recorded from them
        }
    });
    computed?;
    match tangents.remove(&output.id()) {
        Some(tangent) => Ok(tangent),
        None => bail!("tangent: the output does not depend on the input by ops on the tape"),
    }
}
