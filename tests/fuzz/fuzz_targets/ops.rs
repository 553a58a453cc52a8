//! An op of the shapes that the bytes give, forward, backward and a step of an optimizer: within its memory, which is for
//! AddressSanitizer to see, and near its naive twin.
#![no_main]

use candle_core::{DType, Device, Result, Tensor, Var};
use gan::autograd::{self, Precision};
use gan::ops::{self, Activation, naive};
use gan::optim::{AdamConfig, Optimizer};
use gan::rng::Stream;
use libfuzzer_sys::fuzz_target;

/// Channels: odd ones, and whole vectors and panels, for which there are kernels of their own.
const CHANNELS: [usize; 8] = [1, 3, 7, 16, 17, 32, 33, 64];

const ACTIVATIONS: [Activation; 4] =
    [Activation::Identity, Activation::Relu, Activation::LeakyRelu(0.2), Activation::Tanh];

const ADAM: AdamConfig = AdamConfig { lr: 1e-3, beta1: 0.5, beta2: 0.999, eps: 1e-8, weight_decay: 1e-6 };

fuzz_target!(|bytes: [u8; 8]| {
    let [kind, count, height, width, channels, features, window, how] = bytes.map(usize::from);
    let (count, height, width) = (1 + count % 5, 1 + height % 19, 1 + width % 19);
    let (channels, features) = (CHANNELS[channels % 8], CHANNELS[features % 8]);
    let (size, stride, padding) = (1 + window % 5, 1 + window / 5 % 2, window / 10 % 3);
    let activation = ACTIVATIONS[how % 4];
    let image = [count, height, width, channels];
    let fits = height.min(width) + 2 * padding >= size;
    match kind % 13 {
        0 => check([&[count * height, channels], &[features, channels], &[features]], |[x, w, b]| {
            Ok([ops::linear(x, w, Some(b), activation)?, naive::linear(x, w, Some(b), activation)?])
        }),
        1 if fits => check([&image, &[features, channels, size, size], &[features]], |[x, w, b]| {
            let (b, activation) = (Some(b), activation);
            Ok([
                ops::conv2d(x, w, b, stride, padding, activation)?,
                naive::conv2d(x, w, b, stride, padding, activation)?,
            ])
        }),
        2 if (height.min(width) - 1) * stride + size > 2 * padding && size > padding => {
            check([&image, &[channels, features, size, size], &[features]], |[x, w, b]| {
                let b = Some(b);
                Ok([
                    ops::conv_transpose2d(x, w, b, stride, padding, activation)?,
                    naive::conv_transpose2d(x, w, b, stride, padding, activation)?,
                ])
            });
        }
        3 if count * height * width > 1 => check([&image, &[channels], &[channels]], |[x, w, b]| {
            let [ours, twin] = [ops::batch_norm_train, naive::batch_norm_train];
            Ok([ours(x, w, b, 1e-5, activation)?.output, twin(x, w, b, 1e-5, activation)?.output])
        }),
        4 => check([&image, &[channels], &[channels]], |[x, w, b]| {
            let (mean, variance) = (b.detach(), (w.detach().sqr()? + 0.1)?);
            let [ours, twin] = [ops::batch_norm_eval, naive::batch_norm_eval];
            Ok([ours(x, &mean, &variance, w, b, 1e-5, activation)?, twin(x, &mean, &variance, w, b, 1e-5, activation)?])
        }),
        5 if size <= height.min(width) => {
            let ([ours, twin], padding) = ([ops::max_pool2d, naive::max_pool2d], padding.min(size / 2));
            check([&image], |[x]| {
                Ok([ours(x, size, stride, padding, activation)?, twin(x, size, stride, padding, activation)?])
            })
        }
        6 => check([&image], |[x]| Ok([ops::mean_pool2d(x)?, naive::mean_pool2d(x)?])),
        7 => check([&image, &image], |[x, y]| Ok([ops::add_relu(x, y)?, naive::add_relu(x, y)?])),
        8 => check([&[count + 1, channels], &[count + 1, channels]], |[x, y]| {
            Ok([ops::nt_xent(x, y, 0.5)?, naive::nt_xent(x, y, 0.5)?])
        }),
        9 => check([&image], |[x]| {
            let turned = ops::channels_last(&ops::channels_first(x)?)?;
            Ok([ops::activate(&turned, activation)?, naive::activate(x, activation)?])
        }),
        10 => check([&image], |[x]| {
            let draws = (0..4 * count as i64).map(|index| index * 7 % 41 - 20).collect::<Vec<_>>();
            let draws = Tensor::from_vec(draws, (count, 4), &Device::Cpu)?;
            Ok([ops::diffaugment(x, &draws, size, -1.0)?, naive::diffaugment(x, &draws, size, -1.0)?])
        }),
        11 => check([&image], |[x]| {
            let transforms = (0..6 * count as i64).map(|index| (index * 7 % 41 - 20) as f32 * 0.17).collect::<Vec<_>>();
            let transforms = Tensor::from_vec(transforms, (count, 2, 3), &Device::Cpu)?;
            Ok([ops::affine_sample(x, &transforms)?, naive::affine_sample(x, &transforms)?])
        }),
        12 => check([&image], |[x]| {
            let len = count * channels * (channels + 2);
            let matrices = (0..len as i64).map(|index| (index * 7 % 41 - 20) as f32 * 0.05).collect::<Vec<_>>();
            let matrices = Tensor::from_vec(matrices, (count, channels, channels + 2), &Device::Cpu)?;
            Ok([ops::recolour(x, &matrices)?, naive::recolour(x, &matrices)?])
        }),
        _ => {}
    }
});

/// The two outputs of `op` on arguments of these shapes must be near each other; then our gradients and a step of Adam.
fn check<const N: usize>(shapes: [&[usize]; N], op: impl Fn([&Tensor; N]) -> Result<[Tensor; 2]> + Sync) {
    let mut generator = Stream::new(1, "fuzz").at(0);
    let variables = shapes.map(|shape| {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| generator.symmetric()).collect();
        Var::from_vec(values, shape, &Device::Cpu).unwrap()
    });
    let [ours, twin] = op(variables.each_ref().map(Var::as_tensor)).unwrap();
    assert_eq!(ours.dims(), twin.dims());
    let largest = |x: &Tensor| x.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
    let distance = largest(&(&ours - &twin).unwrap());
    assert!(distance <= 1e-3 * (1.0 + largest(&twin)), "{distance} beside {}", largest(&twin));

    let parameters = variables.iter().enumerate().map(|(index, variable)| (index.to_string(), variable.clone()));
    let mut optimizer = Optimizer::adam(parameters.collect(), ADAM).unwrap();
    optimizer.prepare(ADAM.lr).unwrap();
    let step = || {
        let [ours, _] = op(variables.each_ref().map(Var::as_tensor))?;
        optimizer.minimise(&ours.to_dtype(DType::F32)?.sqr()?.sum_all()?, None)
    };
    autograd::training_step(Precision::F32, step).unwrap();
    for variable in &variables {
        assert!(largest(variable).is_finite());
    }
}
