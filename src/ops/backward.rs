//! The backward pass, with a short way for the gradients of parameters.

use super::storage::{modify, read, tensor};
use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, TensorId};
use std::cell::RefCell;
use std::collections::HashMap;

/// The gradients of parameters that ops have found in the backward pass that this thread is in.
type Found = HashMap<TensorId, (Tensor, Tensor)>;

thread_local! {
    static FOUND: RefCell<Option<Found>> = const { RefCell::new(None) };
}

/// The gradients of `loss` in every variable that it depends on: `Tensor::backward`, faster.
///
/// candle adds each gradient that an op gives into a tensor of zeros, which for a large weight costs as much as the
/// optimizer's step. In here, ops put the gradient of a variable aside instead; it joins candle's own at the end.
pub fn backward(loss: &Tensor) -> Result<GradStore> {
    // A thread that waits for others within an op may run another backward pass in the meantime.
    let outer = FOUND.replace(Some(Found::new()));
    let gradients = loss.backward();
    let found = FOUND.replace(outer).unwrap_or_default();
    let mut gradients = gradients?;
    for (variable, gradient) in found.into_values() {
        let gradient = match gradients.remove(&variable) {
            Some(other) => (other + gradient)?,
            None => gradient,
        };
        gradients.insert(&variable, gradient);
    }
    Ok(gradients)
}

/// For an op's backward pass: the gradient of `argument`, to be given to candle; or none, if it was put aside.
pub fn give(argument: &Tensor, values: Vec<f32>) -> Result<Option<Tensor>> {
    let gradient = tensor(values, argument.dims())?;
    if !argument.is_variable() {
        return Ok(Some(gradient));
    }
    FOUND.with_borrow_mut(|found| {
        let Some(found) = found else { return Ok(Some(gradient)) };
        match found.get(&argument.id()) {
            // A parameter that is used more than once has the sum.
            Some((_, sum)) => read(&gradient, |gradient| {
                modify(sum, |sum| {
                    super::parallel::add_to(sum, gradient);
                    Ok(())
                })
            })??,
            None => {
                found.insert(argument.id(), (argument.clone(), gradient));
            }
        }
        Ok(None)
    })
}
