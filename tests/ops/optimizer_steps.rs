//! Adam, SGD, LARS and averages: what changes variables in place.

use candle_core::{DType, Device, Tensor, TensorId, Var};
use gan::autograd::{self, Precision, Update, Updates};
use gan::ops::{self, Activation, AdamStep, AdamUpdate, SgdRule, SgdStep};

use super::{assert_close, assert_same, generator, in_dtype, place_of, random, values};
use crate::device::device;

const STEP: AdamStep =
    AdamStep { lr: 1e-2, beta1: 0.5, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, decoupled: false, step: 0 };

/// Parameter, first and second moment after ten steps with random gradients.
pub fn adam_trajectory(len: usize, (weight_decay, decoupled): (f64, bool), dtype: DType) -> [Tensor; 3] {
    let mut generator = generator("adam");
    let var = |tensor: Tensor| Var::from_tensor(&in_dtype(&tensor, dtype)).unwrap();
    let parameter = var(random(&mut generator, &[len]));
    let [first, second] = [(); 2].map(|()| var(Tensor::zeros(len, DType::F32, &device()).unwrap()));
    for step in 1..=10 {
        let gradient = in_dtype(&random(&mut generator, &[len]), dtype);
        let step = AdamStep { weight_decay, decoupled, step, ..STEP };
        ops::adam_step(&parameter, &gradient, &first, &second, &step).unwrap();
    }
    [parameter, first, second].map(|var| var.as_detached_tensor())
}

/// Ten steps against a loop over the lines of `torch.optim.Adam`'s and `AdamW`'s definitions in f64.
#[test]
fn adam_agrees_with_the_equations_of_pytorch() {
    for (weight_decay, decoupled) in [(0.0, false), (0.1, false), (0.1, true)] {
        let (added, shrunk) = if decoupled { (0.0, weight_decay) } else { (weight_decay, 0.0) };
        let len = 10_007;
        let mut generator = generator("adam");
        let mut parameter = values(&random(&mut generator, &[len]));
        let (mut first, mut second) = (vec![0.0; len], vec![0.0; len]);
        for step in 1..=10 {
            for (index, gradient) in values(&random(&mut generator, &[len])).into_iter().enumerate() {
                let gradient = gradient + added * parameter[index];
                first[index] = STEP.beta1 * first[index] + (1.0 - STEP.beta1) * gradient;
                second[index] = STEP.beta2 * second[index] + (1.0 - STEP.beta2) * gradient * gradient;
                let step_size = STEP.lr / (1.0 - STEP.beta1.powi(step));
                let denominator = second[index].sqrt() / (1.0 - STEP.beta2.powi(step)).sqrt() + STEP.eps;
                parameter[index] = parameter[index] * (1.0 - STEP.lr * shrunk) - step_size * first[index] / denominator;
            }
        }
        for dtype in [DType::F32, DType::F64] {
            let found = adam_trajectory(len, (weight_decay, decoupled), dtype);
            for (found, expected) in found.iter().zip([&parameter, &first, &second]) {
                let expected = Tensor::new(&expected[..], &Device::Cpu).unwrap();
                assert_close(found, &expected, 1e-6, &format!("{dtype:?}, weight decay {weight_decay}, {decoupled}"));
            }
        }
    }
}

#[test]
fn adam_refuses_what_it_cannot_update() {
    let var = |len: usize| Var::zeros(len, DType::F32, &device()).unwrap();
    let step = AdamStep { step: 1, ..STEP };
    let gradient = Tensor::ones(3, DType::F32, &device()).unwrap();
    let [parameter, first, second] = [var(3), var(3), var(3)];
    assert!(ops::adam_step(&parameter, &gradient, &first, &second, &STEP).is_err(), "step 0");
    assert!(ops::adam_step(&var(4), &gradient, &first, &second, &step).is_err(), "shapes");
    if device().is_cpu() {
        assert!(ops::adam_step(&parameter, &gradient, &first, &first, &step).is_err(), "one moment twice");
        let itself = parameter.as_detached_tensor();
        assert!(ops::adam_step(&parameter, &itself, &first, &second, &step).is_err(), "itself");
    }
    assert_eq!(values(&parameter), [0.0; 3]);
    ops::adam_step(&parameter, &gradient, &first, &second, &step).unwrap();
    assert!(values(&parameter).iter().all(|value| (value + 0.01).abs() < 1e-7));
    let nan = Tensor::new(&[1f32, f32::NAN, 1.0], &device()).unwrap();
    ops::adam_step(&parameter, &nan, &first, &second, &AdamStep { step: 2, ..STEP }).unwrap();
    assert!(values(&parameter)[1].is_nan());
}

