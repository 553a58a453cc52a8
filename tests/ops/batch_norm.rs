//! Batch normalisation, in training and in evaluation.

use candle_core::{DType, Tensor, Var};
use gan::ops::{self, Activation, ScaleShift};
use gan::rng::Generator;

use super::convolutions::transposed_inputs;
use super::linear::linear_inputs;
use super::{
    ACTIVATIONS, SMOOTH, assert_finite_differences, assert_parity, assert_same, generator, in_dtype, random, values,
};

pub fn batch_norm_inputs(generator: &mut Generator, dims: &[usize]) -> Vec<Tensor> {
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
                let [mean, variance] = [&mean, &variance].map(|statistic| in_dtype(statistic, x[0].dtype()));
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
    let (ones, zeros) = (Tensor::ones(70, DType::F32, x.device()), Tensor::zeros(70, DType::F32, x.device()));
    let found = ops::batch_norm_train(&x, &ones.unwrap(), &zeros.unwrap(), 1e-5, Activation::Identity).unwrap();
    let columns = in_dtype(&x.t().unwrap(), DType::F64).to_vec2::<f64>().unwrap();
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

/// A product whose output is scaled and shifted in its own pass has the bytes of the ops one after another, by each way to
/// compute it.
#[test]
fn a_scale_in_a_products_pass_has_the_same_bytes() {
    let mut generator = generator("scaled products");
    for activation in ACTIVATIONS {
        let mut check = |tensors: &[Tensor], channels: usize, op: Scaled| {
            let [scale, shift] = [(); 2].map(|()| random(&mut generator, &[channels]));
            let scale = ScaleShift { scale, shift };
            let found = op(tensors, activation, Some(&scale));
            let plain = op(tensors, activation, None);
            let expected = plain.broadcast_mul(&scale.scale).unwrap().broadcast_add(&scale.shift).unwrap();
            assert_same(&found, &expected, "scaled");
            // Where a gradient is asked for it is the ops one after another.
            let tracked = [&[Var::from_tensor(&tensors[0]).unwrap().as_tensor().clone()], &tensors[1..]].concat();
            let found = op(&tracked, activation, Some(&scale));
            assert!(found.track_op());
            assert_same(&found, &expected, "tracked");
        };
        check(&linear_inputs(&mut self::generator("linear"), 130, 70, 290), 290, &|x, activation, scale| match scale {
            Some(scale) => ops::linear_scaled(&x[0], &x[1], Some(&x[2]), activation, scale).unwrap(),
            None => ops::linear(&x[0], &x[1], Some(&x[2]), activation).unwrap(),
        });
        // Patches, pixels, and Winograd's planes.
        for dims in [[5, 7, 8, 24, 12, 4, 2, 1], [5, 7, 8, 24, 12, 1, 1, 0], [5, 7, 8, 160, 96, 4, 2, 1]] {
            let stride = (dims[6], dims[7]);
            check(&transposed_inputs(&mut self::generator("transposed"), dims), dims[4], &|x, activation, scale| {
                let (x, weight, bias) = (&x[0], &x[1], Some(&x[2]));
                match scale {
                    Some(scale) => ops::conv_transpose2d_scaled(x, weight, bias, stride, activation, scale).unwrap(),
                    None => ops::conv_transpose2d(x, weight, bias, stride.0, stride.1, activation).unwrap(),
                }
            });
        }
    }
}

type Scaled<'a> = &'a dyn Fn(&[Tensor], Activation, Option<&ScaleShift>) -> Tensor;

#[test]
fn a_scale_that_does_not_fit_the_product_is_an_error() {
    let mut generator = generator("misfit");
    let [x, weight] = [&[3, 4][..], &[5, 4]].map(|dims| random(&mut generator, dims));
    let [scale, shift] = [6, 5].map(|channels| random(&mut generator, &[channels]));
    let error = ops::linear_scaled(&x, &weight, None, Activation::Identity, &ScaleShift { scale, shift });
    assert!(error.unwrap_err().to_string().contains('6'));
}
