//! One step of training of every network: its losses, the gradient of every parameter, every statistic.

use candle_core::{Device, Tensor};
use gan::autograd::Precision;
use gan::checkpoint::state::Tensors;
use gan::models::Architecture;
use gan::train::adversaries::StepInputs;
use gan::train::distortions::Distortions;

use super::{adversaries, adversaries_with, assert_near, contrastive, random, values};
use crate::device::accelerator;
use crate::support::bytes_of;

/// Of the L2 norm of a tensor. Two orders of summation in f32 differ by some 1e-6 of it; what lies between is the input
/// of a ReLU that one rounding has on the one side of 0 and the other on the other, which in networks of this depth
/// happens to a few inputs of a million and changes the gradients of all before it. Wrong gradients are wrong by more:
/// candle's own of a pooling by 0.75, of a padding that was forgotten by some 0.1.
const SHALLOW: f64 = 1e-4;
const DEEP: f64 = 1e-2;

/// Of a loss, relative.
const LOSS: f64 = 1e-5;

/// The same for products whose factors are rounded to 10 bits behind the point (TF32) and to 7 (bf16): 2^-11 and 2^-8 each,
/// at random, which the layers' signs and ReLUs turn into some twenty times as much of a gradient.
const ROUNDED: [(Precision, f64, f64); 2] = [(Precision::Tf32, 3e-3, 0.05), (Precision::Bf16, 2e-2, 0.4)];

/// Losses and state after one step.
type Outcome = (Vec<Tensor>, Tensors);

fn one_step_of_a_gan(model: Architecture, precision: Precision, device: &Device) -> Outcome {
    let mut adversaries = adversaries(model, precision, device);
    let latents = |of| random(of, &[33, 96], device);
    let real = random("real", &[33, 28, 28, 1], device);
    let outcome = adversaries.step(&real, &latents("discriminator"), &latents("generator")).unwrap();
    (vec![outcome.d_loss, outcome.g_loss], adversaries.state())
}

fn one_step_of_simclr(encoder: &str, side: usize, precision: Precision, device: &Device) -> Outcome {
    let mut contrastive = contrastive(encoder, precision, device);
    let outcome = contrastive.step(&random("views", &[14, side, side, 3], device), 0.0).unwrap();
    (vec![outcome.loss], contrastive.state())
}

fn assert_same_step(what: &str, found: Outcome, expected: Outcome, of_loss: f64, of_tensors: f64) {
    for (found, expected) in found.0.iter().zip(&expected.0) {
        let (found, expected) = (values(found)[0], values(expected)[0]);
        assert!((found - expected).abs() <= of_loss * expected.abs(), "{what}: a loss of {found} for {expected}");
    }
    assert_near(what, &found.1, &expected.1, of_tensors);
}

#[test]
#[ignore = "needs an accelerator: tests/gpu.sh"]
fn one_step_of_each_gan_is_the_cpus() {
    let device = accelerator();
    for model in Architecture::ALL {
        let step = |device: &Device| one_step_of_a_gan(model, Precision::F32, device);
        assert_same_step(model.name(), step(&device), step(&Device::Cpu), LOSS, SHALLOW);
    }
}

/// What the flags against a discriminator that is too good add to a step.
const FLAGS: [&str; 8] =
    ["--label-smoothing", "0.1", "--r1", "1", "--r1-every", "2", "--diffaugment", "translation,cutout"];

fn inputs(step: usize, count: usize, device: &Device) -> StepInputs {
    let latents = |of| random(&format!("{of}.{step}"), &[count, 96], device);
    let moves = (0..12 * count as i64).map(|place| (place * 7 + step as i64) % 9 - 4).collect();
    let uniform = |of: &str, dims: &[usize]| Some(random(&format!("{of}.{step}"), dims, device));
    StepInputs {
        real: random(&format!("real.{step}"), &[count, 28, 28, 1], device),
        latents: ["discriminator", "generator"].map(latents),
        distortions: Some(Distortions {
            transforms: uniform("transforms", &[3 * count, 2, 3]),
            colours: uniform("colours", &[3 * count, 1, 3]),
            moves: Some(Tensor::from_vec::<_, i64>(moves, (3 * count, 4), device).unwrap()),
            cut: 14,
        }),
        classes: None,
        mixing: None,
        lr_scale: 1.0 - 0.1 * step as f64,
    }
}

