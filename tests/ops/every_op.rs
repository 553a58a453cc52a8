//! What holds for all ops alike: threads, NaN, tracked arguments, strides, wrong shapes, empty batches.

use std::path::Path;

use candle_core::{DType, Result, Tensor, Var};
use gan::autograd::{self, Precision};
use gan::ops::{self, Activation};

use super::affine_sample::transforms;
use super::batch_norm::batch_norm_inputs;
use super::convolutions::{convolution_inputs, line_inputs, transposed_inputs};
use super::diffaugment::draws;
use super::linear::linear_inputs;
use super::optimizer_steps::{RULES, adam_trajectory, sgd_trajectory};
use super::recolour::matrices;
use super::{
    ACTIVATIONS, assert_close, assert_parity, assert_same, bits, evaluate, generator, in_dtype, random, values,
};
use crate::device::device;
use crate::support::repository;

type NamedOp = (&'static str, Box<dyn Fn(&[Tensor]) -> Result<Tensor> + Sync>, Vec<Tensor>);

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
            "conv2d 5 x 5 by Winograd",
            Box::new(move |x: &[Tensor]| ops::conv2d(&x[0], &x[1], Some(&x[2]), 1, 0, tanh)),
            convolution_inputs(generator, [40, 12, 13, 80, 144, 5, 1, 0]),
        ),
        (
            "conv_transpose2d",
            Box::new(move |x: &[Tensor]| ops::conv_transpose2d(&x[0], &x[1], Some(&x[2]), 2, 1, tanh)),
            transposed_inputs(generator, [20, 7, 7, 24, 12, 4, 2, 1]),
        ),
        (
            "conv_transpose2d by Winograd",
            Box::new(move |x: &[Tensor]| ops::conv_transpose2d(&x[0], &x[1], Some(&x[2]), 2, 1, tanh)),
            transposed_inputs(generator, [50, 7, 8, 160, 96, 4, 2, 1]),
        ),
        (
            "batch_norm_train",
            Box::new(
                move |x: &[Tensor]| Ok(ops::batch_norm_train(&x[0], &x[1], &x[2], 1e-5, Activation::Relu)?.output),
            ),
            batch_norm_inputs(generator, &[1500, 300]),
        ),
        (
            "batch_norm_tangent",
            Box::new(|x: &[Tensor]| ops::batch_norm_tangent(&x[0], &x[1], &x[2], 1e-5)),
            [&[1500, 300][..], &[300], &[1500, 300]].map(|dims| random(generator, dims)).to_vec(),
        ),
        (
            "batch_norm_eval",
            Box::new(move |x: &[Tensor]| {
                let ones = Tensor::ones(64, x[0].dtype(), x[0].device())?;
                ops::batch_norm_eval(&x[0], &ones, &ones, &x[1], &x[2], 1e-5, tanh)
            }),
            batch_norm_inputs(generator, &[40, 14, 14, 64]),
        ),
        (
            "max_pool2d",
            Box::new(|x: &[Tensor]| ops::max_pool2d(&x[0], 2, 2, 0, Activation::LeakyRelu(0.2))),
            vec![random(generator, &[30, 13, 12, 20])],
        ),
        (
            "max_pool2d of windows that overlap",
            Box::new(|x: &[Tensor]| ops::max_pool2d(&x[0], 3, 2, 1, Activation::Identity)),
            vec![random(generator, &[30, 13, 12, 20])],
        ),
        (
            "conv2d 7 x 7 of stride 2",
            Box::new(move |x: &[Tensor]| ops::conv2d(&x[0], &x[1], None, 2, 3, Activation::Identity)),
            convolution_inputs(generator, [20, 24, 20, 3, 16, 7, 2, 3])[..2].to_vec(),
        ),
        (
            "channels_first",
            Box::new(|x: &[Tensor]| ops::channels_first(&x[0])),
            vec![random(generator, &[30, 13, 12, 20])],
        ),
        (
            "line_conv2d",
            Box::new(move |x: &[Tensor]| ops::line_conv2d(&x[0], &x[1], &x[2], tanh)),
            line_inputs(generator, [20, 9, 11, 24, 40], [1, 7]),
        ),
        ("avg_pool2d", Box::new(|x: &[Tensor]| ops::avg_pool2d(&x[0], 3)), vec![random(generator, &[30, 7, 5, 40])]),
        ("mean_pool2d", Box::new(|x: &[Tensor]| ops::mean_pool2d(&x[0])), vec![random(generator, &[70, 4, 4, 300])]),
        (
            "add_relu",
            Box::new(|x: &[Tensor]| ops::add_relu(&x[0], &x[1])),
            [(); 2].map(|()| random(generator, &[30, 14, 13, 20])).to_vec(),
        ),
        (
            "append_columns",
            Box::new(|x: &[Tensor]| ops::append_columns(&x[0], &x[1])),
            vec![random(generator, &[90, 784]), random(generator, &[90, 10])],
        ),
        (
            "diffaugment",
            Box::new(|x: &[Tensor]| ops::diffaugment(&x[0], &draws(90, 12)?, 9, -1.0)),
            vec![random(generator, &[90, 24, 20, 3])],
        ),
        (
            "affine_sample",
            Box::new(|x: &[Tensor]| ops::affine_sample(&x[0], &transforms(90, 24)?)),
            vec![random(generator, &[90, 24, 20, 3])],
        ),
        (
            "recolour",
            Box::new(|x: &[Tensor]| ops::recolour(&x[0], &matrices(90, 3))),
            vec![random(generator, &[90, 24, 20, 3])],
        ),
        (
            "layer_norm",
            Box::new(|x: &[Tensor]| ops::layer_norm(&x[0], &x[1], &x[2], 1e-6)),
            [&[700, 3, 100][..], &[100], &[100]].map(|dims| random(generator, dims)).to_vec(),
        ),
        ("gelu", Box::new(|x: &[Tensor]| ops::gelu(&x[0])), vec![random(generator, &[300, 301])]),
        ("attention", Box::new(|x: &[Tensor]| ops::attention(&x[0], 3)), vec![random(generator, &[9, 21, 3 * 3 * 20])]),
        ("first_token", Box::new(|x: &[Tensor]| ops::first_token(&x[0])), vec![random(generator, &[400, 3, 100])]),
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
        pool.install(|| adam_trajectory(40_000, (0.1, true), DType::F32).iter().map(bits).collect::<Vec<_>>())
    });
    assert!(adam.iter().all(|result| *result == adam[0]));
    for rule in RULES {
        let sgd = [1, 2, 3, 5].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| sgd_trajectory(100_000, rule, DType::F32).map(|tensor| bits(&tensor)))
        });
        assert!(sgd.iter().all(|result| *result == sgd[0]), "{rule:?}");
    }
}

