//! Ten steps of training, from the same weights, batches and latents as PyTorch's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use candle_core::Tensor;
use clap::{Args, Command, FromArgMatches};
use gan::distributed::{Alone, Shards};
use gan::losses::adversarial::AdversarialLoss;
use gan::ops::DRAWN;
use gan::optim::GradientTransform;
use gan::params::Parameters;
use gan::train::adversaries::{Adversaries, StepInputs};
use gan::train::distortions::Distortions;
use gan::train::gan_config::GanConfig;
use serde::Deserialize;

use super::losses_of_steps::Losses;
use super::rule::{fill, real_images, symmetric};
use super::vectors::{Glimpse, Trained, assert_all, read, values};
use crate::device::device;

/// What the losses must agree to, relative, at every step.
pub(super) const TOLERANCE: f64 = 1e-4;

/// In shards, where the losses of PyTorch's f32 are within 1.1e-6 of f64's.
const SHARDS_TOLERANCE: f64 = 1e-5;

/// How many times further than PyTorch's own f32, run from weights perturbed by some units in the last place, the
/// losses may be where that spreads beyond the tolerance.
pub(super) const ALLOWANCE: f64 = 5.0;

/// Some steps of PyTorch's.
#[derive(Deserialize)]
pub(super) struct Trajectory {
    pub batch: usize,
    pub lr: f64,
    /// Of a batch, where there are several.
    #[serde(default)]
    shards: Option<usize>,
    pub d_loss: Losses,
    pub g_loss: Losses,
    /// Parameters and batch-norm statistics after the last step.
    #[serde(default)]
    pub discriminator: BTreeMap<String, Trained>,
    #[serde(default)]
    pub generator: BTreeMap<String, Trained>,
}

/// The configuration that `train-gan` has with these flags.
pub(super) fn config(flags: &[&str]) -> GanConfig {
    let matches = GanConfig::augment_args(Command::new("train-gan").no_binary_name(true)).get_matches_from(flags);
    GanConfig::from_arg_matches(&matches).unwrap()
}

fn tensors(parameters: &Parameters) -> BTreeMap<String, Tensor> {
    let mut tensors = parameters.tensors();
    tensors.retain(|name, _| !name.ends_with("num_batches_tracked"));
    tensors
}

/// Draws for `--diffaugment` by the rule of `generate.py`: up to five rows and columns, and a square anywhere.
fn distortions(step: usize, count: usize) -> Distortions {
    let of = |part: &str| -> Vec<i64> {
        let drawn = values(&symmetric(&format!("draws.{step}.{part}"), &[count, DRAWN]));
        let scaled = |(place, value): (usize, f64)| match place % DRAWN {
            0 | 1 => (5.0 * value).floor() as i64,
            _ => (14.0 * value).floor() as i64 + 7,
        };
        drawn.into_iter().enumerate().map(scaled).collect()
    };
    let draws = ["real", "discriminator", "generator"].map(of).concat();
    let moves = Tensor::from_vec(draws, (3 * count, DRAWN), &device()).unwrap();
    Distortions { moves: Some(moves), cut: 14, ..Distortions::default() }
}

/// Where the points of the penalty of `wgan-gp` lie, by the rule of `generate.py`: (N, 1) in [0, 1).
fn mixing(step: usize, count: usize) -> Tensor {
    symmetric(&format!("mixing.{step}"), &[count, 1]).affine(0.5, 0.5).unwrap()
}

/// Trains as the record does, with weights whose layers `gain` scales: the networks, and the losses of D and of G.
fn train(
    record: &Trajectory,
    model: &str,
    networks: &str,
    gain: fn(&str, &str) -> f64,
    flags: &[&str],
) -> (Adversaries, [Vec<f64>; 2]) {
    let steps = record.d_loss.want.len();
    let config = config(&[&["--model", model, "--lr", &record.lr.to_string(), "--no-ema"], flags].concat());
    let schedule = config.schedule(steps as u64);
    let mut adversaries = Adversaries::new(&config, &device()).unwrap();
    if let Some(count) = record.shards {
        adversaries.set_shards(Shards::new(count, Arc::new(Alone)).unwrap());
    }
    for (part, parameters) in
        [("discriminator", adversaries.discriminator_parameters()), ("generator", adversaries.generator_parameters())]
    {
        fill(&format!("{networks}_{part}"), parameters, |layer| gain(part, layer));
    }

    let (mut d_losses, mut g_losses) = (Vec::new(), Vec::new());
    for step in 0..steps {
        let real = real_images(step * record.batch, record.batch);
        let latents = |of| symmetric(&format!("latents.{step}.{of}"), &[record.batch, config.latent_dim]);
        let inputs = StepInputs {
            real,
            latents: ["discriminator", "generator"].map(latents),
            distortions: config.diffaugment.is_on().then(|| distortions(step, record.batch)),
            classes: None,
            mixing: (config.loss() == AdversarialLoss::WganGp).then(|| mixing(step, record.batch)),
            lr_scale: schedule.rate(step as u64),
        };
        let outcome = adversaries.step_on(&inputs).unwrap();
        d_losses.extend(values(&outcome.d_loss));
        g_losses.extend(values(&outcome.g_loss));
    }
    (adversaries, [d_losses, g_losses])
}