#[test]
fn lerp_moves_the_average_towards_the_value() {
    let generator = &mut generator("lerp");
    let (start, value) = (random(generator, &[300, 130]), random(generator, &[300, 130]));
    for dtype in [DType::F32, DType::F64] {
        let average = Var::from_tensor(&in_dtype(&start, dtype)).unwrap();
        ops::lerp_in_place(&average, &in_dtype(&value, dtype), 0.25).unwrap();
        let expected = ((&start * 0.75).unwrap() + (&value * 0.25).unwrap()).unwrap();
        assert_close(&average, &expected, 1e-6, "lerp");
        let before = values(&average);
        ops::lerp_in_place(&average, &average.as_detached_tensor(), 0.25).unwrap();
        assert_eq!(values(&average), before);
        assert!(ops::lerp_in_place(&average, &in_dtype(&value.t().unwrap(), dtype), 0.5).is_err());
    }
}

/// SGD, and LARS of what it adapts and of what it does not.
pub const RULES: [SgdRule; 3] = [SgdRule::Sgd, SgdRule::Lars { trust: Some(0.02) }, SgdRule::Lars { trust: None }];

/// Step `step` (from 0) at its own learning rate, as a schedule has it.
fn sgd(step: usize, rule: SgdRule) -> SgdStep {
    SgdStep { lr: 0.1 / (1.0 + step as f64), momentum: 0.9, weight_decay: 0.05, rule }
}

/// Parameter and velocity after ten steps with random gradients.
pub fn sgd_trajectory(len: usize, rule: SgdRule, dtype: DType) -> [Tensor; 2] {
    let mut generator = generator("sgd");
    let parameter = Var::from_tensor(&in_dtype(&random(&mut generator, &[len]), dtype)).unwrap();
    let velocity = Var::zeros(len, dtype, &place_of(dtype)).unwrap();
    for step in 0..10 {
        let gradient = in_dtype(&random(&mut generator, &[len]), dtype);
        ops::sgd_step(&parameter, &gradient, &velocity, &sgd(step, rule)).unwrap();
    }
    [parameter, velocity].map(|var| var.as_detached_tensor())
}

/// Ten steps, in the kernels and in the twins, against a loop over the definitions in f64.
#[test]
fn sgd_and_lars_agree_with_their_equations() {
    let len = 70_007; // three tiles
    for rule in RULES {
        let mut generator = generator("sgd");
        let mut parameter = values(&random(&mut generator, &[len]));
        let mut velocity = vec![0.0; len];
        for step in 0..10 {
            let SgdStep { lr, momentum, weight_decay, .. } = sgd(step, rule);
            let gradient = values(&random(&mut generator, &[len]));
            let direction: Vec<f64> = gradient.iter().zip(&parameter).map(|(g, p)| g + weight_decay * p).collect();
            let norm = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
            let (entering, leaving) = match rule {
                SgdRule::Sgd => (1.0, lr),
                SgdRule::Lars { trust: None } => (lr, 1.0),
                SgdRule::Lars { trust: Some(trust) } => (lr * trust * norm(&parameter) / norm(&direction), 1.0),
            };
            for index in 0..len {
                velocity[index] = momentum * velocity[index] + entering * direction[index];
                parameter[index] -= leaving * velocity[index];
            }
        }
        for dtype in [DType::F32, DType::F64] {
            for (found, expected) in sgd_trajectory(len, rule, dtype).iter().zip([&parameter, &velocity]) {
                let expected = Tensor::new(&expected[..], &Device::Cpu).unwrap();
                assert_close(found, &expected, 1e-6, &format!("{rule:?} {dtype:?}"));
            }
        }
    }
}