/// Those that stand at the end of a network or move values about: what else goes on the tape.
fn further_ops() -> Vec<NamedOp> {
    let generator = &mut generator("further ops");
    let (image, other) = (random(generator, &[12, 6, 5, 8]), random(generator, &[12, 6, 5, 8]));
    let rows = || vec![image.flatten_from(1).unwrap()];
    vec![
        ("reshape", Box::new(|x: &[Tensor]| autograd::reshape(&x[0], (12, 240))), vec![image.clone()]),
        ("narrow_rows", Box::new(|x: &[Tensor]| autograd::narrow_rows(&x[0], 3, 4)), vec![image.clone()]),
        (
            "prepend_token",
            Box::new(|x: &[Tensor]| ops::prepend_token(&x[0], &x[1], &x[2])),
            [&[12, 30, 8][..], &[1, 1, 8], &[1, 31, 8]].map(|dims| random(generator, dims)).to_vec(),
        ),
        ("add", Box::new(|x: &[Tensor]| autograd::add(&x[0], &x[1])), vec![image.clone(), other.clone()]),
        ("mul", Box::new(|x: &[Tensor]| autograd::mul(&x[0], &x[1])), vec![image.clone(), other.clone()]),
        ("channels_last", Box::new(|x: &[Tensor]| ops::channels_last(&x[0])), vec![image.clone()]),
        ("bce_with_logits", Box::new(|x: &[Tensor]| ops::bce_with_logits(&x[0], 0.9)), rows()),
        ("half_mean_square", Box::new(|x: &[Tensor]| ops::half_mean_square(&x[0], 0.9)), rows()),
        (
            "spectral_weight",
            Box::new(|x: &[Tensor]| {
                let vector = |len: usize| {
                    Tensor::arange(0u32, len as u32, x[0].device())?.to_dtype(x[0].dtype())?.affine(0.01, 0.1)
                };
                ops::spectral_weight(&x[0], &vector(30)?, &vector(45)?)
            }),
            vec![random(generator, &[30, 5, 3, 3])],
        ),
        ("hinge", Box::new(|x: &[Tensor]| ops::hinge(&x[0], -1.0)), rows()),
        ("scaled_mean", Box::new(|x: &[Tensor]| ops::scaled_mean(&x[0], 0.9)), rows()),
        (
            "cross_entropy",
            Box::new(|x: &[Tensor]| {
                let labels = Tensor::arange(0u32, 12, x[0].device())?;
                ops::cross_entropy(&x[0], &labels)
            }),
            rows(),
        ),
        (
            "nt_xent",
            Box::new(|x: &[Tensor]| ops::nt_xent(&x[0], &x[1], 0.5)),
            [rows(), vec![other.flatten_from(1).unwrap()]].concat(),
        ),
    ]
}

