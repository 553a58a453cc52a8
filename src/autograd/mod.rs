//! Training steps: gradients that go from op to op, past candle's sums.
//!
//! candle adds each gradient that an op gives for an argument into a tensor of zeros. For activations and weights that
//! is two passes of writing and two of reading a gradient more than it takes, and on a GPU three launches. Within
//! [`training_step`] the ops hand their gradients to each other instead: each op is a node on the tape, with a slot for
//! the gradient of its output, and [`backward`] goes through the nodes from the last to the first.
//!
//! candle's own ops may stand between: an output is also in candle's graph, as a leaf of it that gives what candle's
//! backward pass brings to the slot; and where an argument was made by candle, its gradient starts a backward pass of
//! candle's. Outside of a training step an op is a plain node of candle's graph.
//!
//! Memory is held as long as it will be read, and no longer: an op keeps of its arguments and output what its backward
//! pass reads ([`Saved`]), and lets go of it in that pass. candle's graph would keep all of it to the end of the step.
//! Large outputs that one pass over what is kept anyway gives, such as a batch norm's, are not kept for the op that reads
//! them: they are computed again for its backward pass ([`Taped::is_cheap`]), which takes a seventh off what a ResNet-50
//! holds.

mod captured_step;
mod grad_slot;
mod node;
mod saved;
mod variable_grads;

use crate::kernels::cpu::awake::awake;
use crate::kernels::exclusion::{exclusive, shared};
pub use crate::kernels::precision::Precision;
use crate::kernels::storage::{is_host, place};
use candle_core::backprop::GradStore;
use candle_core::{CustomOp1, CustomOp2, CustomOp3, DType, Device, Result, Shape, Tensor, TensorId, Var, bail};
pub use captured_step::CapturedStep;
use grad_slot::GradSlot;
use node::{Add, NarrowRows, Node, One, Op, Recompute, Reshape, Step, Three, Two, compute, leaf_output};
pub use saved::{Grads, Saved, Taped};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use variable_grads::VariableGrads;
pub use variable_grads::{Update, Updates};

/// Outputs of so many values on the CPU, 8 MiB, are computed again where that is cheap. Below, a step needs little memory,
/// and its time would suffer: the outputs are in the cache.
const LARGE: usize = 1 << 21;

/// The ops of a training step.
#[derive(Default)]
struct Tape {
    /// In the order in which they were computed.
    nodes: Vec<Box<dyn Step>>,
    /// The slots of their outputs, by the output.
    slots: HashMap<TensorId, GradSlot>,
    /// What computes those outputs again that are not kept, by the output.
    recomputes: HashMap<TensorId, Arc<dyn Recompute>>,
    /// How many of the nodes have this variable for an argument.
    uses: HashMap<TensorId, usize>,
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
    static TAPE: RefCell<Option<Tape>> = const { RefCell::new(None) };
    static PRECISION: Cell<Precision> = const { Cell::new(Precision::F32) };
}

/// Runs `work` with `tape` and `precision` as the thread's, whatever happens in it.
fn with<R>(tape: Option<Tape>, precision: Precision, work: impl FnOnce() -> R) -> R {
    struct Restore(Option<Tape>, Precision);
    impl Drop for Restore {
        fn drop(&mut self) {
            TAPE.set(self.0.take());
            PRECISION.set(self.1);
        }
    }
    let _restore = Restore(TAPE.replace(tape), PRECISION.replace(precision));
    work()
}

/// The precision of products in the step that this thread is in; outside of steps f32.
pub fn precision() -> Precision {
    PRECISION.get()
}

/// Runs a step, forward passes and their [`backward`], with products in `precision`, on one of the pool's own threads.
/// From there each op starts at once, where a thread outside of the pool wakes it and sleeps itself, op by op.
///
/// Steps of several threads take turns, and [`inference`] waits for them: a step changes weights (`exclusion` says why).
/// The step must not wait for anything that needs the pool, and from the pool's own threads none must begin beside work on
/// the same tensors. There a thread that waits within an op may begin another step in the meantime; each has its own tape.
pub fn training_step<R: Send>(precision: Precision, step: impl FnOnce() -> R + Send) -> R {
    exclusive(|| awake(|| with(Some(Tape::default()), precision, step)))
}