#[test]
fn a_trust_ratio_without_a_norm_is_1() {
    let zeros = || Var::zeros(3, DType::F32, &device()).unwrap();
    let ones = Tensor::ones(3, DType::F32, &device()).unwrap();
    let step = SgdStep { weight_decay: 0.0, ..sgd(0, SgdRule::Lars { trust: Some(0.5) }) };
    for sgd_step in [ops::sgd_step, ops::naive::sgd_step] {
        let parameter = zeros(); // of no length: it could never leave 0
        sgd_step(&parameter, &ones, &zeros(), &step).unwrap();
        assert!(values(&parameter).iter().all(|value| (value + 0.1).abs() < 1e-7));
        let (parameter, velocity) = (Var::from_tensor(&ones).unwrap(), zeros());
        sgd_step(&parameter, &ones.zeros_like().unwrap(), &velocity, &step).unwrap();
        assert_eq!((values(&parameter), values(&velocity)), (vec![1.0; 3], vec![0.0; 3]));
    }
}

#[test]
fn sgd_refuses_what_it_cannot_update_and_nan_shows() {
    let generator = &mut generator("sgd");
    let var = |dims: &[usize]| Var::zeros(dims, DType::F32, &device()).unwrap();
    let gradient = random(generator, &[4, 3]);
    for rule in RULES {
        let step = sgd(0, rule);
        let (parameter, velocity) = (var(&[4, 3]), var(&[4, 3]));
        for (wrong, found) in [
            ("another shape", ops::sgd_step(&var(&[3, 4]), &gradient, &velocity, &step)),
            ("its velocity", ops::sgd_step(&parameter, &gradient, &var(&[12]), &step)),
        ] {
            let message = found.unwrap_err().to_string();
            assert!(message.contains("[4, 3]"), "{wrong}: {message}");
        }
        if device().is_cpu() {
            assert!(ops::sgd_step(&parameter, &gradient, &parameter, &step).is_err(), "its own velocity");
            let itself = parameter.as_detached_tensor();
            assert!(ops::sgd_step(&parameter, &itself, &velocity, &step).is_err(), "its own gradient");
        }
        assert_eq!(values(&parameter), [0.0; 12]);

        // A gradient need not be contiguous.
        let turned = gradient.t().unwrap().contiguous().unwrap().t().unwrap();
        assert!(!turned.is_contiguous());
        let [straight, strided] = [&gradient, &turned].map(|gradient| {
            let (parameter, velocity) = (Var::from_tensor(&gradient.abs().unwrap()).unwrap(), var(&[4, 3]));
            ops::sgd_step(&parameter, gradient, &velocity, &step).unwrap();
            parameter
        });
        assert_same(&strided, &straight, &format!("{rule:?}"));

        let mut one = vec![1f32; 12];
        one[5] = f32::NAN;
        ops::sgd_step(&parameter, &Tensor::from_vec(one, (4, 3), &device()).unwrap(), &velocity, &step).unwrap();
        assert!(values(&parameter)[5].is_nan(), "{rule:?}");
        ops::sgd_step(&var(&[0]), &var(&[0]).as_detached_tensor(), &var(&[0]), &step).unwrap();
    }
}

/// What decays towards zero ends there: a subnormal number that stays would slow every step to come.
#[test]
fn moments_of_what_no_gradient_reaches_end_at_zero() {
    // On the CPU: other devices compute with subnormal numbers as fast as with any.
    let var = |value: f32| Var::from_tensor(&Tensor::full(value, 100, &Device::Cpu).unwrap()).unwrap();
    let (parameter, first, second, velocity) = (var(1.0), var(1e-37), var(1e-37), var(1e-37));
    let gradient = Tensor::zeros(100, DType::F32, &Device::Cpu).unwrap();
    for step in 1..=10 {
        let adam = AdamStep { beta2: 0.5, step, ..STEP };
        ops::adam_step(&parameter, &gradient, &first, &second, &adam).unwrap();
        let sgd = SgdStep { lr: 1e-2, momentum: 0.5, weight_decay: 0.0, rule: SgdRule::Sgd };
        ops::sgd_step(&parameter, &gradient, &velocity, &sgd).unwrap();
    }
    for kept in [first, second, velocity] {
        assert!(values(&kept).iter().all(|value| *value == 0.0));
    }
}

/// Adam of one variable, within a backward pass.
struct OfOne<'a>(AdamUpdate<'a>);