/// What changes variables in place, or gives what no gradient is asked of.
const WITHOUT_GRADIENT: [&str; 9] = [
    "adam_step",
    "adam_steps",
    "lerp_all",
    "lerp_in_place",
    "norm_across",
    "rescale_to_norm",
    "sgd_step",
    "sgd_steps",
    "track_statistics",
];

/// The functions that a module exports, by its `pub use` lines of modules that `is_asked` for.
fn exported(source: &str, is_asked: impl Fn(&str) -> bool) -> Vec<String> {
    let uses = source.lines().collect::<Vec<_>>().join(" ");
    let uses = uses.split("pub use ").skip(1).filter_map(|item| item.split(';').next()?.rsplit_once("::"));
    let names = uses.filter(|(module, _)| is_asked(module)).flat_map(|(_, names)| names.split(['{', '}', ',', ' ']));
    names.filter(|name| name.starts_with(|first: char| first.is_lowercase())).map(String::from).collect()
}

/// A row is called as its function is, or so and a word more.
#[test]
fn every_op_with_a_gradient_has_a_row_in_the_tables() {
    let rows: Vec<&str> = every_op().iter().chain(&further_ops()).map(|(name, ..)| *name).collect();
    let read = |path: &str| std::fs::read_to_string(Path::new(&repository()).join(path)).unwrap();
    let ops = read("src/ops/mod.rs");
    let ops = exported(ops.split("pub mod naive").next().unwrap(), |_| true);
    let basic_ops = exported(&read("src/autograd/mod.rs"), |module| module == "basic_ops");
    assert!(ops.len() > 20 && basic_ops.len() == 4, "{ops:?} {basic_ops:?}");
    for op in ops.iter().chain(&basic_ops) {
        let is_row = rows.iter().any(|row| row.split(' ').next() == Some(op));
        // A scale in a product's own pass is of frozen networks.
        let is_exempt = WITHOUT_GRADIENT.contains(&op.as_str()) || op.ends_with("_scaled");
        assert!(is_row != is_exempt, "{op}: give it a row in every_op or further_ops, or say that it has no gradient");
    }
}

/// Where the arguments are themselves outputs on the tape, an op keeps of them and of its output what it says it reads, and
/// nothing else. Used twice, its output has two gradients, which an op may add up itself.
#[test]
fn every_op_has_on_the_tape_the_gradients_that_it_has_without() {
    for (name, op, inputs) in every_op().into_iter().chain(further_ops()) {
        let vars: Vec<Var> = inputs.iter().map(|x| Var::from_tensor(x).unwrap()).collect();
        // A sum with zeros: the same values, as an output.
        let run = |is_used_twice: bool| {
            let made: Vec<Tensor> =
                vars.iter().map(|var| autograd::add(var, &var.zeros_like().unwrap()).unwrap()).collect();
            let output = op(&made).unwrap();
            let read = if is_used_twice { autograd::add(&output, &output).unwrap() } else { output.clone() };
            let gradients = autograd::backward(&read.sin().unwrap().sum_all().unwrap()).unwrap();
            let gradients = vars.iter().map(|var| gradients.get(var).unwrap().clone());
            std::iter::once(output.detach()).chain(gradients).collect::<Vec<_>>()
        };
        for is_used_twice in [false, true] {
            let taped = autograd::training_step(Precision::F32, || run(is_used_twice));
            let plain = run(is_used_twice);
            assert_eq!(plain.len(), 1 + inputs.len(), "{name}");
            for (index, (taped, plain)) in taped.iter().zip(&plain).enumerate() {
                assert!(values(plain).iter().all(|value| value.is_finite()), "{name}");
                assert_same(taped, plain, &format!("{name}: {index}, used twice: {is_used_twice}"));
            }
            if is_used_twice {
                continue;
            }
            // Without a tape they are those of candle's backward pass through the composition of its own ops in f64.
            let expected = evaluate(&*op, &inputs, DType::F64);
            for (index, (taped, expected)) in taped.iter().zip(&expected).enumerate() {
                assert_close(taped, expected, 1e-3, &format!("{name}: {index}"));
            }
        }
    }
}

