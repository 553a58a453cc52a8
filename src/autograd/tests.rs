use super::saved::{self, Saved};
use super::tape::{LARGE, TAPE};
use super::taped::Taped;
use super::*;
use crate::ops;
use crate::ops::Activation;
use crate::rng::Stream;
use candle_core::backprop::GradStore;
use candle_core::{CustomOp1, DType, Device, Result, Shape, Tensor, Var};

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
        assert_eq!(TAPE.with_borrow(|tape| tape.as_ref().map(|tape| tape.recomputes.len())), Some(2));
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

    fn cpu_fwd(&self, x: &candle_core::CpuStorage, layout: &candle_core::Layout) -> Computed {
        let squares = crate::kernels::storage::values(x, layout)?.iter().map(|x| x * x).collect();
        Ok((candle_core::CpuStorage::F32(squares), layout.shape().clone()))
    }

    /// 2x, once as x + x and once as 2 x² / x.
    fn bwd(&self, x: &Tensor, output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some((gradient * ((x + (output / x)?)?))?))
    }
}

type Computed = Result<(candle_core::CpuStorage, Shape)>;

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
fn what_has_no_values_has_none_of_any_type() {
    for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
        for tensor in [
            Tensor::zeros((2, 3), dtype, &Device::Cpu).unwrap(),
            Var::zeros((2, 3), dtype, &Device::Cpu).unwrap().into_inner(),
        ] {
            let shape_only = saved::shape_only(&tensor).unwrap();
            assert_eq!(
                (shape_only.dims(), shape_only.dtype(), shape_only.track_op()),
                (tensor.dims(), dtype, tensor.track_op())
            );
            let values = shape_only.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert!(values.iter().all(|value| value.is_nan()), "{dtype:?}");
        }
    }
    let labels = saved::shape_only(&Tensor::zeros(2, DType::U32, &Device::Cpu).unwrap()).unwrap();
    assert_eq!(labels.to_vec1::<u32>().unwrap(), [u32::MAX; 2]);
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
