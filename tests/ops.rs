//! The ops against their naive twins, finite differences, other numbers of threads, and bad input.
//!
//! In f64 the public functions compute their twins, so most tests run one closure twice: in f32 on the kernels, and in
//! f64 as the reference. One long file, because every op is held to the same checks, the functions at its head.

#![allow(clippy::unwrap_used)] // clippy takes helpers of tests for the program

use candle_core::{DType, Device, Result, Tensor, Var};
use gan::ops::{self, Activation, AdamStep};
use gan::rng::{Generator, Stream};

type Op<'a> = &'a dyn Fn(&[Tensor]) -> Result<Tensor>;
type NamedOp = (&'static str, Box<dyn Fn(&[Tensor]) -> Result<Tensor> + Sync>, Vec<Tensor>);

const ACTIVATIONS: [Activation; 4] =
    [Activation::Identity, Activation::Relu, Activation::LeakyRelu(0.01), Activation::Tanh];

fn generator(purpose: &str) -> Generator {
    Stream::new(5, purpose).at(0)
}

fn random(generator: &mut Generator, dims: &[usize]) -> Tensor {
    let values: Vec<f32> = (0..dims.iter().product()).map(|_| generator.symmetric()).collect();
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// The output of `op`, and the gradient of each input of the sum of the output's sines.
fn evaluate(op: Op, inputs: &[Tensor], dtype: DType) -> Vec<Tensor> {
    let vars: Vec<Var> = inputs.iter().map(|x| Var::from_tensor(&x.to_dtype(dtype).unwrap()).unwrap()).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let output = op(&tensors).unwrap();
    let gradients = output.sin().unwrap().sum_all().unwrap().backward().unwrap();
    let gradients = vars.iter().map(|var| gradients.get(var).unwrap().clone());
    std::iter::once(output.clone()).chain(gradients).collect()
}

fn assert_close(found: &Tensor, expected: &Tensor, tolerance: f64, what: &str) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let (found, expected) = (values(found), values(expected));
    let scale = expected.iter().fold(1f64, |scale, value| scale.max(value.abs()));
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!((found - expected).abs() <= tolerance * scale, "{what}: {found} for {expected} at {index}");
    }
}

/// Output and gradients of the kernels against those of the twin in f64.
fn assert_parity(op: Op, inputs: &[Tensor], what: &str) {
    let (found, expected) = (evaluate(op, inputs, DType::F32), evaluate(op, inputs, DType::F64));
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_close(found, expected, 2e-5, &format!("{what}, result {index}"));
    }
}

/// The gradients of the kernels along a random direction of each input against central differences of the twin in f64.
fn assert_finite_differences(op: Op, inputs: &[Tensor], what: &str) {
    let mut generator = generator("directions");
    let found = evaluate(op, inputs, DType::F32);
    let inputs: Vec<Tensor> = inputs.iter().map(|x| x.to_dtype(DType::F64).unwrap()).collect();
    for index in 0..inputs.len() {
        let direction = random(&mut generator, inputs[index].dims()).to_dtype(DType::F64).unwrap();
        let loss = |distance: f64| {
            let mut moved = inputs.clone();
            moved[index] = (&inputs[index] + (&direction * distance).unwrap()).unwrap();
            op(&moved).unwrap().sin().unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap()
        };
        let expected = (loss(1e-5) - loss(-1e-5)) / 2e-5;
        let product: f64 = values(&found[index + 1]).iter().zip(values(&direction)).map(|(g, d)| g * d).sum();
        assert!(
            (product - expected).abs() < 1e-4 * (1.0 + expected.abs()),
            "{what}, input {index}: {product} {expected}"
        );
    }
}

/// Without kinks, across which a difference is no derivative; those with kinks are held against their twins.
const SMOOTH: [Activation; 2] = [Activation::Identity, Activation::Tanh];

