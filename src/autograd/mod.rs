//! What carries gradients from op to op within a training step, past candle's sums.
//!
//! candle adds each gradient that an op gives for an argument into a tensor of zeros. For activations and weights that
//! is two passes of writing and two of reading a gradient more than it takes, and on a GPU three launches. Within
//! [`training_step`] the ops hand their gradients to each other instead: each op is a node on the tape, with a slot for
//! the gradient of its output, and `backward` goes through the nodes from the last to the first.
//!
//! candle's own ops may stand between: an output is also in candle's graph, as a leaf of it that gives what candle's
//! backward pass brings to the slot; and where an argument was made by candle, its gradient starts a backward pass of
//! candle's. Outside of a training step an op is a plain node of candle's graph.
//!
//! # What an op promises
//!
//! An op is a `CustomOp1`, 2 or 3 of candle's that is also [`Taped`], and is applied by [`apply_op1`], 2 or 3.
//!
//! - **Saved values** ([`Taped::saved`]): whether `bwd` reads the values of its arguments, of its output, of both or of
//!   neither. It must not read others: of an argument that another op on the tape has made, and of its output, it gets
//!   only shape and dtype, and reads NaN (the largest u32 among integers), so that its gradients and the weights they
//!   reach become NaN, which ends a run at its next check. It may always read dimensions.
//! - **One result**: the forward pass has the same output, bit by bit, whenever it is called with the same arguments.
//! - **Cheap recomputation** ([`Taped::is_cheap`], optional): the op saves its arguments and computes its output in one
//!   pass over them. A large output is then computed again for the ops that read it rather than kept for them, which
//!   takes a seventh off what a ResNet-50 holds.
//! - **Gradient of a sum** ([`Taped::bwd_of_sum`], optional): where the output was used twice, the op may read both
//!   gradients in its own pass. It must give the bits that `bwd` gives for their sum.
//! - **Direct update** ([`Taped::updates`] and [`Taped::bwd_updating`], optional): the op can hand the gradient of one
//!   argument, a weight, to an [`Update`] piece by piece. Every value of the gradient is written exactly once, with the
//!   bits that `bwd` gives, and the weight is not read once its first piece has been.
//! - **Derivative along a direction** ([`Taped::tangent`], optional): how the output changes as the arguments move, by ops
//!   that have gradients themselves. It reads what `bwd` may read.
//! - **Gradients are constants**: `bwd` returns a gradient of its argument's shape for each argument that is tracked, and
//!   none elsewhere. There are no gradients of gradients; what needs one takes the gradient of a [`tangent()`].
//!
//! # What an op gets
//!
//! `bwd` is called at most once a step, after every op that uses the output has passed its gradient on, with the whole
//! gradient of the output; never, if the output has no effect on the loss. The op is dropped after the call with all that
//! it saved, so memory is held as long as it will be read. `precision` is that of the step, for both passes.
//!
//! # What is an error
//!
//! - An op on tensors of two devices.
//! - A gradient that comes to an output after its op's backward pass, or after the step: the graph of a step does not
//!   outlive it, and each step runs one backward pass over all that it has recorded.
//! - [`update`] of a variable that an op has for an argument detached as well (it would read the updated values), that is
//!   not f32 on the CPU, or that gets a further gradient after its update.
//!
//! # Threads
//!
//! Each thread has its own tape. Steps and inference of several threads may run in one process: a step changes tensors and
//! has the thread pool to itself, inference shares it (see `kernels::exclusion`). On CUDA the same turns keep the launches
//! of other threads out of a [`CapturedStep`] while it is captured, since all threads share one stream. Ops, steps and
//! optimizers take their turn themselves; a plain copy of candle's to the device (`Tensor::new`) takes none, so a thread
//! that makes its batches must not do so beside another thread's capture.

mod apply;
mod backward;
mod basic_ops;
mod captured_step;
mod grad_slot;
mod leaf_output;
mod node;
mod op;
mod precision;
mod recompute;
mod saved;
mod step;
mod tangent;
mod tape;
mod taped;
mod variable_grads;

pub use crate::kernels::precision::Precision;
pub use apply::{apply_op1, apply_op2, apply_op3};
pub use backward::{backward, update};
pub use basic_ops::{add, mul, narrow_rows, reshape};
pub use captured_step::CapturedStep;
pub use precision::{activations, in_precision, precision};
pub use saved::Saved;
pub use step::{inference, training_step, training_step_in_parts};
pub use tangent::tangent;
pub use tape::{Recording, recorded};
pub use taped::{Grads, Taped};
pub use variable_grads::{Update, Updates};
