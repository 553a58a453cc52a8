//! Maxima of windows, and the mean of an image.

use candle_core::{DType, Tensor};
use gan::ops::{self, Activation};

use super::{assert_close, assert_finite_differences, assert_parity, evaluate, generator, in_dtype, random, values};
use crate::device::device;

#[test]
fn max_pool_agrees_with_its_twin() {
    let mut generator = generator("max_pool2d");
    // Side by side, then torchvision's, then windows with gaps between them and windows that overlap by all but a pixel.
    for (dims, size, stride, padding) in [
        ([2, 24, 24, 32], 2, 2, 0),
        ([3, 7, 5, 3], 2, 2, 0),
        ([1, 9, 11, 4], 3, 3, 0),
        ([2, 3, 2, 1], 1, 1, 0),
        ([1, 5, 5, 2], 5, 5, 0),
        ([2, 48, 48, 16], 3, 2, 1),
        ([3, 7, 10, 5], 3, 2, 1),
        ([2, 1, 1, 3], 3, 2, 1),
        ([1, 9, 8, 3], 2, 3, 1),
        ([2, 6, 7, 4], 5, 1, 2),
    ] {
        let x = random(&mut generator, &dims);
        for activation in [Activation::Identity, Activation::LeakyRelu(0.2), Activation::Tanh] {
            let what = format!("{dims:?} by {size}, {stride} apart, padded by {padding}, {activation:?}");
            let op = |x: &[Tensor]| ops::max_pool2d(&x[0], size, stride, padding, activation);
            assert_parity(&op, std::slice::from_ref(&x), &what);
        }
    }
}

/// Every value apart from every other by more than the step, so that no maximum changes; each coordinate on its own.
#[test]
fn max_pool_gradient_agrees_with_finite_differences() {
    finite_differences(|x| ops::max_pool2d(x, 2, 2, 0, Activation::Identity));
    finite_differences(|x| ops::max_pool2d(x, 3, 2, 1, Activation::Identity));
}

fn finite_differences(op: impl Fn(&Tensor) -> candle_core::Result<Tensor>) {
    let dims = [2, 5, 4, 3];
    let order = generator("max_pool2d").permutation(120);
    let x: Vec<f32> = order.iter().map(|place| *place as f32 * 0.05).collect();
    let x = Tensor::from_vec(x, &dims, &device()).unwrap();
    let gradient = values(&evaluate(&|x| op(&x[0]), std::slice::from_ref(&x), DType::F32)[1]);
    for (index, gradient) in gradient.into_iter().enumerate() {
        let loss = |distance: f64| {
            let mut moved = values(&x);
            moved[index] += distance;
            let moved = Tensor::from_vec(moved, &dims, &device()).unwrap().to_dtype(DType::F32).unwrap();
            values(&op(&moved).unwrap()).into_iter().map(f64::sin).sum::<f64>()
        };
        let expected = (loss(0.01) - loss(-0.01)) / 0.02;
        assert!((gradient - expected).abs() < 1e-3, "{gradient} for {expected} at {index}");
    }
}

#[test]
fn the_first_of_equal_maxima_takes_the_gradient() {
    for dtype in [DType::F32, DType::F64] {
        let x = Tensor::ones((1, 2, 2, 1), DType::F32, &device()).unwrap();
        let found = evaluate(&|x| ops::max_pool2d(&x[0], 2, 2, 0, Activation::Identity), &[x], dtype);
        let gradient = values(&found[1]);
        assert!((gradient[0] - 1f64.cos()).abs() < 1e-6 && gradient[1..] == [0.0; 3], "{gradient:?}");
    }
}

/// What lies beyond the image is no value, whatever the values are.
#[test]
fn padding_never_wins() {
    let x = Tensor::full(-5f32, (1, 4, 4, 1), &device()).unwrap();
    assert_eq!(values(&ops::max_pool2d(&x, 3, 2, 1, Activation::Identity).unwrap()), [-5.0; 4]);
}

#[test]
fn mean_pool_agrees_with_its_twin_and_finite_differences() {
    let mut generator = generator("mean_pool2d");
    for dims in [[2, 4, 4, 256], [3, 7, 5, 3], [1, 1, 1, 1], [65, 2, 2, 9], [1, 32, 32, 2]] {
        let x = random(&mut generator, &dims);
        let op = |x: &[Tensor]| ops::mean_pool2d(&x[0]);
        assert_parity(&op, std::slice::from_ref(&x), &format!("{dims:?}"));
        assert_finite_differences(&op, &[x], &format!("{dims:?}"));
    }
}

#[test]
fn mean_pool_is_the_mean_of_the_places_of_each_channel() {
    let x = Tensor::new(&[1f32, 10.0, 2.0, 20.0, 3.0, 30.0, 6.0, 60.0], &device()).unwrap();
    let x = x.reshape((1, 2, 2, 2)).unwrap();
    assert_eq!(values(&ops::mean_pool2d(&x).unwrap()), [3.0, 30.0]);
    assert_eq!(values(&ops::naive::mean_pool2d(&x).unwrap()), [3.0, 30.0]);
}

#[test]
fn avg_pool_agrees_with_its_twin_and_finite_differences() {
    let mut generator = generator("avg_pool2d");
    for (dims, size) in
        [([2, 17, 17, 80], 3), ([3, 7, 5, 3], 5), ([1, 1, 1, 4], 3), ([5, 2, 9, 17], 3), ([2, 3, 3, 2], 1)]
    {
        let x = random(&mut generator, &dims);
        let twin = ops::naive::avg_pool2d(&in_dtype(&x, DType::F64), size).unwrap();
        assert_close(&ops::avg_pool2d(&x, size).unwrap(), &twin, 1e-6, &format!("{dims:?} by {size}"));
    }
    let x = random(&mut generator, &[2, 4, 5, 3]);
    assert_finite_differences(&|x| ops::avg_pool2d(&x[0], 3), &[x], "avg_pool2d");
}

/// Of a corner the mean is over four pixels, of an edge over six.
#[test]
fn what_lies_beyond_the_image_is_not_in_the_mean() {
    let x = Tensor::arange(1f32, 10.0, &device()).unwrap().reshape((1, 3, 3, 1)).unwrap();
    let expected = [3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0];
    assert_eq!(values(&ops::avg_pool2d(&x, 3).unwrap()), expected);
    assert_eq!(values(&ops::naive::avg_pool2d(&x, 3).unwrap()), expected);
}
