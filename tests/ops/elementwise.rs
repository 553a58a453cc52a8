//! Activations, the order of the channels, columns side by side.

use candle_core::{DType, Tensor};
use gan::ops::{self, Activation};

use super::{ACTIVATIONS, assert_finite_differences, assert_parity, bits, evaluate, generator, random, values};
use crate::device::device;

#[test]
fn activations_agree_with_their_twins_and_pytorch_at_zero() {
    let x = random(&mut generator("activate"), &[7, 5, 33]);
    for activation in ACTIVATIONS {
        assert_parity(&|x| ops::activate(&x[0], activation), std::slice::from_ref(&x), &format!("{activation:?}"));
        let zero = Tensor::zeros(1, DType::F32, &device()).unwrap();
        let slope = match activation {
            Activation::Identity | Activation::Tanh => 1.0,
            Activation::Relu => 0.0,
            Activation::LeakyRelu(slope) => f64::from(slope),
        };
        for dtype in [DType::F32, DType::F64] {
            let found = evaluate(&|x| ops::activate(&x[0], activation), std::slice::from_ref(&zero), dtype);
            assert!((values(&found[1])[0] - slope).abs() < 1e-6, "{activation:?} {dtype:?}");
        }
    }
    assert!(ops::activate(&x, Activation::LeakyRelu(-1.0)).is_err());
    assert!(ops::activate(&x, Activation::LeakyRelu(f32::NAN)).is_err());
}

#[test]
fn channels_first_and_last_are_inverse_permutations() {
    let mut generator = generator("layout");
    for dims in [[2, 7, 7, 128], [3, 5, 4, 1], [1, 1, 1, 9], [2, 17, 19, 33], [4, 4, 4, 64]] {
        let x = random(&mut generator, &dims);
        let first = ops::channels_first(&x).unwrap();
        assert_eq!(bits(&first), bits(&x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap()));
        assert!(first.is_contiguous());
        assert_eq!(bits(&ops::channels_last(&first).unwrap()), bits(&x));
        assert_parity(&|x| ops::channels_first(&(&x[0] * &x[0])?), std::slice::from_ref(&x), "channels_first");
        assert_parity(&|x| ops::channels_last(&(&x[0] * &x[0])?), &[x], "channels_last");
    }
}

#[test]
fn columns_are_appended_and_their_gradients_taken_apart() {
    let mut generator = generator("append_columns");
    for (count, of_x, of_y) in [(1, 1, 1), (7, 5, 3), (130, 784, 10)] {
        let inputs = [random(&mut generator, &[count, of_x]), random(&mut generator, &[count, of_y])];
        let op = |x: &[Tensor]| ops::append_columns(&x[0], &x[1]);
        let expected = Tensor::cat(&inputs, 1).unwrap();
        assert_eq!(bits(&op(&inputs).unwrap()), bits(&expected));
        assert_parity(&op, &inputs, "append_columns");
        assert_finite_differences(&op, &inputs, "append_columns");
    }
}
