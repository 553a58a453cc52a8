//! The ops of a training step, in their order.

use crate::autograd::grad_slot::GradSlot;
use crate::autograd::leaf_output::leaf_output;
use crate::autograd::node::{AnyNode, Node};
use crate::autograd::op::{Op, compute};
use crate::autograd::recompute::Recompute;
use crate::kernels::storage::is_host;
use candle_core::{DType, Result, Tensor, TensorId, Var};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// Outputs of so many values on the CPU, 8 MiB, are computed again where that is cheap. Below, a step needs little memory,
/// and its time would suffer: the outputs are in the cache.
pub const LARGE: usize = 1 << 21;

/// The ops of a training step.
#[derive(Default)]
pub struct Tape {
    /// In the order in which they were computed.
    pub nodes: Vec<Box<dyn AnyNode>>,
    /// The slots of their outputs, by the output.
    pub slots: HashMap<TensorId, GradSlot>,
    /// What computes those outputs again that are not kept, by the output.
    pub recomputes: HashMap<TensorId, Arc<dyn Recompute>>,
    /// How many of the nodes have this variable for an argument.
    pub uses: HashMap<TensorId, usize>,
    /// What outputs hang on in candle's graph.
    root: Option<Var>,
}

impl Drop for Tape {
    /// VariableGrads that come after the step would be lost: they are errors.
    fn drop(&mut self) {
        self.nodes.iter().for_each(|node| node.close());
    }
}

thread_local! {
    pub static TAPE: RefCell<Option<Tape>> = const { RefCell::new(None) };
}

/// Runs `work` with `tape` as this thread's, whatever happens in it.
pub fn with_tape<R>(tape: Option<Tape>, work: impl FnOnce() -> R) -> R {
    struct Restore(Option<Tape>);
    impl Drop for Restore {
        fn drop(&mut self) {
            TAPE.set(self.0.take());
        }
    }
    let _restore = Restore(TAPE.replace(tape));
    work()
}

/// What was recorded apart from the rest of a step: one backward pass is its own.
pub struct Recording(Tape);

/// Runs a part of a step on a tape of its own.
pub fn recorded<R>(work: impl FnOnce() -> R) -> (R, Recording) {
    let mut tape = None;
    let result = with_tape(Some(Tape::default()), || {
        let result = work();
        tape = TAPE.take();
        result
    });
    (result, Recording(tape.unwrap_or_default()))
}

impl Recording {
    /// Runs `work`, which has the backward pass of what was recorded.
    pub fn backward<R>(self, work: impl FnOnce() -> R) -> R {
        with_tape(Some(self.0), work)
    }
}

/// Whether an op on these arguments belongs on this thread's tape.
pub fn is_recorded(arguments: &[&Tensor]) -> bool {
    TAPE.with_borrow(Option::is_some)
        && arguments.iter().all(|argument| argument.device().is_cpu() || argument.device().is_cuda())
        && arguments.iter().any(|argument| argument.track_op())
}

/// Computes an op, with its place on the tape and in candle's graph.
pub fn record<const N: usize>(arguments: [&Tensor; N], op: impl Op<N>) -> Result<Tensor> {
    let computed = compute(arguments, &op)?;
    let root = TAPE.with_borrow(|tape| tape.as_ref().and_then(|tape| tape.root.clone()));
    let root = match root {
        Some(root) => root,
        None => Var::zeros((), DType::F32, arguments[0].device())?,
    };
    let slot = GradSlot::default();
    let output = leaf_output(&root, computed, slot.clone())?;
    TAPE.with_borrow_mut(|tape| tape.as_mut().map(|tape| tape.root = Some(root)));
    keep(op, arguments, &output, slot)?;
    Ok(output)
}

/// Makes the gradient of `tensor` go to `slot` where this thread's ops take it for an argument.
pub fn alias(tensor: &Tensor, slot: Option<&GradSlot>) {
    if let Some(slot) = slot {
        TAPE.with_borrow_mut(|tape| tape.as_mut().map(|tape| tape.slots.insert(tensor.id(), slot.clone())));
    }
}

/// Puts an op whose output is there on the tape.
pub fn keep<const N: usize>(op: impl Op<N>, arguments: [&Tensor; N], output: &Tensor, slot: GradSlot) -> Result<()> {
    TAPE.with_borrow_mut(|tape| {
        let Some(tape) = tape else { return Ok(()) };
        let slots = arguments.map(|argument| tape.slots.get(&argument.id()).cloned());
        let recomputes = arguments.map(|argument| tape.recomputes.get(&argument.id()).cloned());
        for (argument, _) in
            arguments.iter().zip(&slots).filter(|(argument, slot)| slot.is_none() && argument.is_variable())
        {
            *tape.uses.entry(argument.id()).or_default() += 1;
        }
        tape.slots.insert(output.id(), slot.clone());
        let is_large = output.elem_count() >= LARGE && is_host(&[output]);
        let is_again = is_large && op.is_cheap() && op.saved().arguments();
        let node = Node::new(op, arguments, slots, recomputes, output, slot)?;
        if is_again {
            tape.recomputes.insert(output.id(), node.recompute());
        }
        tape.nodes.push(Box::new(node));
        Ok(())
    })
}