/// Runs what needs no gradient, on one of the pool's own threads: outputs keep nothing alive that candle would not.
/// Within a step the products are in the step's precision. Other threads may be in [`inference`] too, beside it, but none
/// in a [`training_step`]: `work` must not change tensors that they have.
pub fn inference<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let precision = precision();
    shared(|| awake(|| with(None, precision, work)))
}

/// `x` as an encoder takes it in the precision of this step: bf16 on CUDA where the products are, else as it is. Reading
/// and writing activations takes as long there as the products do; layers pass their input's type on.
pub fn activations(x: &Tensor) -> Result<Tensor> {
    match (x.device(), precision()) {
        (Device::Cuda(_), Precision::Bf16) => x.to_dtype(DType::BF16),
        _ => Ok(x.clone()),
    }
}

/// Runs a part of a step with its products in another precision than the step's, forward and, for the ops of this part,
/// backward.
pub fn in_precision<R>(precision: Precision, work: impl FnOnce() -> R) -> R {
    struct Restore(Precision);
    impl Drop for Restore {
        fn drop(&mut self) {
            PRECISION.set(self.0);
        }
    }
    let _restore = Restore(PRECISION.replace(precision));
    work()
}

/// The gradients of `loss` in every variable that it depends on, as `Tensor::backward`; of several values, those of their
/// sum.
pub fn backward(loss: &Tensor) -> Result<GradStore> {
    shared(|| Ok(pass(loss, None)?.store))
}

/// One [`backward`] pass, in which every variable of `updates` is updated as soon as its gradient is complete, and the
/// gradient forgotten. Returns the variables that were updated. All of them must be f32 and on the CPU, and no op of the pass
/// may have one of them detached for an argument, which would find it changed: an error, before anything is.
pub fn update(loss: &Tensor, updates: &dyn Updates) -> Result<HashSet<TensorId>> {
    exclusive(|| pass(loss, Some(updates))?.finish())
}

/// An error where [`update`] would go wrong.
fn check_arguments(nodes: &[Box<dyn Step>], updates: &dyn Updates) -> Result<()> {
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

/// `Tensor::reshape` of a contiguous tensor, on the tape if there is one.
pub fn reshape(x: &Tensor, shape: impl Into<Shape>) -> Result<Tensor> {
    let reshaped = x.reshape(shape.into())?;
    if reshaped.id() != x.id() && is_recorded(&[x]) {
        keep(Reshape, [x], &reshaped, GradSlot::default())?;
    }
    Ok(reshaped)
}

/// The rows from `start` on, `len` of them (`Tensor::narrow`), on the tape if there is one.
pub fn narrow_rows(x: &Tensor, start: usize, len: usize) -> Result<Tensor> {
    let rows = x.narrow(0, start, len)?;
    if rows.id() != x.id() && is_recorded(&[x]) {
        keep(NarrowRows { start, len }, [x], &rows, GradSlot::default())?;
    }
    Ok(rows)
}

/// The sum of two tensors of one shape, on the tape if there is one.
pub fn add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let sum = (x + y)?;
    if is_recorded(&[x, y]) {
        keep(Add, [x, y], &sum, GradSlot::default())?;
    }
    Ok(sum)
}

fn is_recorded(arguments: &[&Tensor]) -> bool {
    TAPE.with_borrow(Option::is_some)
        && arguments.iter().all(|argument| argument.device().is_cpu() || argument.device().is_cuda())
        && arguments.iter().any(|argument| argument.track_op())
}

