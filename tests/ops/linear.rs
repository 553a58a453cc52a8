//! Linear layers.

use candle_core::Tensor;
use gan::ops;
use gan::rng::Generator;

use super::{ACTIVATIONS, SMOOTH, assert_finite_differences, assert_parity, generator, random};

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

#[test]
fn linear_gradient_agrees_with_finite_differences() {
    let tensors = linear_inputs(&mut generator("linear"), 9, 21, 13);
    for activation in SMOOTH {
        assert_finite_differences(&|x| ops::linear(&x[0], &x[1], Some(&x[2]), activation), &tensors, "linear");
    }
}