fn linear_inputs(generator: &mut Generator, count: usize, inputs: usize, outputs: usize) -> Vec<Tensor> {
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

/// (N, H, W, C, O, K, stride, padding)
const CONVOLUTIONS: [[usize; 8]; 17] = [
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
];

fn convolution_inputs(generator: &mut Generator, case: [usize; 8]) -> Vec<Tensor> {
    let [n, h, w, c, o, k, ..] = case;
    [vec![n, h, w, c], vec![o, c, k, k], vec![o]].iter().map(|dims| random(generator, dims)).collect()
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
        let tensors = convolution_inputs(&mut generator, case);
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
    let tensors = convolution_inputs(&mut generator("conv2d"), [2, 7, 6, 16, 32, 3, 1, 1]);
    for activation in SMOOTH {
        assert_finite_differences(&|x| ops::conv2d(&x[0], &x[1], Some(&x[2]), 1, 1, activation), &tensors, "Winograd");
    }
}

/// (N, H, W, C, O, K, stride, padding)
const TRANSPOSED: [[usize; 8]; 7] = [
    [3, 7, 7, 24, 12, 4, 2, 1],
    [2, 14, 14, 10, 1, 4, 2, 1],
    [1, 1, 1, 5, 4, 3, 1, 0],
    [2, 5, 3, 3, 7, 3, 3, 1],
    [2, 4, 6, 2, 3, 2, 3, 0],
    [1, 6, 5, 4, 3, 3, 1, 2],
    [70, 3, 3, 2, 2, 1, 2, 0],
];

fn transposed_inputs(generator: &mut Generator, case: [usize; 8]) -> Vec<Tensor> {
    let [n, h, w, c, o, k, ..] = case;
    [vec![n, h, w, c], vec![c, o, k, k], vec![o]].iter().map(|dims| random(generator, dims)).collect()
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
    let tensors = transposed_inputs(&mut generator("conv_transpose2d"), [2, 3, 4, 5, 3, 4, 2, 1]);
    for activation in SMOOTH {
        let op = |x: &[Tensor]| ops::conv_transpose2d(&x[0], &x[1], Some(&x[2]), 2, 1, activation);
        assert_finite_differences(&op, &tensors, "conv_transpose2d");
    }
}

fn batch_norm_inputs(generator: &mut Generator, dims: &[usize]) -> Vec<Tensor> {
    let channels = [*dims.last().unwrap()];
    [dims, &channels, &channels].iter().map(|dims| random(generator, dims)).collect()
}

const NORMALISED: [&[usize]; 5] = [&[2, 3], &[128, 1030], &[5, 7, 3, 64], &[2000, 1], &[700, 130]];

#[test]
fn batch_norm_agrees_with_its_twin() {
    let mut generator = generator("batch_norm");
    for dims in NORMALISED {
        let tensors = batch_norm_inputs(&mut generator, dims);
        for activation in ACTIVATIONS {
            let train = |x: &[Tensor]| Ok(ops::batch_norm_train(&x[0], &x[1], &x[2], 1e-5, activation)?.output);
            // Two values a channel: the gradients there are differences of nearly equal numbers.
            if dims[0] > 2 {
                assert_parity(&train, &tensors, &format!("train {dims:?} {activation:?}"));
            }
            let mean = random(&mut generator, &[dims[dims.len() - 1]]);
            let variance = mean.sqr().unwrap();
            let eval = |x: &[Tensor]| {
                let (mean, variance) = (mean.to_dtype(x[0].dtype())?, variance.to_dtype(x[0].dtype())?);
                ops::batch_norm_eval(&x[0], &mean, &variance, &x[1], &x[2], 0.1, activation)
            };
            assert_parity(&eval, &tensors, &format!("eval {dims:?} {activation:?}"));
        }
    }
}

#[test]
fn batch_norm_gives_the_moments_of_each_channel() {
    let x = random(&mut generator("moments"), &[900, 70]);
    // Mean 1000, deviation 0.1 / sqrt(3): the square of the mean is 3e8 times the variance.
    let x = ((x * 0.1).unwrap() + 1000.0).unwrap();
    let (ones, zeros) = (Tensor::ones(70, DType::F32, &Device::Cpu), Tensor::zeros(70, DType::F32, &Device::Cpu));
    let found = ops::batch_norm_train(&x, &ones.unwrap(), &zeros.unwrap(), 1e-5, Activation::Identity).unwrap();
    let columns = x.t().unwrap().to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap();
    let normal = found.output.t().unwrap().to_vec2::<f32>().unwrap();
    for (channel, column) in columns.iter().enumerate() {
        let mean = column.iter().sum::<f64>() / 900.0;
        let variance = column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 900.0;
        assert!((values(&found.mean)[channel] - mean).abs() < 1e-4);
        assert!((values(&found.variance)[channel] / variance - 1.0).abs() < 1e-5);
        for (x, found) in column.iter().zip(&normal[channel]) {
            let expected = (x - mean) / (variance + 1e-5).sqrt();
            assert!((f64::from(*found) - expected).abs() < 2e-3, "{found} for {expected}"); // f32(mean) is 3e-5 off
        }
    }
    assert!(!found.mean.track_op() && !found.variance.track_op());
}

#[test]
fn batch_norm_gradient_agrees_with_finite_differences() {
    for dims in [&[40, 9][..], &[3, 4, 5, 6]] {
        let tensors = batch_norm_inputs(&mut generator("batch_norm"), dims);
        for activation in SMOOTH {
            let train = |x: &[Tensor]| Ok(ops::batch_norm_train(&x[0], &x[1], &x[2], 1e-5, activation)?.output);
            assert_finite_differences(&train, &tensors, "batch_norm");
        }
    }
}

#[test]
fn max_pool_agrees_with_its_twin() {
    let mut generator = generator("max_pool2d");
    for (dims, size) in
        [([2, 24, 24, 32], 2), ([3, 7, 5, 3], 2), ([1, 9, 11, 4], 3), ([2, 3, 2, 1], 1), ([1, 5, 5, 2], 5)]
    {
        let x = random(&mut generator, &dims);
        assert_parity(&|x| ops::max_pool2d(&x[0], size), &[x], &format!("{dims:?} by {size}"));
    }
}

/// Every value apart from every other by more than the step, so that no maximum changes; each coordinate on its own.
#[test]
fn max_pool_gradient_agrees_with_finite_differences() {
    let dims = [2, 5, 4, 3];
    let order = generator("max_pool2d").permutation(120);
    let x: Vec<f32> = order.iter().map(|place| *place as f32 * 0.05).collect();
    let x = Tensor::from_vec(x, &dims, &Device::Cpu).unwrap();
    let gradient = values(&evaluate(&|x| ops::max_pool2d(&x[0], 2), std::slice::from_ref(&x), DType::F32)[1]);
    for (index, gradient) in gradient.into_iter().enumerate() {
        let loss = |distance: f64| {
            let mut moved = values(&x);
            moved[index] += distance;
            let moved = Tensor::from_vec(moved, &dims, &Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
            values(&ops::max_pool2d(&moved, 2).unwrap()).into_iter().map(f64::sin).sum::<f64>()
        };
        let expected = (loss(0.01) - loss(-0.01)) / 0.02;
        assert!((gradient - expected).abs() < 1e-3, "{gradient} for {expected} at {index}");
    }
}

#[test]
fn the_first_of_equal_maxima_takes_the_gradient() {
    for dtype in [DType::F32, DType::F64] {
        let x = Tensor::ones((1, 2, 2, 1), DType::F32, &Device::Cpu).unwrap();
        let found = evaluate(&|x| ops::max_pool2d(&x[0], 2), &[x], dtype);
        let gradient = values(&found[1]);
        assert!((gradient[0] - 1f64.cos()).abs() < 1e-6 && gradient[1..] == [0.0; 3], "{gradient:?}");
    }
}

#[test]
fn activations_agree_with_their_twins_and_pytorch_at_zero() {
    let x = random(&mut generator("activate"), &[7, 5, 33]);
    for activation in ACTIVATIONS {
        assert_parity(&|x| ops::activate(&x[0], activation), std::slice::from_ref(&x), &format!("{activation:?}"));
        let zero = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
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

/// Every op, each with its inputs at sizes that make several tiles.
fn every_op() -> Vec<NamedOp> {
    let generator = &mut generator("every op");
    let tanh = Activation::Tanh;
    vec![
        (
            "linear",
            Box::new(move |x: &[Tensor]| ops::linear(&x[0], &x[1], Some(&x[2]), tanh)),
            linear_inputs(generator, 530, 70, 290),
        ),
        (
            "conv2d",
            Box::new(move |x: &[Tensor]| ops::conv2d(&x[0], &x[1], Some(&x[2]), 1, 0, Activation::LeakyRelu(0.01))),
            convolution_inputs(generator, [20, 12, 12, 8, 16, 5, 1, 0]),
        ),
        (
            "conv2d by Winograd",
            Box::new(move |x: &[Tensor]| ops::conv2d(&x[0], &x[1], Some(&x[2]), 1, 1, tanh)),
            convolution_inputs(generator, [20, 9, 11, 80, 144, 3, 1, 1]),
        ),
        (
            "conv_transpose2d",
            Box::new(move |x: &[Tensor]| ops::conv_transpose2d(&x[0], &x[1], Some(&x[2]), 2, 1, tanh)),
            transposed_inputs(generator, [20, 7, 7, 24, 12, 4, 2, 1]),
        ),
        (
            "batch_norm_train",
            Box::new(
                move |x: &[Tensor]| Ok(ops::batch_norm_train(&x[0], &x[1], &x[2], 1e-5, Activation::Relu)?.output),
            ),
            batch_norm_inputs(generator, &[1500, 300]),
        ),
        (
            "batch_norm_eval",
            Box::new(move |x: &[Tensor]| {
                let ones = Tensor::ones(64, DType::F32, &Device::Cpu)?;
                ops::batch_norm_eval(&x[0], &ones, &ones, &x[1], &x[2], 1e-5, tanh)
            }),
            batch_norm_inputs(generator, &[40, 14, 14, 64]),
        ),
        ("max_pool2d", Box::new(|x: &[Tensor]| ops::max_pool2d(&x[0], 2)), vec![random(generator, &[30, 13, 12, 20])]),
        (
            "channels_first",
            Box::new(|x: &[Tensor]| ops::channels_first(&x[0])),
            vec![random(generator, &[30, 13, 12, 20])],
        ),
        ("activate", Box::new(move |x: &[Tensor]| ops::activate(&x[0], tanh)), vec![random(generator, &[100_001])]),
    ]
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for (name, op, inputs) in every_op() {
        let results = [1, 2, 3, 5].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let results = pool.install(|| evaluate(&*op, &inputs, DType::F32));
            results.iter().map(bits).collect::<Vec<_>>()
        });
        for (threads, result) in [2, 3, 5].iter().zip(&results[1..]) {
            assert!(*result == results[0], "{name} with {threads} threads");
        }
    }
    let adam = [1, 2, 3, 5].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| adam_trajectory(40_000, 0.1, DType::F32).iter().map(bits).collect::<Vec<_>>())
    });
    assert!(adam.iter().all(|result| *result == adam[0]));
}

