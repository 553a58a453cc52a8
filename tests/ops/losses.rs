//! Losses, which end in a scalar: parity, finite differences, threads, NaN, extremes.

use candle_core::{DType, Device, Result, Tensor, Var};
use gan::ops;

use super::{
    Op, assert_finite_differences, assert_parity, assert_same, bits, evaluate, generator, in_dtype, random, values,
};
use crate::device::device;

type NamedLoss = (String, Box<dyn Fn(&[Tensor]) -> Result<Tensor> + Sync>, Vec<Tensor>);

fn labels(count: usize, classes: usize, device: &Device) -> Tensor {
    let labels: Vec<u32> = (0..count).map(|row| (row * 7 % classes) as u32).collect();
    Tensor::new(labels, device).unwrap()
}

fn pair(purpose: &str, dims: &[usize]) -> Vec<Tensor> {
    let mut generator = generator(purpose);
    [(); 2].map(|()| random(&mut generator, dims)).to_vec()
}

/// Every loss at odd sizes, of one row and of several tiles.
fn every_loss() -> Vec<NamedLoss> {
    let mut losses: Vec<NamedLoss> = Vec::new();
    for count in [1, 7, 128, 4099] {
        let scores = vec![(random(&mut generator("scores"), &[count, 1]) * 8.0).unwrap()];
        for target in [0.0, 1.0, 0.9] {
            let bce = move |x: &[Tensor]| ops::bce_with_logits(&x[0], target);
            losses.push((format!("bce of {count} to {target}"), Box::new(bce), scores.clone()));
            let squares = move |x: &[Tensor]| ops::half_mean_square(&x[0], target);
            losses.push((format!("squares of {count} to {target}"), Box::new(squares), scores.clone()));
        }
    }
    for count in [1, 7, 128, 4099] {
        let scores = vec![(random(&mut generator("scores"), &[count, 1]) * 3.0).unwrap()];
        for factor in [-1.0, 1.0] {
            let hinge = move |x: &[Tensor]| ops::hinge(&x[0], factor);
            losses.push((format!("hinge of {count} from {factor}"), Box::new(hinge), scores.clone()));
            let mean = move |x: &[Tensor]| ops::scaled_mean(&x[0], factor);
            losses.push((format!("{factor} times the mean of {count}"), Box::new(mean), scores.clone()));
        }
    }
    for (count, classes) in [(1, 1), (1, 10), (6, 17), (130, 3), (301, 257)] {
        let scores = vec![(random(&mut generator("scores"), &[count, classes]) * 6.0).unwrap()];
        let loss = move |x: &[Tensor]| ops::cross_entropy(&x[0], &labels(count, classes, x[0].device()));
        losses.push((format!("cross_entropy of {count} x {classes}"), Box::new(loss), scores));
    }
    for (count, dim) in [(1, 1), (1, 4), (2, 3), (9, 33), (17, 5), (64, 128), (131, 40)] {
        for temperature in [0.07, 0.5, 30.0] {
            let loss = move |x: &[Tensor]| ops::nt_xent(&x[0], &x[1], temperature);
            let name = format!("nt_xent of {count} x {dim} at {temperature}");
            losses.push((name, Box::new(loss), pair("views", &[count, dim])));
        }
    }
    losses
}

/// The loss, and its gradient in each input.
fn loss_and_gradients(op: Op, inputs: &[Tensor], dtype: DType) -> Vec<Tensor> {
    let vars: Vec<Var> = inputs.iter().map(|x| Var::from_tensor(&in_dtype(x, dtype)).unwrap()).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let loss = op(&tensors).unwrap();
    let gradients = loss.backward().unwrap();
    std::iter::once(loss).chain(vars.iter().map(|var| gradients.get(var).unwrap().clone())).collect()
}

/// Value and gradients of the kernels against those of the twin in f64, each relative to the largest of its kind, or to
/// `floor` where that is less.
fn assert_close_to_twin(op: Op, inputs: &[Tensor], tolerance: f64, floor: f64, what: &str) {
    let [found, expected] = [DType::F32, DType::F64].map(|dtype| loss_and_gradients(op, inputs, dtype));
    for (result, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(found.dims(), expected.dims(), "{what}, result {result}");
        let (found, expected) = (values(found), values(expected));
        let scale = expected.iter().fold(floor, |scale, value| scale.max(value.abs()));
        for (found, expected) in found.iter().zip(&expected) {
            let close = (found - expected).abs() <= tolerance * scale;
            assert!(close, "{what}, result {result}: {found} for {expected} where {scale} is the largest");
        }
    }
}