/// The place of a layer among the others.
fn layer_of(name: &str) -> usize {
    name.split('.').next().and_then(|layer| layer.parse().ok()).unwrap_or_default()
}

fn record(name: &str) -> Trajectory {
    read::<BTreeMap<String, Trajectory>>("trajectories").remove(name).unwrap()
}

fn check(
    name: &str,
    model: &str,
    networks: &str,
    gain: fn(&str, &str) -> f64,
    tolerance: fn(f64) -> f64,
    flags: &[&str],
) {
    let mut record = record(name);
    let (adversaries, [d_losses, g_losses]) = train(&record, model, networks, gain, flags);
    record.d_loss.assert_of(flags, &format!("{name}: d_loss"), &d_losses, tolerance);
    record.g_loss.assert_of(flags, &format!("{name}: g_loss"), &g_losses, tolerance);
    // Where scores mean something by their differences alone, no loss moves the last bias but by its rounding, of which
    // Adam makes whole steps.
    let last_bias = record.discriminator.keys().filter(|name| name.ends_with("bias")).max_by_key(|name| layer_of(name));
    let unmoved = last_bias.filter(|_| config(flags).loss().threshold().is_none()).cloned();
    record.discriminator.retain(|name, _| Some(name) != unmoved.as_ref());
    for (part, want, found) in [
        ("discriminator", &record.discriminator, adversaries.discriminator_parameters()),
        ("generator", &record.generator, adversaries.generator_parameters()),
    ] {
        let mut found = tensors(found);
        found.retain(|name, _| part == "generator" || Some(name) != unmoved.as_ref());
        assert_all(&format!("{name}: {part}"), want, &found);
    }
    for (name, tensor) in adversaries.generator_parameters().tensors() {
        if name.ends_with("num_batches_tracked") {
            // The generator runs for D's update and for its own.
            let updates = d_losses.len() / config(flags).discriminator_steps() as usize;
            assert_eq!(tensor.to_scalar::<i64>().unwrap() as usize, d_losses.len() + updates, "{name}");
        }
    }
}

/// `MLP_GAINS` and `DCGAN_GAINS` of `generate.py`, where the reason stands.
pub(super) fn mlp_gain(part: &str, layer: &str) -> f64 {
    match (part, layer) {
        ("discriminator", "1" | "3") | ("generator", "0" | "2") => 2.0,
        _ => 1.0,
    }
}

pub(super) fn dcgan_gain(part: &str, layer: &str) -> f64 {
    match (part, layer) {
        ("discriminator", _) => 0.25,
        ("generator", "0" | "3" | "7") => 16.0,
        _ => 1.0,
    }
}

#[test]
fn ten_steps_of_the_vanilla_gan_are_pytorchs() {
    check("vanilla", "vanilla", "mlp", mlp_gain, |_| TOLERANCE, &[]);
}

#[test]
fn ten_steps_of_the_least_squares_gan_are_pytorchs() {
    check("lsgan", "lsgan", "mlp", mlp_gain, |_| TOLERANCE, &[]);
}

#[test]
fn ten_steps_of_the_dcgan_are_pytorchs() {
    check("dcgan", "dcgan", "dcgan", dcgan_gain, |_| TOLERANCE, &[]);
}

/// Each of the newer losses, with its penalties; D alone is updated in two of three steps of `wgan-gp`.
#[test]
fn ten_steps_with_the_newer_losses_are_pytorchs() {
    let tolerance = |spread| TOLERANCE.max(ALLOWANCE * spread);
    type Case = (&'static str, fn(&str, &str) -> f64, &'static str);
    let networks: [Case; 2] = [("vanilla", mlp_gain, "mlp"), ("dcgan", dcgan_gain, "dcgan")];
    for (model, gain, of) in networks {
        check(&format!("{model}_hinge"), model, of, gain, tolerance, &["--loss", "hinge"]);
        let flags = ["--loss", "relativistic", "--r1", "2", "--r2", "1"];
        check(&format!("{model}_relativistic"), model, of, gain, tolerance, &flags);
        let flags = ["--loss", "wgan-gp", "--discriminator-steps", "3"];
        check(&format!("{model}_wgan_gp"), model, of, gain, tolerance, &flags);
    }
}

