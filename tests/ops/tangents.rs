//! Derivatives along a direction: those of the ops that discriminators are made of against central differences of their
//! twins in f64, and what is refused.

use candle_core::{DType, Result, Tensor, Var};
use gan::autograd::{self, Precision};
use gan::ops::{self, Activation};

use super::batch_norm::batch_norm_inputs;
use super::convolutions::{convolution_inputs, transposed_inputs};
use super::linear::linear_inputs;
use super::{assert_close, generator, in_dtype, random};

type Op<'a> = Box<dyn Fn(&[Tensor]) -> Result<Tensor> + Sync + 'a>;

/// Name, op, inputs, and how many of them may move.
type Case<'a> = (&'static str, Op<'a>, Vec<Tensor>, usize);

fn cases() -> Vec<Case<'static>> {
    let generator = &mut generator("tangents");
    let leaky = Activation::LeakyRelu(0.2);
    let (image, other) = (random(generator, &[12, 6, 5, 8]), random(generator, &[12, 6, 5, 8]));
    let batch_norm = |activation| -> Op {
        Box::new(move |x| Ok(ops::batch_norm_train(&x[0], &x[1], &x[2], 1e-5, activation)?.output))
    };
    vec![
        (
            "linear",
            Box::new(move |x| ops::linear(&x[0], &x[1], Some(&x[2]), leaky)),
            linear_inputs(generator, 30, 20, 25),
            2,
        ),
        (
            "conv2d",
            Box::new(move |x| ops::conv2d(&x[0], &x[1], Some(&x[2]), 2, 1, leaky)),
            convolution_inputs(generator, [6, 12, 10, 3, 7, 4, 2, 1]),
            2,
        ),
        (
            "conv_transpose2d",
            Box::new(move |x| ops::conv_transpose2d(&x[0], &x[1], Some(&x[2]), 2, 1, Activation::Relu)),
            transposed_inputs(generator, [5, 7, 6, 8, 3, 4, 2, 1]),
            2,
        ),
        ("batch_norm", batch_norm(Activation::Identity), batch_norm_inputs(generator, &[50, 13]), 1),
        ("batch_norm and its activation", batch_norm(leaky), batch_norm_inputs(generator, &[9, 4, 5, 6]), 1),
        ("max_pool2d", Box::new(move |x| ops::max_pool2d(&x[0], 2, 2, 0, leaky)), vec![image.clone()], 1),
        (
            "max_pool2d of windows that overlap",
            Box::new(|x| ops::max_pool2d(&x[0], 3, 2, 1, Activation::Identity)),
            vec![image.clone()],
            1,
        ),
        ("mean_pool2d", Box::new(|x| ops::mean_pool2d(&x[0])), vec![image.clone()], 1),
        ("channels_first", Box::new(|x| ops::channels_first(&x[0])), vec![image.clone()], 1),
        ("channels_last", Box::new(|x| ops::channels_last(&x[0])), vec![image.clone()], 1),
        (
            "append_columns",
            Box::new(|x| ops::append_columns(&x[0], &x[1])),
            vec![random(generator, &[9, 20]), random(generator, &[9, 5])],
            2,
        ),
        ("activate", Box::new(move |x| ops::activate(&x[0], leaky)), vec![image.clone()], 1),
        ("reshape", Box::new(|x| autograd::reshape(&x[0], (12, 240))), vec![image.clone()], 1),
        ("narrow_rows", Box::new(|x| autograd::narrow_rows(&x[0], 3, 4)), vec![image.clone()], 1),
        ("add", Box::new(|x| autograd::add(&x[0], &x[1])), vec![image.clone(), other.clone()], 2),
        ("mul", Box::new(|x| autograd::mul(&x[0], &x[1])), vec![image, other], 2),
    ]
}

#[test]
fn they_are_those_of_central_differences() {
    let generator = &mut generator("directions of tangents");
    for (name, op, inputs, movable) in cases() {
        for moving in 0..movable {
            let direction = random(generator, inputs[moving].dims());
            let vars: Vec<Var> = inputs.iter().map(|x| Var::from_tensor(x).unwrap()).collect();
            let found = autograd::training_step(Precision::F32, || {
                let arguments: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
                autograd::tangent(&op(&arguments).unwrap(), &vars[moving], &direction).unwrap()
            });
            let (h, inputs): (f64, Vec<Tensor>) = (1e-6, inputs.iter().map(|x| in_dtype(x, DType::F64)).collect());
            let moved = |by: f64| {
                let mut moved = inputs.clone();
                moved[moving] = (&inputs[moving] + (in_dtype(&direction, DType::F64) * by).unwrap()).unwrap();
                op(&moved).unwrap()
            };
            let expected = ((moved(h) - moved(-h)).unwrap() / (2.0 * h)).unwrap();
            assert_close(&found, &expected, 1e-5, &format!("{name}, input {moving}"));
        }
    }
}

/// Where both arguments depend on what moves, and where a part of a network does not.
#[test]
fn they_go_through_what_lies_between() {
    let generator = &mut generator("tangents of compositions");
    let (x, direction) = (Var::from_tensor(&random(generator, &[4, 6])).unwrap(), random(generator, &[4, 6]));
    let weight = Var::from_tensor(&random(generator, &[6, 6])).unwrap();
    let found = autograd::training_step(Precision::F32, || {
        let y = ops::linear(&x, &weight, None, Activation::Identity).unwrap();
        let aside = ops::linear(&weight, &weight, None, Activation::Identity).unwrap();
        assert!(autograd::tangent(&aside, &x, &direction).is_err(), "does not depend on x");
        autograd::tangent(&autograd::mul(&y, &x).unwrap(), &x, &direction).unwrap()
    });
    let times = |x: &Tensor| x.matmul(&weight.t().unwrap()).unwrap();
    let expected = ((times(&x) * &direction).unwrap() + (times(&direction) * x.as_tensor()).unwrap()).unwrap();
    assert_close(&found, &expected, 1e-6, "x * Wx");
}

#[test]
fn what_has_none_is_refused() {
    let generator = &mut generator("refused tangents");
    let x = Var::from_tensor(&random(generator, &[4, 6])).unwrap();
    let direction = random(generator, &[4, 6]);
    let refused = |of: &(dyn Fn(&Tensor) -> Tensor + Sync), reason: &str| {
        let found = autograd::training_step(Precision::F32, || autograd::tangent(&of(&x), &x, &direction));
        assert!(found.unwrap_err().to_string().contains(reason), "{reason}");
    };
    refused(&|x| ops::activate(x, Activation::Tanh).unwrap(), "tanh");
    refused(&|x| ops::gelu(x).unwrap(), "without a derivative");
    // A part of the graph that the tape does not see must not be lost.
    refused(&|x| autograd::add(x, &(x * 2.0).unwrap()).unwrap(), "candle's own ops");
    let outside = ops::activate(&x, Activation::Relu).unwrap();
    assert!(autograd::tangent(&outside, &x, &direction).unwrap_err().to_string().contains("training step"));
    let other = direction.narrow(0, 0, 2).unwrap();
    assert!(autograd::tangent(&outside, &x, &other).unwrap_err().to_string().contains("direction"));
}