#[test]
#[ignore = "needs an accelerator: tests/gpu.sh"]
fn one_step_with_every_flag_is_the_cpus() {
    let device = accelerator();
    for model in Architecture::ALL {
        let step = |device: &Device| {
            let mut adversaries = adversaries_with(model, &[&["--lr", "0"], &FLAGS[..]].concat(), device);
            let outcome = adversaries.step_on(&inputs(0, 33, device)).unwrap();
            (vec![outcome.d_loss, outcome.g_loss], adversaries.state())
        };
        // Of the penalty's gradient the differences of scores are a part, whose rounding is larger.
        let what = format!("{} with every flag", model.name());
        assert_same_step(&what, step(&device), step(&Device::Cpu), LOSS, 10.0 * SHALLOW);
    }
}

fn check_simclr(encoder: &str, side: usize) {
    let device = accelerator();
    let step = |device: &Device| one_step_of_simclr(encoder, side, Precision::F32, device);
    assert_same_step(encoder, step(&device), step(&Device::Cpu), LOSS, DEEP);
}

#[test]
#[ignore = "needs an accelerator: tests/gpu.sh"]
fn one_step_of_resnet9_is_the_cpus() {
    check_simclr("resnet9", 32);
}

#[test]
#[ignore = "needs an accelerator: tests/gpu.sh"]
fn one_step_of_resnet18_is_the_cpus() {
    check_simclr("resnet18", 27);
}

#[test]
#[ignore = "needs an accelerator: tests/gpu.sh"]
fn one_step_of_resnet50_is_the_cpus() {
    check_simclr("resnet50", 17);
}

#[test]
#[ignore = "needs an accelerator: tests/gpu.sh"]
fn steps_in_other_precisions_are_near() {
    let device = accelerator();
    for (precision, of_loss, of_tensors) in ROUNDED {
        if let Some(what) = precision.missing(&device) {
            println!("{}: {what}", precision.name());
            continue;
        }
        let what = |network: &str| format!("{network} in {}", precision.name());
        let gan = |precision, device: &Device| one_step_of_a_gan(Architecture::Dcgan, precision, device);
        let (found, expected) = (gan(precision, &device), gan(Precision::F32, &Device::Cpu));
        assert_same_step(&what("dcgan"), found, expected, of_loss, of_tensors);
        let simclr = |precision, device: &Device| one_step_of_simclr("resnet9", 32, precision, device);
        let (found, expected) = (simclr(precision, &device), simclr(Precision::F32, &Device::Cpu));
        assert_same_step(&what("resnet9"), found, expected, of_loss, of_tensors);
    }
}

/// Whether the kernels add up in one order always: resuming to the same bytes hangs on it. The same for steps after the
/// first, which a device may replay.
#[test]
#[ignore = "needs an accelerator: tests/gpu.sh"]
fn steps_are_the_same_bits_every_time() {
    let device = accelerator();
    let gan = || {
        let mut adversaries = adversaries(Architecture::Dcgan, Precision::F32, &device);
        for step in 0..4 {
            let latents = |of| random(&format!("{of}.{step}"), &[64, 96], &device);
            let real = random(&format!("real.{step}"), &[64, 28, 28, 1], &device);
            adversaries.step(&real, &latents("discriminator"), &latents("generator")).unwrap();
        }
        bytes_of(&adversaries.state())
    };
    // Steps with the penalty and without are replayed from two recordings.
    let every_flag = || {
        let mut adversaries = adversaries_with(Architecture::Vanilla, &FLAGS, &device);
        (0..10).for_each(|step| drop(adversaries.step_on(&inputs(step, 64, &device)).unwrap()));
        bytes_of(&adversaries.state())
    };
    let simclr = || {
        let mut contrastive = contrastive("resnet9", Precision::F32, &device);
        for step in 0..4 {
            contrastive.step(&random(&format!("views.{step}"), &[32, 32, 32, 3], &device), 0.0).unwrap();
        }
        bytes_of(&contrastive.state())
    };
    let pairs = [("DCGAN", gan(), gan()), ("every flag", every_flag(), every_flag()), ("ResNet-9", simclr(), simclr())];
    for (what, first, second) in pairs {
        let differ: Vec<&String> = first.keys().filter(|name| first[*name] != second[*name]).collect();
        assert!(differ.is_empty(), "{what}: {} of {} tensors differ: {differ:?}", differ.len(), first.len());
    }
}