#[test]
fn losses_agree_with_their_twins() {
    for (name, op, inputs) in every_loss() {
        // At a temperature of 0.07 a rounding error of a cosine is 14 times as large. An embedding of one dimension has
        // two directions, and no gradient.
        assert_close_to_twin(&*op, &inputs, 2e-6, 1e-3, &name);
        assert_parity(&*op, &inputs, &name);
    }
}

#[test]
fn gradients_of_losses_agree_with_finite_differences() {
    for (name, op, inputs) in every_loss() {
        assert_finite_differences(&*op, &inputs, &name);
    }
}

#[test]
fn losses_do_not_depend_on_threads_or_strides_or_on_what_else_is_tracked() {
    for (name, op, inputs) in every_loss() {
        let on = |threads: usize, inputs: &[Tensor]| -> Vec<_> {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| evaluate(&*op, inputs, DType::F32)).iter().map(bits).collect()
        };
        let (results, expected) = (evaluate(&*op, &inputs, DType::F32), on(1, &inputs));
        for threads in [2, 3, 5] {
            assert!(on(threads, &inputs) == expected, "{name} with {threads} threads");
        }
        for tracked in 0..inputs.len() {
            // Turned in memory, and not at the start of it.
            let mut mixed: Vec<Tensor> = inputs
                .iter()
                .map(|x| Tensor::cat(&[x, x], 0).unwrap().t().unwrap().contiguous().unwrap().t().unwrap())
                .map(|x| x.narrow(0, x.dim(0).unwrap() / 2, x.dim(0).unwrap() / 2).unwrap())
                .collect();
            let var = Var::from_tensor(&inputs[tracked]).unwrap();
            mixed[tracked] = var.as_tensor().clone();
            let loss = op(&mixed).unwrap();
            assert_same(&loss, &results[0], &name);
            let gradients = loss.sin().unwrap().backward().unwrap();
            assert_same(gradients.get(&var).unwrap(), &results[tracked + 1], &name);
            assert_eq!(mixed.iter().filter(|x| gradients.get(x).is_some()).count(), 1, "{name}");
        }
    }
}

#[test]
fn a_loss_and_its_gradient_show_nan_and_infinity() {
    for (name, op, inputs) in every_loss() {
        for (side, bad) in (0..inputs.len()).flat_map(|side| [(side, f32::NAN), (side, f32::NEG_INFINITY)]) {
            // A class that is impossible is none; neither is a discriminator that is right beyond doubt.
            if bad.is_infinite() && !name.starts_with("nt_xent") {
                continue;
            }
            let mut spoilt = inputs.clone();
            let mut x = inputs[side].flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let place = x.len() / 2;
            x[place] = bad;
            spoilt[side] = Tensor::from_vec(x, inputs[side].dims(), &device()).unwrap();
            let found = evaluate(&*op, &spoilt, DType::F32);
            assert!(values(&found[0])[0].is_nan(), "{name} with {bad}");
            assert!(values(&found[side + 1])[place].is_nan(), "{name} with {bad}");
        }
    }
    let scores = Tensor::new(&[1f32, f32::INFINITY], &device()).unwrap();
    assert_eq!(values(&ops::half_mean_square(&scores, 1.0).unwrap()), [f64::INFINITY]);
}

#[test]
fn scores_of_any_size_give_the_twins_losses() {
    let sizes = [0.0, 1e-30, 1e-3, 1.0, 16.0, 17.5, 87.0, 89.0, 103.0, 1e4, 1e18, 1e30];
    for size in sizes.into_iter().flat_map(|size: f32| [size, -size]) {
        let scores = [Tensor::new(&[[size, 1.0, -2.0], [1.0, size, size], [-size, size, 0.0]], &device()).unwrap()];
        for target in [0.0, 1.0] {
            let bce: Op = &|x| ops::bce_with_logits(&x[0], target);
            assert_close_to_twin(bce, &scores, 1e-6, 1e-3, &format!("bce of {size} to {target}"));
            if size.abs() < 1e19 {
                let squares: Op = &|x| ops::half_mean_square(&x[0], target);
                assert_close_to_twin(squares, &scores, 1e-6, 1e-3, &format!("squares of {size} to {target}"));
            }
        }
        for class in 0..3u32 {
            let labels = Tensor::new(&[class, 0, 2], &device()).unwrap();
            let loss: Op = &|x| ops::cross_entropy(&x[0], &labels.to_device(x[0].device())?);
            assert_close_to_twin(loss, &scores, 1e-6, 1e-3, &format!("cross_entropy of {size}"));
        }
    }
}