impl Updates for OfOne<'_> {
    fn update_of(&self, variable: TensorId) -> Option<Box<dyn Update + '_>> {
        let AdamUpdate { parameter, first_moment, second_moment, step, average } = self.0;
        let update = AdamUpdate { parameter, first_moment, second_moment, step, average };
        (parameter.id() == variable).then(|| Box::new(update) as Box<dyn Update>)
    }
}

/// Two tensors with one memory would wait for themselves, and one that is shorter would be written past its end.
#[test]
fn an_update_of_tensors_that_do_not_fit_is_refused_and_changes_nothing() {
    let var = |dims: &[usize], dtype| Var::ones(dims, dtype, &Device::Cpu).unwrap();
    let of = |dims: &[usize]| var(dims, DType::F32);
    let step = AdamStep { step: 1, ..STEP };
    let (parameter, first, second) = (of(&[4, 3]), of(&[4, 3]), of(&[4, 3]));
    let refused = |first_moment: &Var, second_moment: &Var, average: Option<&Var>, part: &str| {
        let average = average.map(|average| (average, 0.5));
        let update = || AdamUpdate { parameter: &parameter, first_moment, second_moment, step, average };
        let outcomes = [
            update().whole(&[1.0; 12]),
            update().in_pieces(4, &|_, piece| piece.fill(1.0)),
            autograd::training_step(Precision::F32, || {
                let x = Tensor::ones((2, 3), DType::F32, &Device::Cpu)?;
                let loss = ops::linear(&x, &parameter, None, Activation::Identity)?.sum_all()?;
                autograd::update(&loss, &OfOne(update())).map(drop)
            }),
        ];
        for outcome in outcomes {
            let text = outcome.unwrap_err().to_string();
            assert!(text.contains(part), "{text}");
        }
        for tensor in [&parameter, &first, &second] {
            assert!(values(tensor).iter().all(|value| *value == 1.0), "{part}");
        }
    };
    refused(&parameter, &second, None, "share");
    refused(&first, &first, None, "share");
    refused(&first, &second, Some(&parameter), "share");
    refused(&first, &of(&[3, 4]), None, "[3, 4]");
    refused(&first, &of(&[11]), None, "[11]");
    refused(&first, &second, Some(&of(&[2])), "[2]");
    refused(&first, &var(&[4, 3], DType::F64), None, "F64");
    let update =
        AdamUpdate { parameter: &parameter, first_moment: &first, second_moment: &second, step, average: None };
    assert!(update.whole(&[1.0; 11]).unwrap_err().to_string().contains("11 values"));
    update.whole(&[1.0; 12]).unwrap();
    assert!(values(&parameter).iter().all(|value| *value < 1.0));
}

/// An update would come before another layer's backward pass has read the same weight.
#[test]
fn an_update_of_a_weight_that_is_read_detached_too_is_refused() {
    let [parameter, first, second] = [(); 3].map(|()| Var::ones((3, 3), DType::F32, &Device::Cpu).unwrap());
    let step = AdamStep { step: 1, ..STEP };
    let update = |weights: [&Tensor; 2]| {
        autograd::training_step(Precision::F32, || {
            let x = Var::ones((2, 3), DType::F32, &Device::Cpu)?;
            let hidden = ops::linear(&x, weights[0], None, Activation::Tanh)?;
            let loss = ops::linear(&hidden, weights[1], None, Activation::Identity)?.sum_all()?;
            let update =
                AdamUpdate { parameter: &parameter, first_moment: &first, second_moment: &second, step, average: None };
            autograd::update(&loss, &OfOne(update)).map(|updated| updated.len())
        })
    };
    let detached = parameter.as_detached_tensor();
    for weights in [[parameter.as_tensor(), &detached], [&detached, parameter.as_tensor()]] {
        let text = update(weights).unwrap_err().to_string();
        assert!(text.contains("detached") && text.contains("[3, 3]"), "{text}");
        assert!(values(&parameter).iter().all(|value| *value == 1.0));
    }
    assert_eq!(update([&parameter, &parameter]).unwrap(), 1);
    // What has only the same values is another tensor.
    assert_eq!(update([&parameter, &detached.copy().unwrap()]).unwrap(), 1);
}
