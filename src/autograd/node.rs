//! An op on the tape: what its backward pass needs, and where the gradients of its arguments go.

use crate::autograd::grad_slot::{GradSlot, added};
use crate::autograd::op::Op;
use crate::autograd::recompute::{Call, Recompute};
use crate::autograd::saved::{SavedTensor, shape_only};
use crate::autograd::tape::alias;
use crate::autograd::taped::Grads;
use crate::autograd::variable_grads::VariableGrads;
use candle_core::{Result, Tensor, TensorId, bail};
use std::collections::HashMap;
use std::sync::Arc;

/// An op that waits for its backward pass.
pub struct Node<const N: usize> {
    call: Arc<Call<N>>,
    /// Where the gradients of those arguments go that are outputs of ops on the tape.
    slots: [Option<GradSlot>; N],
    output: Tensor,
    /// Where the gradient of the output is collected.
    slot: GradSlot,
    /// Of the arguments and of the output as the step has them; what is held may be a stand-in.
    ids: ([TensorId; N], TensorId),
}

impl<const N: usize> Node<N> {
    /// `slots` are those of the arguments that are on the tape, `recomputes` of these the ops that compute them again, `slot`
    /// is the output's.
    pub fn new(
        op: impl Op<N>,
        arguments: [&Tensor; N],
        slots: [Option<GradSlot>; N],
        recomputes: [Option<Arc<dyn Recompute>>; N],
        output: &Tensor,
        slot: GradSlot,
    ) -> Result<Self> {
        let saved = op.saved();
        let ids = (arguments.map(Tensor::id), output.id());
        let mut held = Vec::with_capacity(N);
        for ((argument, slot), recompute) in arguments.into_iter().zip(&slots).zip(recomputes) {
            held.push(match (slot, saved.arguments(), recompute) {
                // A variable, or in candle's graph.
                (None, ..) | (_, true, None) => SavedTensor::Tensor(argument.clone()),
                (_, false, _) => SavedTensor::Tensor(shape_only(argument)?),
                (_, true, Some(recompute)) => SavedTensor::Again { recompute, shape_only: shape_only(argument)? },
            });
        }
        let Ok(arguments) = held.try_into() else { bail!("an op holds as many arguments as it has") };
        // Without its place in the graph: the op must not keep itself alive.
        let output = if saved.output() { output.detach() } else { shape_only(&output.detach())? };
        Ok(Self { call: Arc::new(Call { op: Box::new(op), arguments }), slots, output, slot, ids })
    }

    /// What computes the output again.
    pub fn recompute(&self) -> Arc<dyn Recompute> {
        self.call.clone()
    }

    /// The gradients of the arguments, from those whose sum is the output's. One may be used for an update instead.
    fn grads(&self, arguments: [&Tensor; N], gradients: Vec<Tensor>, all: &mut VariableGrads) -> Result<Grads> {
        let (op, output) = (&self.call.op, &self.output);
        let sum = match &gradients[..] {
            [first, second] => {
                let of_sum = op.taped().map(|op| op.bwd_of_sum(&arguments, output, [first, second]));
                match of_sum.transpose()?.flatten() {
                    Some(given) => return Ok(given),
                    None => added(first, second)?,
                }
            }
            [gradient] => gradient.clone(),
            _ => bail!("a slot holds one gradient or two"),
        };
        drop(gradients); // of two, only the sum is read from here on
        let updating = op.taped().and_then(|op| {
            let variable = arguments[op.updates()?];
            Some((op, variable, all.direct_update(variable)?))
        });
        match updating {
            Some((op, variable, update)) => {
                all.was_updated(variable);
                op.bwd_updating(&arguments, output, &sum, &*update)
            }
            None => Ok(op.backward(arguments, output, &sum)?.into()),
        }
    }

    /// Gives every argument its gradient, or updates it.
    fn pass_on(&self, given: Vec<Tensor>, gradients: &mut VariableGrads) -> Result<()> {
        let arguments = self.call.arguments()?;
        let arguments = arguments.each_ref();
        let given = self.grads(arguments, given, gradients)?;
        for ((argument, slot), given) in arguments.into_iter().zip(&self.slots).zip(given) {
            let Some(given) = given else { continue };
            match slot {
                Some(slot) => slot.accumulate(given)?,
                None if argument.is_variable() => gradients.accumulate(argument, given)?,
                None if argument.track_op() => {
                    // candle's part of the graph: the sum has the given gradient in this argument. Where that part
                    // begins in outputs on the tape, their slots take the gradients on.
                    gradients.store.extend((argument * given)?.sum_all()?.backward()?)?;
                }
                None => {}
            }
        }
        Ok(())
    }
}

/// A node of any number of arguments.
pub trait AnyNode: Send {
    /// Whether this is one of the arguments.
    fn takes(&self, tensor: TensorId) -> bool;
    /// Adds how the output changes to `tangents`, which has how some tensors do, if it depends on one of them.
    fn tangent(&self, tangents: &mut HashMap<TensorId, Tensor>) -> Result<()>;
    /// The backward pass: gradients go to the slots of the arguments, or, those of variables, to `gradients`.
    fn backward(&self, gradients: &mut VariableGrads) -> Result<()>;
    /// Whatever comes for the output from now on is an error.
    fn close(&self);
    /// Shows the arguments that no op on the tape has made.
    fn visit(&self, see: &mut dyn FnMut(&Tensor) -> Result<()>) -> Result<()>;
}

impl<const N: usize> AnyNode for Node<N> {
    fn takes(&self, tensor: TensorId) -> bool {
        self.ids.0.contains(&tensor)
    }

    fn tangent(&self, tangents: &mut HashMap<TensorId, Tensor>) -> Result<()> {
        let (arguments, output) = &self.ids;
        let moves = arguments.map(|argument| tangents.get(&argument).cloned());
        for ((argument, slot), moves) in self.call.arguments.iter().zip(&self.slots).zip(&moves) {
            let argument = argument.shape_only();
            if slot.is_none() && moves.is_none() && argument.track_op() && !argument.is_variable() {
                bail!("tangent: what candle's own ops have made may depend on the input too");
            }
        }
        if moves.iter().all(Option::is_none) {
            return Ok(());
        }
        let arguments = self.call.arguments()?;
        // A tensor that is computed again has its gradient go where that of the first one goes.
        arguments.iter().zip(&self.slots).for_each(|(argument, slot)| alias(argument, slot.as_ref()));
        let moves = moves.each_ref().map(Option::as_ref);
        let tangent = self.call.op.tangent(arguments.each_ref(), &self.output, moves)?;
        tangents.insert(*output, tangent);
        Ok(())
    }

    fn backward(&self, gradients: &mut VariableGrads) -> Result<()> {
        // Without a gradient the output has no effect on the loss.
        let given = self.slot.close();
        if !given.is_empty() {
            self.pass_on(given, gradients)?;
        }
        for (argument, slot) in self.call.arguments.iter().zip(&self.slots) {
            let argument = argument.shape_only();
            if slot.is_none() && argument.is_variable() {
                gradients.release(argument)?;
            }
        }
        Ok(())
    }

    fn close(&self) {
        self.slot.close();
    }

    fn visit(&self, see: &mut dyn FnMut(&Tensor) -> Result<()>) -> Result<()> {
        let arguments = self.call.arguments.iter().zip(&self.slots);
        arguments.filter(|(_, slot)| slot.is_none()).try_for_each(|(argument, _)| see(argument.shape_only()))
    }
}
