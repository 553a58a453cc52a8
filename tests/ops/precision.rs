//! Products in precisions that a CPU has no kernels for.

use gan::autograd::{self, Precision};
use gan::ops::{self, Activation};

use super::convolutions::{convolution_inputs, transposed_inputs};
use super::generator;
use super::linear::linear_inputs;

#[test]
fn products_in_another_precision_are_refused_on_a_cpu() {
    let mut generator = generator("precision");
    let linear = linear_inputs(&mut generator, 3, 5, 4);
    let image = convolution_inputs(&mut generator, [2, 9, 9, 16, 16, 3, 1, 1]);
    let transposed = transposed_inputs(&mut generator, [3, 7, 7, 24, 12, 4, 2, 1]);
    let none = Activation::Identity;
    for precision in [Precision::Tf32, Precision::Bf16] {
        autograd::training_step(precision, || {
            for result in [
                ops::linear(&linear[0], &linear[1], None, none),
                ops::conv2d(&image[0], &image[1], None, 1, 1, none),
                ops::conv_transpose2d(&transposed[0], &transposed[1], None, 2, 1, none),
            ] {
                let error = result.unwrap_err().to_string();
                assert!(error.contains(precision.name()) && error.contains("CUDA"), "{error}");
            }
        });
        assert!(ops::linear(&linear[0], &linear[1], None, none).is_ok(), "a precision ends with its step");
    }
}
