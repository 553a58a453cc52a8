//! The end of a residual block.

use candle_core::{DType, Tensor};
use gan::ops;

use super::{assert_finite_differences, assert_parity, evaluate, generator, in_dtype, random, values};
use crate::device::device;

fn add_relu(x: &[Tensor]) -> candle_core::Result<Tensor> {
    ops::add_relu(&x[0], &x[1])
}

#[test]
fn add_relu_agrees_with_its_twin() {
    let mut generator = generator("add_relu");
    for dims in [&[2, 4, 4, 256][..], &[3, 7, 5, 3], &[1], &[33, 1009], &[40_001]] {
        let inputs = [(); 2].map(|()| random(&mut generator, dims));
        assert_parity(&add_relu, &inputs, &format!("{dims:?}"));
    }
}

/// Sums between 0.5 and 1.5 or their negatives: no step of a difference crosses the kink.
#[test]
fn add_relu_gradient_agrees_with_finite_differences() {
    let mut generator = generator("add_relu");
    let x = random(&mut generator, &[5, 4, 3, 2]);
    let away = (x.sign().unwrap() + (random(&mut generator, &[5, 4, 3, 2]) * 0.5).unwrap()).unwrap();
    let y = (away - &x).unwrap();
    assert_finite_differences(&add_relu, &[x, y], "add_relu");
}

/// As `torch.relu`: nothing passes at 0, and a NaN of either branch stays one.
#[test]
fn add_relu_at_zero_and_beyond_numbers_is_pytorchs() {
    let x = Tensor::new(&[1f32, -1.0, f32::NAN, 2.0, f32::INFINITY, f32::NEG_INFINITY], &device()).unwrap();
    let y = Tensor::new(&[-1f32, 0.5, 1.0, f32::NAN, 1.0, 1.0], &device()).unwrap();
    for dtype in [DType::F32, DType::F64] {
        let found = values(&add_relu(&[in_dtype(&x, dtype), in_dtype(&y, dtype)]).unwrap());
        assert_eq!((found[0], found[1], found[4], found[5]), (0.0, 0.0, f64::INFINITY, 0.0), "{dtype:?}");
        assert!(found[2].is_nan() && found[3].is_nan(), "{dtype:?}: {found:?}");
        let (x, y) = (x.narrow(0, 0, 2).unwrap(), y.narrow(0, 0, 2).unwrap());
        let results = evaluate(&add_relu, &[x, y], dtype);
        assert!(results[1..].iter().all(|gradient| values(gradient) == [0.0; 2]), "{dtype:?}");
    }
}

/// A block without a convolution: x + x has twice the gradient.
#[test]
fn both_branches_may_be_one_tensor() {
    let x = random(&mut generator("add_relu"), &[6, 5]);
    assert_parity(&|x| ops::add_relu(&x[0], &x[0]), &[x], "x + x");
}
