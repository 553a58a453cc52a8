//! Convolutions and transposed convolutions.

use candle_core::{DType, Device, Tensor};
use gan::ops::{self, Activation};
use gan::rng::Generator;

use super::{ACTIVATIONS, SMOOTH, assert_close, assert_finite_differences, assert_parity, generator, in_dtype, random};

/// (N, H, W, C, O, K, stride, padding)
const CONVOLUTIONS: [[usize; 8]; 28] = [
    [2, 28, 28, 1, 32, 5, 1, 0],
    [3, 12, 11, 5, 7, 5, 1, 0],
    [2, 9, 14, 3, 17, 3, 2, 1],
    [1, 5, 5, 2, 3, 5, 1, 4],
    [2, 6, 7, 16, 33, 1, 1, 0],
    [2, 7, 6, 4, 3, 1, 2, 0],
    [1, 3, 8, 1, 1, 2, 3, 5],
    [4, 16, 16, 20, 24, 4, 2, 1],
    [65, 4, 4, 3, 2, 3, 1, 1],
    [17, 4, 5, 9, 8, 1, 1, 0],
    // Those that go by Winograd, and what is just beside them: few channels, images of a pixel or mostly padding.
    [1, 4, 4, 16, 16, 3, 1, 1],
    [2, 9, 7, 16, 48, 3, 1, 1],
    [3, 3, 11, 32, 16, 3, 1, 1],
    [30, 8, 8, 80, 144, 3, 1, 1],
    [2, 1, 1, 16, 16, 3, 1, 1],
    [2, 5, 1, 16, 32, 3, 1, 1],
    [1, 8, 8, 17, 16, 3, 1, 1],
    [2, 12, 12, 32, 64, 5, 1, 0],
    [11, 8, 13, 16, 48, 5, 1, 0],
    [2, 5, 7, 48, 16, 5, 1, 1],
    [3, 6, 9, 16, 16, 5, 1, 2],
    [1, 12, 12, 16, 16, 5, 1, 3],
    [1, 12, 12, 16, 24, 5, 1, 0],
    [2, 14, 14, 32, 64, 4, 2, 1],
    [3, 8, 17, 64, 32, 4, 2, 1],
    [2, 8, 8, 32, 16, 4, 2, 1],
    // torchvision's first layer.
    [2, 20, 18, 3, 64, 7, 2, 3],
    [1, 9, 7, 3, 8, 7, 2, 3],
];

/// Input, weight and bias, the weight so small that outputs are of the size that they have in a network: the sines that
/// gradients are taken of would turn rounding in larger ones into errors of the gradient.
fn inputs(generator: &mut Generator, x: [usize; 4], weight: [usize; 4], bias: usize) -> Vec<Tensor> {
    let x = random(generator, &x);
    vec![x, (random(generator, &weight) / weight[2].max(weight[3]) as f64).unwrap(), random(generator, &[bias])]
}

pub fn convolution_inputs(generator: &mut Generator, case: [usize; 8]) -> Vec<Tensor> {
    let [n, h, w, c, o, k, ..] = case;
    inputs(generator, [n, h, w, c], [o, c, k, k], o)
}

#[test]
fn conv2d_agrees_with_its_twin() {
    let mut generator = generator("conv2d");
    for (case, activation) in CONVOLUTIONS.into_iter().zip(ACTIVATIONS.into_iter().cycle()) {
        let tensors = convolution_inputs(&mut generator, case);
        let (stride, padding) = (case[6], case[7]);
        let what = format!("{case:?} {activation:?}");
        assert_parity(&|x| ops::conv2d(&x[0], &x[1], Some(&x[2]), stride, padding, activation), &tensors, &what);
        assert_parity(&|x| ops::conv2d(&x[0], &x[1], None, stride, padding, activation), &tensors[..2], &what);
    }
}

#[test]
fn conv2d_twin_agrees_with_candle() {
    let mut generator = generator("conv2d");
    for case in CONVOLUTIONS {
        // Not on CUDA: cuDNN, as candle calls it, is off by 5e-4 of a value, because it rounds factors.
        let tensors: Vec<Tensor> =
            convolution_inputs(&mut generator, case).iter().map(|x| x.to_device(&Device::Cpu).unwrap()).collect();
        let (stride, padding) = (case[6], case[7]);
        let found = ops::naive::conv2d(&tensors[0], &tensors[1], None, stride, padding, Activation::Identity).unwrap();
        let first = tensors[0].permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
        let expected = first.conv2d(&tensors[1], padding, stride, 1, 1).unwrap().permute((0, 2, 3, 1)).unwrap();
        assert_close(&found, &expected.contiguous().unwrap(), 1e-5, &format!("{case:?}"));
    }
}

#[test]
fn conv2d_gradient_agrees_with_finite_differences() {
    let tensors = convolution_inputs(&mut generator("conv2d"), [2, 7, 6, 3, 5, 3, 2, 1]);
    for activation in SMOOTH {
        assert_finite_differences(&|x| ops::conv2d(&x[0], &x[1], Some(&x[2]), 2, 1, activation), &tensors, "conv2d");
    }
    for (size, stride, padding) in [(3, 1, 1), (5, 1, 0), (4, 2, 1)] {
        let tensors = convolution_inputs(&mut generator("conv2d"), [2, 7, 8, 32, 32, size, stride, padding]);
        for activation in SMOOTH {
            let op = |x: &[Tensor]| ops::conv2d(&x[0], &x[1], Some(&x[2]), stride, padding, activation);
            assert_finite_differences(&op, &tensors, "Winograd");
        }
    }
}