/// Computes an op, with its place on the tape and in candle's graph.
fn record<const N: usize>(arguments: [&Tensor; N], op: impl Op<N>) -> Result<Tensor> {
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

/// Puts an op whose output is there on the tape.
fn keep<const N: usize>(op: impl Op<N>, arguments: [&Tensor; N], output: &Tensor, slot: GradSlot) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops;
    use crate::ops::Activation;
    use crate::rng::Stream;
    use candle_core::{Device, Var};

    fn random(name: &str, dims: &[usize]) -> Var {
        let mut generator = Stream::new(5, name).at(0);
        let values: Vec<f32> = (0..dims.iter().product()).map(|_| generator.symmetric()).collect();
        Var::from_vec(values, dims, &Device::Cpu).unwrap()
    }

    /// Residual blocks of one weight, with an op of candle's in the middle, and a branch without effect.
    fn loss(x: &Tensor, [weight, scale, bias]: [&Var; 3]) -> Tensor {
        let conv = |x: &Tensor| ops::conv2d(x, weight, None, 1, 1, Activation::Relu).unwrap();
        let y = conv(x);
        let normal = ops::batch_norm_train(&conv(&y), scale, bias, 1e-5, Activation::Identity).unwrap().output;
        let y = ops::add_relu(&normal, &(y * 0.5).unwrap()).unwrap();
        let _unused = conv(&y);
        let y = ops::add_relu(&conv(&y), &y).unwrap(); // so y has two gradients
        let rows = reshape(&ops::channels_first(&y).unwrap(), (4, 16 * 8 * 8)).unwrap();
        ops::activate(&rows, Activation::Tanh).unwrap().sqr().unwrap().mean_all().unwrap()
    }

    #[test]
    fn a_training_step_has_candles_gradients_to_the_bit() {
        let variables = [random("weight", &[16, 16, 3, 3]), random("scale", &[16]), random("bias", &[16])];
        let [weight, scale, bias] = &variables;
        let x = random("x", &[4, 8, 8, 16]);
        for x in [x.as_tensor().clone(), x.as_detached_tensor()] {
            let values = |gradients: &GradStore, variable: &Tensor| {
                gradients.get(variable).map(|gradient| gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap())
            };
            let plain = loss(&x, [weight, scale, bias]).backward().unwrap();
            let taped = training_step(Precision::F32, || backward(&loss(&x, [weight, scale, bias])).unwrap());
            for variable in variables.iter().map(Var::as_tensor).chain([&x]) {
                assert_eq!(values(&taped, variable), values(&plain, variable));
            }
            assert!(values(&taped, weight).is_some_and(|gradient| gradient.iter().any(|value| *value != 0.0)));
        }
    }

    #[test]
    fn a_large_output_that_is_computed_again_gives_the_same_gradients() {
        let variables = [random("weight", &[8, 8, 3, 3]), random("scale", &[8]), random("bias", &[8])];
        let [weight, scale, bias] = variables.each_ref().map(Var::as_tensor);
        let x = random("x", &[4, 256, 256, 8]);
        assert_eq!(x.elem_count(), LARGE);
        // y is computed again for two readers, and one of them, a norm of y, is itself computed again.
        let loss = |x: &Tensor| {
            let norm = |x: &Tensor| ops::batch_norm_train(x, scale, bias, 1e-5, Activation::Relu).unwrap().output;
            let y = norm(x);
            let conv = |x: &Tensor| ops::conv2d(x, weight, None, 1, 1, Activation::Identity).unwrap();
            (conv(&y).sqr().unwrap() * conv(&norm(&y))).unwrap().mean_all().unwrap()
        };
        let values = |gradients: &GradStore| {
            let of = |tensor: &Tensor| gradients.get(tensor).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            [&x.as_tensor(), &weight, &scale, &bias].map(|variable| of(variable))
        };
        let plain = loss(&x).backward().unwrap();
        let taped = training_step(Precision::F32, || {
            let loss = loss(&x);
            assert_eq!(TAPE.with_borrow(|tape| tape.as_ref().map(|tape| tape.recomputes.len())), Some(2));
            backward(&loss).unwrap()
        });
        assert!(values(&taped) == values(&plain));
    }

    /// x², whose backward pass reads x and its output, whatever it says of that.
    struct Square(Saved);

    impl Taped for Square {
        fn saved(&self) -> Saved {
            self.0
        }
    }

    impl CustomOp1 for Square {
        fn name(&self) -> &'static str {
            "square"
        }

        fn cpu_fwd(&self, x: &candle_core::CpuStorage, layout: &candle_core::Layout) -> Computed {
            let squares = crate::kernels::storage::values(x, layout)?.iter().map(|x| x * x).collect();
            Ok((candle_core::CpuStorage::F32(squares), layout.shape().clone()))
        }

        /// 2x, once as x + x and once as 2 x² / x.
        fn bwd(&self, x: &Tensor, output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
            Ok(Some((gradient * ((x + (output / x)?)?))?))
        }
    }

    type Computed = Result<(candle_core::CpuStorage, Shape)>;

    #[test]
    fn an_op_that_reads_what_it_has_not_saved_has_no_gradient() {
        let x = random("x", &[3, 5]);
        let gradient = |saved: Saved| -> Vec<f32> {
            let gradients = training_step(Precision::F32, || {
                let y = ops::activate(&x, Activation::Tanh).unwrap(); // on the tape, so that it need not be kept
                backward(&apply_op1(&y, Square(saved)).unwrap()).unwrap()
            });
            gradients.get(&x).unwrap().flatten_all().unwrap().to_vec1().unwrap()
        };
        let honest = gradient(Saved::ArgumentsAndOutput);
        let x = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (found, x) in honest.iter().zip(x) {
            let y = x.tanh();
            assert!((found - 2.0 * y * (1.0 - y * y)).abs() < 1e-5, "{found} at {x}");
        }
        for lie in [Saved::Nothing, Saved::Arguments, Saved::Output] {
            assert!(gradient(lie).iter().all(|value| value.is_nan()), "{lie:?}");
        }
    }

    #[test]
    fn what_has_no_values_has_none_of_any_type() {
        for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
            for tensor in [
                Tensor::zeros((2, 3), dtype, &Device::Cpu).unwrap(),
                Var::zeros((2, 3), dtype, &Device::Cpu).unwrap().into_inner(),
            ] {
                let shape_only = saved::shape_only(&tensor).unwrap();
                assert_eq!(
                    (shape_only.dims(), shape_only.dtype(), shape_only.track_op()),
                    (tensor.dims(), dtype, tensor.track_op())
                );
                let values = shape_only.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
                assert!(values.iter().all(|value| value.is_nan()), "{dtype:?}");
            }
        }
        let labels = saved::shape_only(&Tensor::zeros(2, DType::U32, &Device::Cpu).unwrap()).unwrap();
        assert_eq!(labels.to_vec1::<u32>().unwrap(), [u32::MAX; 2]);
    }

    #[test]
    fn a_part_of_a_step_may_have_another_precision() {
        let found = training_step(Precision::Bf16, || (in_precision(Precision::F32, precision), precision()));
        assert_eq!(found, (Precision::F32, Precision::Bf16));
    }

    #[test]
    fn a_precision_is_that_of_the_step_and_ends_with_it() {
        assert_eq!(precision(), Precision::F32);
        let within = training_step(Precision::Bf16, || {
            let nested = training_step(Precision::Tf32, || (precision(), inference(precision)));
            (precision(), inference(precision), nested)
        });
        assert_eq!(within, (Precision::Bf16, Precision::Bf16, (Precision::Tf32, Precision::Tf32)));
        assert_eq!((precision(), inference(precision)), (Precision::F32, Precision::F32));
        let fails = || training_step(Precision::Bf16, || panic!("as a step may"));
        assert!(std::panic::catch_unwind(fails).is_err());
        assert_eq!(training_step(Precision::F32, precision), Precision::F32);
    }

    #[test]
    fn a_graph_of_a_step_does_not_outlive_it_unnoticed() {
        let variables = [random("weight", &[16, 16, 3, 3]), random("scale", &[16]), random("bias", &[16])];
        let [weight, scale, bias] = &variables;
        let left = training_step(Precision::F32, || loss(&random("x", &[4, 8, 8, 16]), [weight, scale, bias]));
        assert!(left.backward().unwrap_err().to_string().contains("training step"));
    }
}