/// The first value of the first input becomes NaN; then some outputs must be NaN, whatever the activation.
#[test]
fn nan_propagates_through_every_op() {
    for (name, op, mut inputs) in every_op() {
        let mut x = inputs[0].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        x[0] = f32::NAN;
        inputs[0] = Tensor::from_vec(x, inputs[0].dims(), &Device::Cpu).unwrap();
        let found = values(&op(&inputs).unwrap());
        assert!(found[0].is_nan(), "{name}");
        assert!(found.iter().any(|value| !value.is_nan()), "{name}");
    }
    let x = Tensor::new(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY], &Device::Cpu).unwrap();
    for (activation, expected) in ACTIVATIONS.into_iter().zip([
        [f64::INFINITY, f64::NEG_INFINITY],
        [f64::INFINITY, 0.0],
        [f64::INFINITY, f64::NEG_INFINITY],
        [1.0, -1.0],
    ]) {
        for dtype in [DType::F32, DType::F64] {
            let found = values(&ops::activate(&x.to_dtype(dtype).unwrap(), activation).unwrap());
            assert!(found[0].is_nan(), "{activation:?} {dtype:?}");
            for (found, expected) in found[1..].iter().zip(expected) {
                assert!(*found == expected || (found - expected).abs() < 1e-6, "{activation:?}: {found}");
            }
        }
    }
    for position in 0..4 {
        let mut window = [3f32, 1.0, 2.0, 5.0];
        window[position] = f32::NAN;
        let x = Tensor::from_slice(&window, (1, 2, 2, 1), &Device::Cpu).unwrap();
        for dtype in [DType::F32, DType::F64] {
            assert!(values(&ops::max_pool2d(&x.to_dtype(dtype).unwrap(), 2).unwrap())[0].is_nan());
        }
    }
}