/// Input (N, H, W, C), weight (O, C, rows, columns) and bias.
pub fn line_inputs(generator: &mut Generator, [n, h, w, c, o]: [usize; 5], [rows, columns]: [usize; 2]) -> Vec<Tensor> {
    inputs(generator, [n, h, w, c], [o, c, rows, columns], o)
}

#[test]
fn line_conv2d_agrees_with_its_twin_and_conv2d() {
    let mut generator = generator("line_conv2d");
    for (sizes, window) in [
        ([2, 17, 17, 160, 192], [1, 7]),
        ([2, 17, 17, 160, 192], [7, 1]),
        ([3, 8, 8, 24, 40], [1, 3]),
        ([3, 5, 2, 3, 7], [3, 1]),
        ([1, 2, 3, 1, 1], [1, 7]),
        ([2, 4, 4, 5, 6], [1, 1]),
    ] {
        let tensors = line_inputs(&mut generator, sizes, window);
        for activation in ACTIVATIONS {
            let what = format!("{sizes:?} {window:?} {activation:?}");
            let found = ops::line_conv2d(&tensors[0], &tensors[1], &tensors[2], activation).unwrap();
            let in_f64: Vec<Tensor> = tensors.iter().map(|x| in_dtype(x, DType::F64)).collect();
            let twin = ops::naive::line_conv2d(&in_f64[0], &in_f64[1], &in_f64[2], activation).unwrap();
            assert_close(&found, &twin, 1e-5, &what);
            // The same window as the middle of a square one.
            let [size, half] = [window[0].max(window[1]), window[0].max(window[1]) / 2];
            let dim = if window[0] == 1 { 2 } else { 3 };
            let square = in_f64[1].pad_with_zeros(dim, half, half).unwrap();
            assert_eq!(square.dims()[2..], [size, size]);
            let twin = ops::naive::conv2d(&in_f64[0], &square, Some(&in_f64[2]), 1, half, activation).unwrap();
            assert_close(&found, &twin, 1e-5, &what);
        }
    }
    let tensors = line_inputs(&mut generator, [2, 5, 4, 3, 5], [3, 1]);
    let op = |x: &[Tensor]| ops::line_conv2d(&x[0], &x[1], &x[2], Activation::Tanh);
    assert_finite_differences(&op, &tensors, "line_conv2d");
}

/// (N, H, W, C, O, K, stride, padding)
const TRANSPOSED: [[usize; 8]; 11] = [
    [3, 7, 7, 24, 12, 4, 2, 1],
    [2, 14, 14, 10, 1, 4, 2, 1],
    [1, 1, 1, 5, 4, 3, 1, 0],
    [2, 5, 3, 3, 7, 3, 3, 1],
    [2, 4, 6, 2, 3, 2, 3, 0],
    [1, 6, 5, 4, 3, 3, 1, 2],
    [70, 3, 3, 2, 2, 1, 2, 0],
    // By Winograd, and just beside.
    [3, 7, 7, 128, 64, 4, 2, 1],
    [10, 4, 3, 32, 96, 4, 2, 1],
    [2, 8, 9, 64, 32, 4, 2, 1],
    [2, 7, 7, 32, 48, 4, 2, 1],
];

pub fn transposed_inputs(generator: &mut Generator, case: [usize; 8]) -> Vec<Tensor> {
    let [n, h, w, c, o, k, ..] = case;
    inputs(generator, [n, h, w, c], [c, o, k, k], o)
}

#[test]
fn conv_transpose2d_agrees_with_its_twin() {
    let mut generator = generator("conv_transpose2d");
    for (case, activation) in TRANSPOSED.into_iter().zip(ACTIVATIONS.into_iter().cycle()) {
        let tensors = transposed_inputs(&mut generator, case);
        let (stride, padding) = (case[6], case[7]);
        let what = format!("{case:?} {activation:?}");
        let with_bias = |x: &[Tensor]| ops::conv_transpose2d(&x[0], &x[1], Some(&x[2]), stride, padding, activation);
        assert_parity(&with_bias, &tensors, &what);
        let without = |x: &[Tensor]| ops::conv_transpose2d(&x[0], &x[1], None, stride, padding, activation);
        assert_parity(&without, &tensors[..2], &what);
    }
}

#[test]
fn conv_transpose2d_twin_agrees_with_candle() {
    let mut generator = generator("conv_transpose2d");
    for case in TRANSPOSED {
        let tensors = transposed_inputs(&mut generator, case);
        let (stride, padding) = (case[6], case[7]);
        let twin = ops::naive::conv_transpose2d;
        let found = twin(&tensors[0], &tensors[1], None, stride, padding, Activation::Identity).unwrap();
        let first = tensors[0].permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
        let expected = first.conv_transpose2d(&tensors[1], padding, 0, stride, 1).unwrap();
        assert_close(&found, &expected.permute((0, 2, 3, 1)).unwrap(), 1e-5, &format!("{case:?}"));
    }
}

#[test]
fn conv_transpose2d_gradient_agrees_with_finite_differences() {
    for (channels, features) in [(5, 3), (32, 64)] {
        let case = [2, 3, 4, channels, features, 4, 2, 1];
        let tensors = transposed_inputs(&mut generator("conv_transpose2d"), case);
        for activation in SMOOTH {
            let op = |x: &[Tensor]| ops::conv_transpose2d(&x[0], &x[1], Some(&x[2]), 2, 1, activation);
            assert_finite_differences(&op, &tensors, &format!("{case:?}"));
        }
    }
}
