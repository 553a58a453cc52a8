//! What carries gradients between ops: the gradients are candle's to the bit, and what an op does not keep to shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor, Var};
use gan::autograd::{
    Precision, Saved, Taped, apply_op1, backward, in_precision, inference, precision, reshape, training_step,
};
use gan::ops::{self, Activation};
use gan::rng::Stream;

/// Outputs of so many values are computed again where that is cheap.
const LARGE: usize = 1 << 21;

fn random(name: &str, dims: &[usize]) -> Var {
    let mut generator = Stream::new(5, name).at(0);
    let values: Vec<f32> = (0..dims.iter().product()).map(|_| generator.symmetric()).collect();
    Var::from_vec(values, dims, &Device::Cpu).unwrap()
}

/// Residual blocks of one weight, with an op of candle's in the middle, and a branch without effect.
fn loss(x: &Tensor, [weight, scale, bias]: [&Var; 3]) -> Tensor {
    let conv = |x: &Tensor| ops::conv2d(x, weight, None, 1, 1, Activation::Relu).unwrap();
    let y = conv(x);
    let normal = ops::batch_norm_train(&conv(&y), scale, bias, 1e-5, Activation::Identity).unwrap().output;
    let y = ops::add_relu(&normal, &(y * 0.5).unwrap()).unwrap();
    let _unused = conv(&y);
    let y = ops::add_relu(&conv(&y), &y).unwrap(); // so y has two gradients
    let rows = reshape(&ops::channels_first(&y).unwrap(), (4, 16 * 8 * 8)).unwrap();
    ops::activate(&rows, Activation::Tanh).unwrap().sqr().unwrap().mean_all().unwrap()
}

#[test]
fn a_training_step_has_candles_gradients_to_the_bit() {
    let variables = [random("weight", &[16, 16, 3, 3]), random("scale", &[16]), random("bias", &[16])];
    let [weight, scale, bias] = &variables;
    let x = random("x", &[4, 8, 8, 16]);
    for x in [x.as_tensor().clone(), x.as_detached_tensor()] {
        let values = |gradients: &GradStore, variable: &Tensor| {
            gradients.get(variable).map(|gradient| gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        };
        let plain = loss(&x, [weight, scale, bias]).backward().unwrap();
        let taped = training_step(Precision::F32, || backward(&loss(&x, [weight, scale, bias])).unwrap());
        for variable in variables.iter().map(Var::as_tensor).chain([&x]) {
            assert_eq!(values(&taped, variable), values(&plain, variable));
        }
        assert!(values(&taped, weight).is_some_and(|gradient| gradient.iter().any(|value| *value != 0.0)));
    }
}

#[test]
fn a_large_output_that_is_computed_again_gives_the_same_gradients() {
    let variables = [random("weight", &[8, 8, 3, 3]), random("scale", &[8]), random("bias", &[8])];
    let [weight, scale, bias] = variables.each_ref().map(Var::as_tensor);
    let x = random("x", &[4, 256, 256, 8]);
    assert_eq!(x.elem_count(), LARGE);
    // y is computed again for two readers, and one of them, a norm of y, is itself computed again.
    let loss = |x: &Tensor| {
        let norm = |x: &Tensor| ops::batch_norm_train(x, scale, bias, 1e-5, Activation::Relu).unwrap().output;
        let y = norm(x);
        let conv = |x: &Tensor| ops::conv2d(x, weight, None, 1, 1, Activation::Identity).unwrap();
        (conv(&y).sqr().unwrap() * conv(&norm(&y))).unwrap().mean_all().unwrap()
    };
    let values = |gradients: &GradStore| {
        let of = |tensor: &Tensor| gradients.get(tensor).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        [&x.as_tensor(), &weight, &scale, &bias].map(|variable| of(variable))
    };
    let plain = loss(&x).backward().unwrap();
    let taped = training_step(Precision::F32, || {
        let loss = loss(&x);
        backward(&loss).unwrap()
    });
    assert!(values(&taped) == values(&plain));
}

/// x², whose backward pass reads x and its output, whatever it says of that.
struct Square(Saved);

impl Taped for Square {
    fn saved(&self) -> Saved {
        self.0
    }
}

impl CustomOp1 for Square {
    fn name(&self) -> &'static str {
        "square"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        squares(x, layout)
    }

    /// 2x, once as x + x and once as 2 x² / x.
    fn bwd(&self, x: &Tensor, output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some((gradient * ((x + (output / x)?)?))?))
    }
}