/// The first value of the first input becomes NaN; then some outputs must be NaN, whatever the activation.
#[test]
fn nan_propagates_through_every_op() {
    for (name, op, mut inputs) in every_op() {
        let mut x = inputs[0].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        x[0] = f32::NAN;
        inputs[0] = Tensor::from_vec(x, inputs[0].dims(), &device()).unwrap();
        let found = values(&op(&inputs).unwrap());
        assert!(found[0].is_nan(), "{name}");
        assert!(found.iter().any(|value| !value.is_nan()), "{name}");
    }
    let x = Tensor::new(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY], &device()).unwrap();
    for (activation, expected) in ACTIVATIONS.into_iter().zip([
        [f64::INFINITY, f64::NEG_INFINITY],
        [f64::INFINITY, 0.0],
        [f64::INFINITY, f64::NEG_INFINITY],
        [1.0, -1.0],
    ]) {
        for dtype in [DType::F32, DType::F64] {
            let found = values(&ops::activate(&in_dtype(&x, dtype), activation).unwrap());
            assert!(found[0].is_nan(), "{activation:?} {dtype:?}");
            for (found, expected) in found[1..].iter().zip(expected) {
                assert!(*found == expected || (found - expected).abs() < 1e-6, "{activation:?}: {found}");
            }
        }
    }
    for position in 0..4 {
        let mut window = [3f32, 1.0, 2.0, 5.0];
        window[position] = f32::NAN;
        let x = Tensor::from_slice(&window, (1, 2, 2, 1), &device()).unwrap();
        for dtype in [DType::F32, DType::F64] {
            assert!(values(&ops::max_pool2d(&in_dtype(&x, dtype), 2, 2, 0, Activation::Identity).unwrap())[0].is_nan());
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
                    Some(gradient) => {
                        assert_eq!(index, tracked, "{name}");
                        assert_same(gradient, &all[index + 1], name);
                    }
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
        assert_same(&op(&strided).unwrap(), &op(&inputs).unwrap(), name);
    }
    // A gradient that is not contiguous, as the transposed output's is.
    let tensors = linear_inputs(generator, 5, 4, 3);
    assert_parity(&|x| ops::linear(&x[0], &x[1], Some(&x[2]), Activation::Tanh)?.t(), &tensors, "transposed gradient");
}

