//! Linear layers.

use candle_core::{DType, Tensor};
use gan::ops::{self, Activation};
use gan::rng::Generator;

use super::{ACTIVATIONS, SMOOTH, assert_finite_differences, assert_parity, assert_same, evaluate, generator, random};

pub fn linear_inputs(generator: &mut Generator, count: usize, inputs: usize, outputs: usize) -> Vec<Tensor> {
    [vec![count, inputs], vec![outputs, inputs], vec![outputs]].iter().map(|dims| random(generator, dims)).collect()
}

#[test]
fn linear_agrees_with_its_twin() {
    let mut generator = generator("linear");
    for (count, inputs, outputs) in [(1, 1, 1), (3, 7, 5), (128, 40, 1), (129, 33, 300), (600, 17, 130)] {
        let tensors = linear_inputs(&mut generator, count, inputs, outputs);
        for activation in ACTIVATIONS {
            let what = format!("{count} x {inputs} x {outputs} {activation:?}");
            assert_parity(&|x| ops::linear(&x[0], &x[1], Some(&x[2]), activation), &tensors, &what);
            assert_parity(&|x| ops::linear(&x[0], &x[1], None, activation), &tensors[..2], &what);
        }
    }
}

/// Half of the inputs are zero and, after the ReLU, half of the outputs' gradients: the products go through lists of what
/// is not.
#[test]
fn linear_agrees_with_its_twin_where_values_are_zero() {
    let mut generator = generator("zeros");
    for (count, inputs, outputs) in [(70, 150, 200), (129, 560, 130), (3, 1030, 128)] {
        let mut tensors = linear_inputs(&mut generator, count, inputs, outputs);
        tensors[0] = tensors[0].relu().unwrap();
        let what = format!("{count} x {inputs} x {outputs}");
        assert_parity(&|x| ops::linear(&x[0], &x[1], Some(&x[2]), Activation::Relu), &tensors, &what);
    }
}

#[test]
fn linear_gradient_agrees_with_finite_differences() {
    let tensors = linear_inputs(&mut generator("linear"), 9, 21, 13);
    for activation in SMOOTH {
        assert_finite_differences(&|x| ops::linear(&x[0], &x[1], Some(&x[2]), activation), &tensors, "linear");
    }
}

/// Many rows are multiplied the other way round: no bit of what is a row's depends on that.
#[test]
fn tall_inputs_have_the_values_of_short_ones() {
    let mut generator = generator("tall");
    for (inputs, outputs) in [(70, 290), (600, 33)] {
        let tensors = linear_inputs(&mut generator, 5000, inputs, outputs);
        let op = |x: &[Tensor]| ops::linear(&x[0], &x[1], Some(&x[2]), Activation::Tanh);
        assert_parity(&op, &tensors, &format!("5000 rows, {inputs} to {outputs}"));
        let [tall, short] = [5000, 3000].map(|count| {
            let x = tensors[0].narrow(0, 0, count).unwrap().contiguous().unwrap();
            evaluate(&op, &[x, tensors[1].clone(), tensors[2].clone()], DType::F32)
        });
        for (tall, short) in tall.iter().zip(&short).take(2) {
            assert_same(&tall.narrow(0, 0, 3000).unwrap(), short, "output and gradient of rows");
        }
    }
}