fn squares(x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
    let squares = x.as_slice::<f32>()?.iter().map(|x| x * x).collect();
    Ok((CpuStorage::F32(squares), layout.shape().clone()))
}

/// x² that is cheap, and counts its forward passes.
struct Counted(Arc<AtomicUsize>);

impl Taped for Counted {
    fn saved(&self) -> Saved {
        Saved::Arguments
    }

    fn is_cheap(&self) -> bool {
        true
    }
}

impl CustomOp1 for Counted {
    fn name(&self) -> &'static str {
        "counted"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.0.fetch_add(1, Ordering::Relaxed);
        squares(x, layout)
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some((gradient * (x + x)?)?))
    }
}

/// Large outputs are computed once more for each op that reads them, small ones are kept.
#[test]
fn a_cheap_op_is_computed_again_where_its_output_is_large() {
    for (elements, expected) in [(LARGE, 2), (LARGE - 1, 1)] {
        let x = random("x", &[elements]);
        let count = Arc::new(AtomicUsize::new(0));
        let gradients = training_step(Precision::F32, || {
            let squares = apply_op1(&x, Counted(count.clone())).unwrap();
            backward(&ops::half_mean_square(&squares, 0.5).unwrap()).unwrap()
        });
        assert_eq!(count.load(Ordering::Relaxed), expected, "{elements}");
        let gradient = gradients.get(&x).unwrap().to_vec1::<f32>().unwrap();
        for (found, x) in gradient.iter().zip(x.to_vec1::<f32>().unwrap()) {
            let expected = (x * x - 0.5) * 2.0 * x;
            assert!((found * elements as f32 - expected).abs() < 1e-4, "{found} at {x}");
        }
    }
}

#[test]
fn an_op_that_reads_what_it_has_not_saved_has_no_gradient() {
    let x = random("x", &[3, 5]);
    let gradient = |saved: Saved| -> Vec<f32> {
        let gradients = training_step(Precision::F32, || {
            let y = ops::activate(&x, Activation::Tanh).unwrap(); // on the tape, so that it need not be kept
            backward(&apply_op1(&y, Square(saved)).unwrap()).unwrap()
        });
        gradients.get(&x).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    };
    let honest = gradient(Saved::ArgumentsAndOutput);
    let x = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (found, x) in honest.iter().zip(x) {
        let y = x.tanh();
        assert!((found - 2.0 * y * (1.0 - y * y)).abs() < 1e-5, "{found} at {x}");
    }
    for lie in [Saved::Nothing, Saved::Arguments, Saved::Output] {
        assert!(gradient(lie).iter().all(|value| value.is_nan()), "{lie:?}");
    }
}

#[test]
fn a_part_of_a_step_may_have_another_precision() {
    let found = training_step(Precision::Bf16, || (in_precision(Precision::F32, precision), precision()));
    assert_eq!(found, (Precision::F32, Precision::Bf16));
}

#[test]
fn a_precision_is_that_of_the_step_and_ends_with_it() {
    assert_eq!(precision(), Precision::F32);
    let within = training_step(Precision::Bf16, || {
        let nested = training_step(Precision::Tf32, || (precision(), inference(precision)));
        (precision(), inference(precision), nested)
    });
    assert_eq!(within, (Precision::Bf16, Precision::Bf16, (Precision::Tf32, Precision::Tf32)));
    assert_eq!((precision(), inference(precision)), (Precision::F32, Precision::F32));
    let fails = || training_step(Precision::Bf16, || panic!("as a step may"));
    assert!(std::panic::catch_unwind(fails).is_err());
    assert_eq!(training_step(Precision::F32, precision), Precision::F32);
}

#[test]
fn a_graph_of_a_step_does_not_outlive_it_unnoticed() {
    let variables = [random("weight", &[16, 16, 3, 3]), random("scale", &[16]), random("bias", &[16])];
    let [weight, scale, bias] = &variables;
    let left = training_step(Precision::F32, || loss(&random("x", &[4, 8, 8, 16]), [weight, scale, bias]));
    assert!(left.backward().unwrap_err().to_string().contains("training step"));
}