#[test]
fn gradients_are_computed_for_tracked_arguments_only() {
    for (name, op, inputs) in every_op() {
        let all = evaluate(&*op, &inputs, DType::F32);
        for tracked in 0..inputs.len() {
            let var = Var::from_tensor(&inputs[tracked]).unwrap();
            let mut mixed = inputs.clone();
            mixed[tracked] = var.as_tensor().clone();
            let gradients = op(&mixed).unwrap().sin().unwrap().sum_all().unwrap().backward().unwrap();
            for (index, input) in mixed.iter().enumerate() {
                match gradients.get(input) {
                    Some(gradient) => assert!(index == tracked && bits(gradient) == bits(&all[index + 1]), "{name}"),
                    None => assert!(index != tracked, "{name}: no gradient of input {index}"),
                }
            }
        }
    }
}

#[test]
fn arguments_need_not_be_contiguous() {
    let generator = &mut generator("strides");
    let turned = |x: &Tensor, a: usize, b: usize| {
        let turned = x.transpose(a, b).unwrap().contiguous().unwrap().transpose(a, b).unwrap();
        assert!(!turned.is_contiguous());
        turned
    };
    for (name, op, inputs) in every_op() {
        if inputs[0].rank() < 2 {
            continue;
        }
        let mut strided = inputs.clone();
        strided[0] = turned(&inputs[0], 0, 1);
        if inputs.len() > 1 && inputs[1].rank() > 1 {
            strided[1] = turned(&inputs[1], 0, 1);
        }
        assert_eq!(bits(&op(&strided).unwrap()), bits(&op(&inputs).unwrap()), "{name}");
    }
    // A gradient that is not contiguous, as the transposed output's is.
    let tensors = linear_inputs(generator, 5, 4, 3);
    assert_parity(&|x| ops::linear(&x[0], &x[1], Some(&x[2]), Activation::Tanh)?.t(), &tensors, "transposed gradient");
}