#[test]
fn wrong_shapes_are_errors_that_say_the_shapes() {
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &device()).unwrap();
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
        ops::max_pool2d(&image, 0, 2, 0, Activation::Identity),
        ops::max_pool2d(&image, 9, 2, 0, Activation::Identity),
        ops::max_pool2d(&zeros(&[8, 8]), 2, 2, 0, Activation::Identity),
        ops::max_pool2d(&image, 2, 0, 0, Activation::Identity),
        ops::max_pool2d(&image, 3, 2, 2, Activation::Identity),
        ops::batch_norm_train(&image, &zeros(&[4]), &zeros(&[3]), 1e-5, none).map(|result| result.output),
        ops::batch_norm_train(&zeros(&[1, 3]), &zeros(&[3]), &zeros(&[3]), 1e-5, none).map(|result| result.output),
        ops::channels_first(&zeros(&[8, 8])),
        ops::diffaugment(&image, &zeros(&[2, 4]), 2, 0.0),
        ops::diffaugment(&image, &draws(3, 8).unwrap(), 2, 0.0),
        ops::diffaugment(&zeros(&[8, 8]), &draws(8, 8).unwrap(), 2, 0.0),
        ops::affine_sample(&image, &zeros(&[2, 6])),
        ops::affine_sample(&image, &transforms(3, 8).unwrap()),
        ops::affine_sample(&zeros(&[8, 8]), &transforms(8, 8).unwrap()),
        ops::recolour(&image, &zeros(&[2, 3, 3])),
        ops::recolour(&image, &matrices(3, 3)),
        ops::recolour(&zeros(&[8, 8]), &matrices(8, 8)),
        ops::add_relu(&image, &zeros(&[2, 8, 8, 1])),
        ops::add_relu(&image, &zeros(&[2, 8, 24])),
        ops::append_columns(&zeros(&[2, 3]), &zeros(&[3, 3])),
        ops::append_columns(&image, &image),
        ops::append_columns(&zeros(&[2, 3]), &zeros(&[2, 0])),
        ops::line_conv2d(&image, &zeros(&[4, 3, 3, 3]), &zeros(&[4]), none),
        ops::line_conv2d(&image, &zeros(&[4, 3, 1, 2]), &zeros(&[4]), none),
        ops::line_conv2d(&image, &zeros(&[4, 2, 1, 3]), &zeros(&[4]), none),
        ops::line_conv2d(&image, &zeros(&[4, 3, 1, 3]), &zeros(&[3]), none),
        ops::avg_pool2d(&image, 2),
        ops::avg_pool2d(&zeros(&[8, 8]), 3),
        ops::mean_pool2d(&zeros(&[8, 8])),
        ops::mean_pool2d(&zeros(&[2, 0, 8, 3])),
        ops::layer_norm(&zeros(&[2, 3]), &zeros(&[3]), &zeros(&[4]), 1e-6),
        ops::layer_norm(&zeros(&[2, 0]), &zeros(&[0]), &zeros(&[0]), 1e-6),
        ops::attention(&zeros(&[2, 5, 12]), 3),
        ops::attention(&zeros(&[2, 0, 9]), 3),
        ops::attention(&zeros(&[5, 9]), 3),
        ops::prepend_token(&zeros(&[2, 4, 3]), &zeros(&[1, 1, 3]), &zeros(&[1, 4, 3])),
        ops::prepend_token(&zeros(&[2, 0, 3]), &zeros(&[1, 1, 3]), &zeros(&[1, 1, 3])),
        ops::first_token(&zeros(&[2, 0, 3])),
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
    let zeros = |dims: &[usize]| Var::zeros(dims, DType::F32, &device()).unwrap();
    let tanh = Activation::Tanh;
    let (image, kernel, bias) = (zeros(&[0, 8, 8, 3]), zeros(&[3, 3, 3, 3]), zeros(&[3]));
    let outputs = [
        ops::linear(&zeros(&[0, 3]), &zeros(&[4, 3]), None, tanh).unwrap(),
        ops::conv2d(&image, &kernel, Some(&bias), 1, 0, tanh).unwrap(),
        ops::conv_transpose2d(&image, &kernel, Some(&bias), 1, 0, tanh).unwrap(),
        ops::max_pool2d(&image, 2, 2, 0, Activation::Identity).unwrap(),
        ops::batch_norm_eval(&image, &bias, &bias, &bias, &bias, 1e-5, tanh).unwrap(),
        ops::channels_first(&image).unwrap(),
        ops::add_relu(&image, &image).unwrap(),
        ops::append_columns(&zeros(&[0, 3]), &zeros(&[0, 4])).unwrap(),
        ops::line_conv2d(&image, &zeros(&[4, 3, 3, 1]), &zeros(&[4]), Activation::Relu).unwrap(),
        ops::avg_pool2d(&image, 3).unwrap(),
        ops::mean_pool2d(&image).unwrap(),
        ops::layer_norm(&image, &bias, &bias, 1e-6).unwrap(),
        ops::gelu(&image).unwrap(),
        ops::attention(&zeros(&[0, 4, 12]), 2).unwrap(),
        ops::prepend_token(&zeros(&[0, 4, 3]), &zeros(&[1, 1, 3]), &zeros(&[1, 5, 3])).unwrap(),
        ops::first_token(&zeros(&[0, 4, 3])).unwrap(),
        ops::diffaugment(&image, &draws(0, 8).unwrap(), 2, 0.0).unwrap(),
        ops::affine_sample(&image, &transforms(0, 8).unwrap()).unwrap(),
        ops::recolour(&image, &matrices(0, 3)).unwrap(),
    ];
    for output in outputs {
        assert_eq!(output.dim(0).unwrap(), 0);
        output.sum_all().unwrap().backward().unwrap();
    }
}
