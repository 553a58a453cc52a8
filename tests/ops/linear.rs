//! Linear layers.

use candle_core::{Result, Tensor};
use gan::ops::{self, Activation, RunningNorm, Shifted};
use gan::rng::Generator;

use super::batch_norm::batch_norm_inputs;
use super::{ACTIVATIONS, SMOOTH, assert_close, assert_finite_differences, assert_parity, generator, random, values};
use crate::device::device;

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

/// x (N, I), a norm's weight and bias (I), a layer's weight (O, I) and bias (O).
fn normalised_inputs(generator: &mut Generator, [count, inputs, outputs]: [usize; 3]) -> Vec<Tensor> {
    let mut tensors = batch_norm_inputs(generator, &[count, inputs]);
    tensors.extend(linear_inputs(generator, count, inputs, outputs).split_off(1));
    tensors
}

/// A linear layer of a batch norm, whose shift is apart on the way.
fn linear_of_norm(x: &[Tensor], activation: Activation) -> Result<Tensor> {
    let norm = ops::batch_norm_train_shifted(&x[0], &x[1], &x[2], 1e-5)?;
    ops::linear_of_shifted(&norm.output, &x[3], Some(&x[4]), activation)
}

/// By lists behind a ReLU, and without.
#[test]
fn linear_of_a_shifted_input_agrees_with_its_twin() {
    let mut generator = generator("shifted");
    for dims in [[70, 150, 200], [129, 560, 130], [90, 33, 5], [600, 17, 130]] {
        let mut tensors = normalised_inputs(&mut generator, dims);
        for is_sparse in [false, true] {
            if is_sparse {
                tensors[0] = tensors[0].relu().unwrap();
            }
            let what = format!("{dims:?}, sparse: {is_sparse}");
            assert_parity(&|x| linear_of_norm(x, Activation::LeakyRelu(0.01)), &tensors, &what);
        }
    }
}

#[test]
fn linear_of_a_shifted_input_agrees_with_finite_differences() {
    let tensors = normalised_inputs(&mut generator("shifted"), [40, 21, 13]);
    for activation in SMOOTH {
        assert_finite_differences(&|x| linear_of_norm(x, activation), &tensors, "linear of a shifted input");
    }
}

/// On the CPU, where that has a use.
#[test]
fn a_norms_shift_is_apart_from_the_zeros() {
    let tensors = normalised_inputs(&mut generator("apart"), [70, 150, 200]);
    let [x, weight, bias] = [&tensors[0].relu().unwrap(), &tensors[1], &tensors[2]];
    let whole = ops::batch_norm_train(x, weight, bias, 1e-5, Activation::Identity).unwrap();
    let apart = ops::batch_norm_train_shifted(x, weight, bias, 1e-5).unwrap();
    assert_close(&apart.output.sum().unwrap(), &whole.output, 1e-6, "train");
    let norm = RunningNorm {
        mean: &whole.mean,
        variance: &whole.variance,
        weight,
        bias,
        eps: 1e-5,
        activation: Activation::Identity,
    };
    let [of_x, of_bias] = [[150, 7], [150, 1]].map(|dims| random(&mut generator("before"), &dims));
    let of_bias = of_bias.flatten_all().unwrap();
    let before = random(&mut generator("latents"), &[70, 7]);
    let of = (&before, &of_x, Some(&of_bias));
    let whole = ops::linear_normalised(of.0, of.1, of.2, Activation::Relu, &norm).unwrap();
    let found = ops::linear_normalised_shifted(of.0, of.1, of.2, Activation::Relu, &norm).unwrap();
    assert_close(&found.sum().unwrap(), &whole, 1e-6, "eval");
    let (of_images, bias) = (&tensors[3], Some(&tensors[4]));
    let channels = random(&mut generator("channels"), &[200]);
    let variance = channels.sqr().unwrap();
    let norm = RunningNorm { mean: &channels, variance: &variance, weight: &channels, bias: &channels, ..norm };
    let images = |x| ops::linear_normalised_images(x, of_images, bias, Activation::Relu, &norm, [20, 5, 2]).unwrap();
    assert_close(&images(&found), &images(&whole.into()), 2e-5, "images");
    if device().is_cpu() {
        for shifted in [apart.output, found] {
            assert!(shifted.shift.is_some());
            let zeros = values(&shifted.values).iter().filter(|value| **value == 0.0).count();
            assert!((4000..7000).contains(&zeros), "{zeros} of 10,500");
        }
    }
}

#[test]
fn a_shift_that_does_not_fit_is_an_error() {
    let tensors = linear_inputs(&mut generator("misfit"), 3, 7, 5);
    let x = Shifted { values: tensors[0].clone(), shift: Some(random(&mut generator("shift"), &[6])) };
    let error = ops::linear_of_shifted(&x, &tensors[1], None, Activation::Identity).unwrap_err().to_string();
    assert!(error.contains('6') && error.contains('7'), "{error}");
}

#[test]
fn linear_gradient_agrees_with_finite_differences() {
    let tensors = linear_inputs(&mut generator("linear"), 9, 21, 13);
    for activation in SMOOTH {
        assert_finite_differences(&|x| ops::linear(&x[0], &x[1], Some(&x[2]), activation), &tensors, "linear");
    }
}