#[test]
fn wrong_shapes_are_errors_that_say_the_shapes() {
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let none = Activation::Identity;
    let (image, kernel) = (zeros(&[2, 8, 8, 3]), zeros(&[4, 3, 3, 3]));
    let errors = [
        ops::linear(&zeros(&[2, 3]), &zeros(&[4, 5]), None, none),
        ops::linear(&zeros(&[2, 3]), &zeros(&[4, 3]), Some(&zeros(&[3])), none),
        ops::linear(&zeros(&[2, 0]), &zeros(&[4, 0]), None, none),
        ops::conv2d(&zeros(&[8, 8, 3]), &kernel, None, 1, 0, none),
        ops::conv2d(&image, &zeros(&[4, 2, 3, 3]), None, 1, 0, none),
        ops::conv2d(&image, &zeros(&[4, 3, 3, 2]), None, 1, 0, none),
        ops::conv2d(&image, &zeros(&[4, 3, 9, 9]), None, 1, 0, none),
        ops::conv2d(&image, &kernel, None, 0, 0, none),
        ops::conv2d(&image, &kernel, None, 1, usize::MAX, none),
        ops::conv2d(&image, &kernel, Some(&zeros(&[5])), 1, 0, none),
        ops::conv_transpose2d(&image, &kernel, None, 1, 0, none),
        ops::conv_transpose2d(&image, &zeros(&[3, 4, 3, 3]), None, 0, 0, none),
        ops::conv_transpose2d(&image, &zeros(&[3, 4, 3, 3]), None, 1, 50, none),
        ops::conv_transpose2d(&image, &zeros(&[3, 4, 3, 3]), None, usize::MAX, 0, none),
        ops::max_pool2d(&image, 0),
        ops::max_pool2d(&image, 9),
        ops::max_pool2d(&zeros(&[8, 8]), 2),
        ops::batch_norm_train(&image, &zeros(&[4]), &zeros(&[3]), 1e-5, none).map(|result| result.output),
        ops::batch_norm_train(&zeros(&[1, 3]), &zeros(&[3]), &zeros(&[3]), 1e-5, none).map(|result| result.output),
        ops::channels_first(&zeros(&[8, 8])),
    ];
    for (index, error) in errors.into_iter().enumerate() {
        let message = error.err().unwrap_or_else(|| panic!("case {index} is no error")).to_string();
        assert!(message.contains('[') || message.contains("slope"), "case {index}: {message}");
    }
    // Dtypes that do not agree.
    let double = kernel.to_dtype(DType::F64).unwrap();
    assert!(ops::conv2d(&image, &double, None, 1, 0, none).is_err());
}