/// In two shards too: there is no batch norm in these networks.
#[test]
fn the_newer_losses_in_shards_are_those_of_the_whole_batch() {
    for (name, flags) in [
        ("vanilla_hinge", &["--loss", "hinge"][..]),
        ("vanilla_relativistic", &["--loss", "relativistic", "--r1", "2", "--r2", "1"]),
        ("vanilla_wgan_gp", &["--loss", "wgan-gp", "--discriminator-steps", "3"]),
    ] {
        let record = Trajectory { shards: Some(2), ..record(name) };
        let (_, [d_losses, g_losses]) = train(&record, "vanilla", "mlp", mlp_gain, flags);
        let tolerance = |spread: f64| TOLERANCE.max(ALLOWANCE * spread);
        record.d_loss.assert_of(flags, &format!("{name}: d_loss"), &d_losses, tolerance);
        record.g_loss.assert_of(flags, &format!("{name}: g_loss"), &g_losses, tolerance);
    }
}

/// In two shards they are those of `DistributedDataParallel` in two processes.
#[test]
fn ten_steps_in_shards_are_pytorchs_in_processes() {
    let record: Trajectory = read("shards");
    let (_, [d_losses, g_losses]) = train(&record, "dcgan", "dcgan", dcgan_gain, &[]);
    record.d_loss.assert("d_loss", &d_losses, |_| SHARDS_TOLERANCE);
    record.g_loss.assert("g_loss", &g_losses, |_| SHARDS_TOLERANCE);
    // With the batch norm of the whole batch they are others.
    let whole = Trajectory { shards: None, ..record };
    let (_, [_, g_losses]) = train(&whole, "dcgan", "dcgan", dcgan_gain, &[]);
    let largest = g_losses.iter().zip(&whole.g_loss.want).map(|(found, want)| (found / want - 1.0).abs());
    assert!(largest.fold(0.0, f64::max) > 100.0 * SHARDS_TOLERANCE, "{g_losses:?}");
}

#[derive(Deserialize)]
struct Whole {
    gradients_of_the_whole: BTreeMap<String, BTreeMap<String, Glimpse>>,
}

/// The gradients that each network's optimizer is given, by the parameters' names.
struct Capture(Mutex<Vec<Vec<Tensor>>>);

impl GradientTransform for Capture {
    fn transform(&self, gradients: &mut [Tensor]) -> candle_core::Result<()> {
        self.0.lock().unwrap().push(gradients.to_vec());
        Ok(())
    }
}

/// The gradients of a step in shards whose batch norms look at all of them are those of one process with the whole batch.
#[test]
fn synchronised_shards_have_the_gradients_of_the_whole_batch() {
    let record: Trajectory = read("shards");
    let want = read::<Whole>("shards").gradients_of_the_whole;
    for count in [2, 4] {
        let config = config(&["--model", "dcgan", "--lr", "0", "--no-ema", "--sync-batch-norm"]);
        let capture = Arc::new(Capture(Mutex::default()));
        let mut adversaries = Adversaries::new(&config, &device()).unwrap();
        adversaries.set_shards(Shards::new(count, Arc::new(Alone)).unwrap());
        adversaries.set_gradient_transform(&(capture.clone() as Arc<dyn GradientTransform>));
        let parts = ["discriminator", "generator"];
        let networks = [adversaries.discriminator_parameters(), adversaries.generator_parameters()];
        parts.iter().zip(networks).for_each(|(part, parameters)| {
            fill(&format!("dcgan_{part}"), parameters, |layer| dcgan_gain(part, layer));
        });
        let names = networks.map(|network| network.trainable().into_iter().map(|(name, _)| name).collect::<Vec<_>>());
        let latents = parts.map(|of| symmetric(&format!("latents.0.{of}"), &[record.batch, config.latent_dim]));
        adversaries.step(&real_images(0, record.batch), &latents[0], &latents[1]).unwrap();
        let found = capture.0.lock().unwrap();
        for ((part, names), gradients) in parts.iter().zip(names).zip(found.iter()) {
            let mut named: Vec<_> = names.into_iter().collect();
            named.sort();
            let found = named.into_iter().zip(gradients.iter().cloned()).collect();
            assert_all(&format!("{part} in {count}"), &want[*part], &found);
            for (name, want) in &want[*part] {
                want.hold_step(&format!("{part} in {count}: {name}"), &found[name], 1.0);
            }
        }
    }
}

/// Ten steps of such shards are ten steps of the whole batch.
#[test]
fn ten_steps_in_synchronised_shards_are_pytorchs_with_the_whole_batch() {
    let record = Trajectory { shards: Some(4), ..record("dcgan") };
    let (_, [d_losses, g_losses]) = train(&record, "dcgan", "dcgan", dcgan_gain, &["--sync-batch-norm"]);
    record.d_loss.assert("d_loss", &d_losses, |_| TOLERANCE);
    record.g_loss.assert("g_loss", &g_losses, |_| TOLERANCE);
}