#[test]
fn nt_xent_is_finite_at_any_temperature_and_length_and_blind_to_the_length() {
    let views = pair("lengths", &[6, 20]);
    let loss = |views: &[Tensor], temperature| values(&ops::nt_xent(&views[0], &views[1], temperature).unwrap())[0];
    for length in [1e-37, 1e-15, 1e-9, 1.0, 1e15, 1e30, 1e37, 0.0] {
        let scaled: Vec<Tensor> = views.iter().map(|x| (x * length).unwrap()).collect();
        for temperature in [5e-324, 1e-308, 1e-45, 1e-40, 1e-38, 1e-30, 1e-6, 0.01, 1.0, 1e6, 1e40, 1e308] {
            let results = evaluate(&|x| ops::nt_xent(&x[0], &x[1], temperature), &scaled, DType::F32);
            for (index, result) in results.iter().enumerate() {
                let finite = values(result).iter().all(|value| value.is_finite());
                assert!(finite, "result {index} at length {length} and temperature {temperature}: {result}");
            }
            if length > 1e-10 {
                let (found, expected) = (loss(&scaled, temperature), loss(&views, temperature));
                let allowed = 1e-6 * (expected + 1.0 / temperature);
                assert!((found - expected).abs() <= allowed, "{length}, {temperature}: {found} for {expected}");
            }
        }
    }
}

/// Where each pair has found itself, 1 - P is tiny: it must not be lost in the rounding of P.
#[test]
fn nt_xent_has_a_gradient_where_the_pairs_are_nearly_decided() {
    let axes: Vec<f32> = (0..64).map(|place| if place % 9 == 0 { 1.0 } else { 0.001 * place as f32 }).collect();
    let left = Tensor::from_vec(axes, (8, 8), &device()).unwrap();
    let right = (&left + &(random(&mut generator("nearly"), &[8, 8]) * 0.05).unwrap()).unwrap();
    let op: Op = &|x| ops::nt_xent(&x[0], &x[1], 0.05);
    let views = [left, right];
    let gradient = values(&loss_and_gradients(op, &views, DType::F64)[1]);
    assert!(gradient.iter().all(|g| g.abs() < 1e-6), "the pairs are not decided: {gradient:?}");
    assert_close_to_twin(op, &views, 1e-4, 0.0, "decided pairs");
}

#[test]
fn losses_of_what_cannot_be_meant_are_errors() {
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &device()).unwrap();
    let mut errors = vec![
        ops::nt_xent(&zeros(&[4, 3]), &zeros(&[2, 3]), 0.5),
        ops::nt_xent(&zeros(&[4, 3]), &zeros(&[4, 2]), 0.5),
        ops::nt_xent(&zeros(&[0, 3]), &zeros(&[0, 3]), 0.5),
        ops::nt_xent(&zeros(&[4, 0]), &zeros(&[4, 0]), 0.5),
        ops::nt_xent(&zeros(&[12]), &zeros(&[12]), 0.5),
        ops::cross_entropy(&zeros(&[4, 3]), &labels(3, 3, &device())),
        ops::cross_entropy(&zeros(&[0, 3]), &labels(0, 3, &device())),
        ops::cross_entropy(&zeros(&[4, 0]), &labels(4, 1, &device())),
        ops::cross_entropy(&zeros(&[12]), &labels(12, 1, &device())),
    ];
    if device().is_cpu() {
        // On an accelerator the host would have to wait for the labels: there the loss is NaN.
        errors.push(ops::cross_entropy(&zeros(&[5, 3]), &labels(5, 4, &device())));
    }
    for (index, error) in errors.into_iter().enumerate() {
        let message = error.err().unwrap_or_else(|| panic!("case {index} is no error")).to_string();
        assert!(message.contains('['), "case {index}: {message}");
    }
    let x = zeros(&[4, 3]);
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(ops::nt_xent(&x, &x, temperature).unwrap_err().to_string().contains("temperature"));
    }
    assert!(ops::nt_xent(&x, &in_dtype(&x, DType::F64), 0.5).is_err());
    assert!(ops::cross_entropy(&x, &zeros(&[4])).is_err(), "labels are integers");
}
