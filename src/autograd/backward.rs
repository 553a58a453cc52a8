//! Backward passes: over this thread's tape, or candle's own outside of a step.

use crate::autograd::node::AnyNode;
use crate::autograd::tape::TAPE;
use crate::autograd::variable_grads::{Updates, VariableGrads};
use crate::kernels::exclusion::{exclusive, shared};
use crate::kernels::storage::{is_host, place};
use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, TensorId, bail};
use std::collections::{HashMap, HashSet};

/// The gradients of `loss` in every variable that it depends on, as `Tensor::backward`; of several values, those of their
/// sum.
pub fn backward(loss: &Tensor) -> Result<GradStore> {
    shared(|| Ok(pass(loss, None)?.store))
}

/// One [`backward`] pass, in which `updates` takes the gradient of every variable of its as soon as it is complete, and it is
/// forgotten. Returns the variables whose gradients were taken. Those that are updated must be f32 and on the CPU, and no op of
/// the pass may have one of them detached for an argument, which would find it changed: an error, before anything is.
pub fn update(loss: &Tensor, updates: &dyn Updates) -> Result<HashSet<TensorId>> {
    exclusive(|| pass(loss, Some(updates))?.finish())
}

/// An error where [`update`] would go wrong.
fn check_arguments(nodes: &[Box<dyn AnyNode>], updates: &dyn Updates) -> Result<()> {
    let mut updated = HashSet::new();
    let each = |see: &mut dyn FnMut(&Tensor) -> Result<()>| nodes.iter().try_for_each(|node| node.visit(see));
    each(&mut |argument| {
        if argument.is_variable() && updates.update_of(argument.id()).is_some() {
            if !is_host(&[argument]) {
                let (dtype, device) = (argument.dtype(), argument.device());
                bail!("update: expected variables in f32 on the CPU, found one in {dtype:?} on {device:?}")
            }
            updated.insert(place(argument));
        }
        Ok(())
    })?;
    each(&mut |argument| {
        if !argument.is_variable() && !argument.track_op() && updated.contains(&place(argument)) {
            let dims = argument.dims();
            bail!("update: an op has a variable of shape {dims:?} detached for an argument, and would find it changed")
        }
        Ok(())
    })
}

fn pass<'a>(loss: &Tensor, updates: Option<&'a dyn Updates>) -> Result<VariableGrads<'a>> {
    let Some(mut tape) = TAPE.with_borrow_mut(|tape| tape.as_mut().map(std::mem::take)) else {
        return Ok(VariableGrads::new(loss.backward()?, HashMap::new(), updates));
    };
    if let Some(updates) = updates {
        check_arguments(&tape.nodes, updates)?;
    }
    tape.recomputes.clear(); // the nodes have theirs, for as long as they need them
    let mut store = GradStore::default();
    match tape.slots.get(&loss.id()) {
        Some(slot) => slot.accumulate(loss.ones_like()?)?,
        None => store = loss.backward()?,
    }
    let mut gradients = VariableGrads::new(store, std::mem::take(&mut tape.uses), updates);
    while let Some(node) = tape.nodes.pop() {
        node.backward(&mut gradients)?;
    }
    Ok(gradients)
}