/// At the program's own learning rate PyTorch's f32 does not keep to the tolerance itself.
#[test]
fn ten_fast_steps_are_as_near_as_pytorchs_own() {
    let tolerance = |spread| TOLERANCE.max(ALLOWANCE * spread);
    check("vanilla_fast", "vanilla", "mlp", mlp_gain, tolerance, &[]);
    check("dcgan_fast", "dcgan", "dcgan", dcgan_gain, tolerance, &[]);
}

/// Smoothed labels, the penalty every other step, augmented images and falling rates, all at once.
#[test]
fn ten_steps_with_every_flag_are_pytorchs() {
    let record = record("vanilla_flags");
    let flags = ["--schedule", "linear", "--label-smoothing", "0.1", "--r1", "2", "--r1-every", "2"];
    let flags = [&flags[..], &["--diffaugment", "translation,cutout"]].concat();
    let (_, [d_losses, g_losses]) = train(&record, "vanilla", "mlp", mlp_gain, &flags);
    record.d_loss.assert("d_loss", &d_losses, |_| TOLERANCE);
    record.g_loss.assert("g_loss", &g_losses, |_| TOLERANCE);
    // Without one of them the losses are others.
    for left_out in ["--schedule", "--label-smoothing", "--r1", "--diffaugment"] {
        let kept: Vec<&str> =
            flags.chunks(2).filter(|flag| flag[0] != left_out).flat_map(|flag| flag.iter().copied()).collect();
        let (_, [d_losses, g_losses]) = train(&record, "vanilla", "mlp", mlp_gain, &kept);
        let pairs = d_losses.iter().zip(&record.d_loss.want).chain(g_losses.iter().zip(&record.g_loss.want));
        let largest = pairs.map(|(found, want)| (found / want - 1.0).abs()).fold(0.0, f64::max);
        assert!(largest > 10.0 * TOLERANCE, "without {left_out}: at most {largest} off");
    }
}

/// By `clip_grad_norm_` of each network's parameters, in the whole batch and in shards, where it is of the mean's gradient.
#[test]
fn ten_steps_with_clipped_gradients_are_pytorchs() {
    check("vanilla_clipped", "vanilla", "mlp", mlp_gain, |_| TOLERANCE, &["--clip-norm", "1"]);
    check("dcgan_clipped", "dcgan", "dcgan", dcgan_gain, |_| TOLERANCE, &["--clip-norm", "0.1"]);
    let off = |found: &[Vec<f64>; 2], record: &Trajectory| {
        let want = [&record.d_loss, &record.g_loss].map(|losses| &losses.want);
        let errors =
            found.iter().flatten().zip(want.into_iter().flatten()).map(|(found, want)| (found / want - 1.0).abs());
        errors.fold(0.0, f64::max)
    };
    let record = record("vanilla_clipped");
    // There is no batch norm in these networks.
    let in_shards = Trajectory { shards: Some(2), ..record };
    let (_, found) = train(&in_shards, "vanilla", "mlp", mlp_gain, &["--clip-norm", "1"]);
    assert!(off(&found, &in_shards) <= TOLERANCE, "{found:?}");
    let (_, found) = train(&in_shards, "vanilla", "mlp", mlp_gain, &[]);
    assert!(off(&found, &in_shards) > 10.0 * TOLERANCE, "without it they are others: {found:?}");
}

/// Relative, at every step: bf16 has 8 bits, and a step is a few products after each other.
const BF16_TOLERANCE: f64 = 0.02;

/// At the rates of the first and the last case ten steps stay near; at lsgan's, 1e-3, what rounding changes grows, and
/// after ten steps its loss is 24 % off.
#[test]
#[cfg_attr(not(feature = "cuda"), ignore = "bf16 is of CUDA devices")]
fn steps_in_bf16_stay_near_pytorchs_f64() {
    type Case = (&'static str, &'static str, fn(&str, &str) -> f64, usize);
    let cases: [Case; 3] =
        [("vanilla", "mlp", mlp_gain, 10), ("lsgan", "mlp", mlp_gain, 2), ("dcgan", "dcgan", dcgan_gain, 10)];
    for (model, networks, gain, steps) in cases {
        let record = record(model);
        let (_, found) = train(&record, model, networks, gain, &["--precision", "bf16"]);
        for (losses, found) in [&record.d_loss, &record.g_loss].into_iter().zip(&found) {
            let errors: Vec<f64> =
                found.iter().zip(&losses.want).map(|(found, want)| (found / want - 1.0).abs()).collect();
            let are_near = errors[..steps].iter().all(|error| *error <= BF16_TOLERANCE); // a NaN is not
            assert!(are_near, "{model} in bf16: relative errors {errors:?}");
        }
    }
}