#[test]
fn an_empty_batch_gives_an_empty_output() {
    let zeros = |dims: &[usize]| Var::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let tanh = Activation::Tanh;
    let (image, kernel, bias) = (zeros(&[0, 8, 8, 3]), zeros(&[3, 3, 3, 3]), zeros(&[3]));
    let outputs = [
        ops::linear(&zeros(&[0, 3]), &zeros(&[4, 3]), None, tanh).unwrap(),
        ops::conv2d(&image, &kernel, Some(&bias), 1, 0, tanh).unwrap(),
        ops::conv_transpose2d(&image, &kernel, Some(&bias), 1, 0, tanh).unwrap(),
        ops::max_pool2d(&image, 2).unwrap(),
        ops::batch_norm_eval(&image, &bias, &bias, &bias, &bias, 1e-5, tanh).unwrap(),
        ops::channels_first(&image).unwrap(),
    ];
    for output in outputs {
        assert_eq!(output.dim(0).unwrap(), 0);
        output.sum_all().unwrap().backward().unwrap();
    }
}

const STEP: AdamStep = AdamStep { lr: 1e-2, beta1: 0.5, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, step: 0 };

/// Parameter, first and second moment after ten steps with random gradients.
fn adam_trajectory(len: usize, weight_decay: f64, dtype: DType) -> [Tensor; 3] {
    let mut generator = generator("adam");
    let var = |tensor: Tensor| Var::from_tensor(&tensor.to_dtype(dtype).unwrap()).unwrap();
    let parameter = var(random(&mut generator, &[len]));
    let [first, second] = [(); 2].map(|()| var(Tensor::zeros(len, DType::F32, &Device::Cpu).unwrap()));
    for step in 1..=10 {
        let gradient = random(&mut generator, &[len]).to_dtype(dtype).unwrap();
        ops::adam_step(&parameter, &gradient, &first, &second, &AdamStep { weight_decay, step, ..STEP }).unwrap();
    }
    [parameter, first, second].map(|var| var.as_detached_tensor())
}

