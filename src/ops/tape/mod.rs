//! Training steps: gradients that go from op to op, past candle's sums.
//!
//! candle adds each gradient that an op gives for an argument into a tensor of zeros. For activations and weights that
//! is two passes of writing and two of reading a gradient more than it takes, on one thread: a tenth of a step. Within
//! [`training_step`] the ops hand their gradients to each other instead.
//!
//! candle still keeps the graph and finds the order. In its graph an op's output hangs on a token, a scalar that stands
//! for the op; the tokens of its arguments are what the op depends on, so that what candle adds up are scalars. The
//! gradients themselves are on the tape, by token. An output that goes into one of candle's own ops gets its gradient
//! from candle and passes it on to the tape. Outside of a training step an op is a plain node of candle's graph.
//!
//! Memory is held as long as it will be read, and no longer: an op keeps of its arguments and output what its backward
//! pass reads ([`Saved`]), and lets go of it in that pass. candle's graph would keep all of it to the end of the step.

mod node;
mod saved;

use super::parallel::sum_of;
use super::precision::Precision;
use super::storage::{read, tensor};
use candle_core::backprop::GradStore;
use candle_core::{CustomOp1, CustomOp2, CustomOp3, Result, Shape, Tensor, TensorId};
use node::{One, Reshape, Three, Two, record};
pub use saved::{Saved, Saves};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// What a training step keeps beside candle's graph.
#[derive(Default)]
struct Tape {
    /// The token of each output, by the output.
    tokens: HashMap<TensorId, Tensor>,
    /// Gradients that wait for their op, by its token.
    gradients: HashMap<TensorId, Tensor>,
    /// Variables and their gradients.
    variables: HashMap<TensorId, (Tensor, Tensor)>,
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
/// The step must not wait for anything that needs the pool. A thread of the pool that waits within an op may begin
/// another step in the meantime; each has its own tape.
pub fn training_step<R: Send>(precision: Precision, step: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| with(Some(Tape::default()), precision, step))
}

/// Runs what needs no gradient, on one of the pool's own threads: outputs keep nothing alive that candle would not.
/// Within a step the products are in the step's precision.
pub fn inference<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let precision = precision();
    rayon::scope(|_| with(None, precision, work))
}

/// The gradients of `loss` in every variable that it depends on, as `Tensor::backward`.
pub fn backward(loss: &Tensor) -> Result<GradStore> {
    let mut gradients = loss.backward()?;
    let tape = TAPE.with_borrow_mut(|tape| tape.as_mut().map(std::mem::take)).unwrap_or_default();
    for (variable, gradient) in tape.variables.into_values() {
        let gradient = match gradients.remove(&variable) {
            Some(other) => (other + gradient)?,
            None => gradient,
        };
        gradients.insert(&variable, gradient);
    }
    Ok(gradients)
}

/// `Tensor::apply_op1`, on the tape if there is one.
pub fn apply_op1<C: CustomOp1 + Saves + Send + Sync + 'static>(x: &Tensor, op: C) -> Result<Tensor> {
    match is_recorded(&[x]) {
        true => record([x], One(op)),
        false => x.apply_op1(op),
    }
}

/// `Tensor::apply_op2`, on the tape if there is one.
pub fn apply_op2<C: CustomOp2 + Saves + Send + Sync + 'static>(x: &Tensor, y: &Tensor, op: C) -> Result<Tensor> {
    match is_recorded(&[x, y]) {
        true => record([x, y], Two(op)),
        false => x.apply_op2(y, op),
    }
}

/// `Tensor::apply_op3`, on the tape if there is one.
pub fn apply_op3<C: CustomOp3 + Saves + Send + Sync + 'static>(
    x: &Tensor,
    y: &Tensor,
    z: &Tensor,
    op: C,
) -> Result<Tensor> {
    match is_recorded(&[x, y, z]) {
        true => record([x, y, z], Three(op)),
        false => x.apply_op3(y, z, op),
    }
}

/// `Tensor::reshape` of a contiguous tensor, on the tape if there is one.
pub fn reshape(x: &Tensor, shape: impl Into<Shape>) -> Result<Tensor> {
    let reshaped = x.reshape(shape.into())?;
    if reshaped.id() != x.id() && is_recorded(&[x]) {
        let token = node::token([x], Reshape, Default::default())?;
        TAPE.with_borrow_mut(|tape| tape.as_mut().map(|tape| tape.tokens.insert(reshaped.id(), token)));
    }
    Ok(reshaped)
}

fn is_recorded(arguments: &[&Tensor]) -> bool {
    TAPE.with_borrow(Option::is_some)
        && arguments.iter().all(|argument| argument.device().is_cpu())
        && arguments.iter().any(|argument| argument.track_op())
}

impl Tape {
    /// Takes a gradient in for the op of this token, or adds it to what is there.
    fn give(&mut self, token: &Tensor, gradient: Tensor) -> Result<()> {
        let sum = match self.gradients.remove(&token.id()) {
            Some(other) => added(&other, &gradient)?,
            None => gradient,
        };
        self.gradients.insert(token.id(), sum);
        Ok(())
    }

    fn give_variable(&mut self, variable: &Tensor, gradient: Tensor) -> Result<()> {
        let sum = match self.variables.remove(&variable.id()) {
            Some((_, other)) => added(&other, &gradient)?,
            None => gradient,
        };
        self.variables.insert(variable.id(), (variable.clone(), sum));
        Ok(())
    }
}

/// The sum as a new tensor: either may be in use elsewhere.
fn added(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    tensor(read(x, |x| read(y, |y| sum_of(x, y)))??, x.dims())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{self, Activation};
    use crate::rng::Stream;
    use candle_core::{Device, Var};

    fn random(name: &str, dims: &[usize]) -> Var {
        let mut generator = Stream::new(5, name).at(0);
        let values: Vec<f32> = (0..dims.iter().product()).map(|_| generator.symmetric()).collect();
        Var::from_vec(values, dims, &Device::Cpu).unwrap()
    }

    /// A residual block whose weight is used twice, with an op of candle's in the middle, and a branch without effect.
    fn loss(x: &Tensor, [weight, scale, bias]: [&Var; 3]) -> Tensor {
        let conv = |x: &Tensor| ops::conv2d(x, weight, None, 1, 1, Activation::Relu).unwrap();
        let y = conv(x);
        let normal = ops::batch_norm_train(&conv(&y), scale, bias, 1e-5, Activation::Identity).unwrap().output;
        let y = ops::add_relu(&normal, &(y * 0.5).unwrap()).unwrap();
        let _unused = conv(&y);
        let rows = ops::reshape(&ops::channels_first(&y).unwrap(), (4, 16 * 8 * 8)).unwrap();
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
