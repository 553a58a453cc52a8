//! Batch normalisation, in training and in evaluation.

use candle_core::{DType, Tensor, Var};
use gan::ops::{self, Activation, RunningNorm};
use gan::rng::Generator;

use super::convolutions::{convolution_inputs, transposed_inputs};
use super::linear::linear_inputs;
use super::{ACTIVATIONS, SMOOTH, assert_finite_differences, assert_parity, bits, generator, in_dtype, random, values};

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

/// A product that takes the norm into its pass has the bytes of the two ops, by each way to compute it.
#[test]
fn batch_norm_in_a_products_pass_has_the_same_bytes() {
    let mut generator = generator("normalised products");
    for activation in ACTIVATIONS {
        let mut check = |tensors: &[Tensor], channels: usize, op: Normalised| {
            let [mean, weight, bias] = [(); 3].map(|()| random(&mut generator, &[channels]));
            let variance = random(&mut generator, &[channels]).sqr().unwrap();
            let after = Activation::Relu;
            let norm = RunningNorm {
                mean: &mean,
                variance: &variance,
                weight: &weight,
                bias: &bias,
                eps: 1e-3,
                activation: after,
            };
            let found = op(tensors, activation, Some(&norm));
            let apart = op(tensors, activation, None);
            let expected = ops::batch_norm_eval(&apart, &mean, &variance, &weight, &bias, 1e-3, after).unwrap();
            assert_eq!(bits(&found), bits(&expected));
            // Where a gradient is asked for it is the two ops.
            let tracked = [&[Var::from_tensor(&tensors[0]).unwrap().as_tensor().clone()], &tensors[1..]].concat();
            let found = op(&tracked, activation, Some(&norm));
            assert!(found.track_op());
            assert_eq!(bits(&found), bits(&expected));
        };
        check(&linear_inputs(&mut self::generator("linear"), 130, 70, 290), 290, |x, activation, norm| match norm {
            Some(norm) => ops::linear_normalised(&x[0], &x[1], Some(&x[2]), activation, norm).unwrap(),
            None => ops::linear(&x[0], &x[1], Some(&x[2]), activation).unwrap(),
        });
        // As images of 5 x 2 pixels: of as many channels as a task has outputs, and of another number.
        for channels in [64, 29] {
            let tensors = linear_inputs(&mut self::generator("images"), 13, 70, channels * 10);
            check(&tensors, channels * 10, |x, activation, norm| {
                let channels = x[1].dims()[0] / 10;
                match norm {
                    Some(norm) => {
                        let (dims, images) = ([channels, 5, 2], x[0].clone().into());
                        let y = ops::linear_normalised_images(&images, &x[1], Some(&x[2]), activation, norm, dims);
                        let y = y.unwrap();
                        assert_eq!(y.dims(), [13, 5, 2, channels]);
                        y.permute((0, 3, 1, 2)).unwrap().reshape((13, channels * 10)).unwrap()
                    }
                    None => ops::linear(&x[0], &x[1], Some(&x[2]), activation).unwrap(),
                }
            });
        }
        // Patches, and Winograd's planes.
        for dims in [[5, 9, 11, 6, 20, 3, 1, 1], [5, 9, 11, 80, 144, 3, 1, 1]] {
            check(
                &convolution_inputs(&mut self::generator("conv2d"), dims),
                dims[4],
                |x, activation, norm| match norm {
                    Some(norm) => ops::conv2d_normalised(&x[0], &x[1], None, (1, 1), activation, norm).unwrap(),
                    None => ops::conv2d(&x[0], &x[1], None, 1, 1, activation).unwrap(),
                },
            );
        }
        for dims in [[5, 7, 8, 24, 12, 4, 2, 1], [5, 7, 8, 160, 96, 4, 2, 1]] {
            check(&transposed_inputs(&mut self::generator("transposed"), dims), dims[4], |x, activation, norm| {
                match norm {
                    Some(norm) => {
                        ops::conv_transpose2d_normalised(&x[0], &x[1], Some(&x[2]), (2, 1), activation, norm).unwrap()
                    }
                    None => ops::conv_transpose2d(&x[0], &x[1], Some(&x[2]), 2, 1, activation).unwrap(),
                }
            });
        }
    }
}

type Normalised = fn(&[Tensor], Activation, Option<&RunningNorm>) -> Tensor;

#[test]
fn a_norm_that_does_not_fit_the_product_is_an_error() {
    let mut generator = generator("misfit");
    let [x, weight] = [&[3, 4][..], &[5, 4]].map(|dims| random(&mut generator, dims));
    let channels = random(&mut generator, &[6]);
    let norm = RunningNorm {
        mean: &channels,
        variance: &channels,
        weight: &channels,
        bias: &channels,
        eps: 1e-5,
        activation: Activation::Identity,
    };
    let error = ops::linear_normalised(&x, &weight, None, Activation::Identity, &norm).unwrap_err().to_string();
    assert!(error.contains("batch_norm") && error.contains('6'), "{error}");
}