/// Ten steps against a loop over the lines of `torch.optim.Adam`'s definition in f64.
#[test]
fn adam_agrees_with_the_equations_of_pytorch() {
    for weight_decay in [0.0, 0.1] {
        let len = 10_007;
        let mut generator = generator("adam");
        let mut parameter = values(&random(&mut generator, &[len]));
        let (mut first, mut second) = (vec![0.0; len], vec![0.0; len]);
        for step in 1..=10 {
            for (index, gradient) in values(&random(&mut generator, &[len])).into_iter().enumerate() {
                let gradient = gradient + weight_decay * parameter[index];
                first[index] = STEP.beta1 * first[index] + (1.0 - STEP.beta1) * gradient;
                second[index] = STEP.beta2 * second[index] + (1.0 - STEP.beta2) * gradient * gradient;
                let step_size = STEP.lr / (1.0 - STEP.beta1.powi(step));
                let denominator = second[index].sqrt() / (1.0 - STEP.beta2.powi(step)).sqrt() + STEP.eps;
                parameter[index] -= step_size * first[index] / denominator;
            }
        }
        for dtype in [DType::F32, DType::F64] {
            let found = adam_trajectory(len, weight_decay, dtype);
            for (found, expected) in found.iter().zip([&parameter, &first, &second]) {
                let expected = Tensor::new(&expected[..], &Device::Cpu).unwrap();
                assert_close(found, &expected, 1e-6, &format!("{dtype:?}, weight decay {weight_decay}"));
            }
        }
    }
}

#[test]
fn adam_refuses_what_it_cannot_update() {
    let var = |len: usize| Var::zeros(len, DType::F32, &Device::Cpu).unwrap();
    let step = AdamStep { step: 1, ..STEP };
    let gradient = Tensor::ones(3, DType::F32, &Device::Cpu).unwrap();
    let [parameter, first, second] = [var(3), var(3), var(3)];
    assert!(ops::adam_step(&parameter, &gradient, &first, &second, &STEP).is_err(), "step 0");
    assert!(ops::adam_step(&var(4), &gradient, &first, &second, &step).is_err(), "shapes");
    assert!(ops::adam_step(&parameter, &gradient, &first, &first, &step).is_err(), "one moment twice");
    assert!(ops::adam_step(&parameter, &parameter.as_detached_tensor(), &first, &second, &step).is_err(), "itself");
    assert_eq!(values(&parameter), [0.0; 3]);
    ops::adam_step(&parameter, &gradient, &first, &second, &step).unwrap();
    assert!(values(&parameter).iter().all(|value| (value + 0.01).abs() < 1e-7));
    let nan = Tensor::new(&[1f32, f32::NAN, 1.0], &Device::Cpu).unwrap();
    ops::adam_step(&parameter, &nan, &first, &second, &AdamStep { step: 2, ..STEP }).unwrap();
    assert!(values(&parameter)[1].is_nan());
}

#[test]
fn lerp_moves_the_average_towards_the_value() {
    let generator = &mut generator("lerp");
    let (start, value) = (random(generator, &[300, 130]), random(generator, &[300, 130]));
    for dtype in [DType::F32, DType::F64] {
        let average = Var::from_tensor(&start.to_dtype(dtype).unwrap()).unwrap();
        ops::lerp_in_place(&average, &value.to_dtype(dtype).unwrap(), 0.25).unwrap();
        let expected = ((&start * 0.75).unwrap() + (&value * 0.25).unwrap()).unwrap();
        assert_close(&average, &expected, 1e-6, "lerp");
        let before = values(&average);
        ops::lerp_in_place(&average, &average.as_detached_tensor(), 0.25).unwrap();
        assert_eq!(values(&average), before);
        assert!(ops::lerp_in_place(&average, &value.t().unwrap(), 0.5).is_err());
    }
}
