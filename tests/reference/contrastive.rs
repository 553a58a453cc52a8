//! Five steps of SimCLR by each optimizer, from the same weights and views as PyTorch's.

use std::collections::BTreeMap;

use candle_core::Tensor;
use clap::{Args, Command, FromArgMatches};
use gan::autograd::Precision;
use gan::train::contrastive::Contrastive;
use gan::train::simclr_config::SimclrConfig;
use serde::Deserialize;

use super::rule::{fill, views};
use super::vectors::{Trained, assert_all, read_part, values};
use crate::device::device;

/// What the losses must agree to, relative, at every step; and how many times further than PyTorch's own f32, run from
/// weights perturbed by some units in the last place, they may be where that spreads beyond it.
const TOLERANCE: f64 = 1e-4;
const ALLOWANCE: f64 = 2.0;

/// Of a block's last batch norm, as `generate_simclr.py` says why.
const BRANCH_GAIN: f64 = 0.125;

#[derive(Deserialize)]
struct Record {
    pairs: usize,
    side: usize,
    optimizer: String,
    views: String,
    lr: f64,
    weight_decay: f64,
    momentum: Option<f64>,
    trust: Option<f64>,
    loss: Vec<f64>,
    /// Of each step, relative.
    torch_f32_spread: Vec<f64>,
    /// Parameters and batch-norm statistics after the last step, of some runs.
    after: BTreeMap<String, Trained>,
}

/// The configuration that `pretrain-simclr` has with these flags.
pub fn config(flags: &[&str]) -> SimclrConfig {
    let command = SimclrConfig::augment_args(Command::new("pretrain-simclr").no_binary_name(true));
    SimclrConfig::from_arg_matches(&command.get_matches_from(flags)).unwrap()
}

/// Encoder and head with the weights that `generate_simclr.py` calls `name`.
pub fn filled(name: &str, config: &SimclrConfig) -> Contrastive {
    let contrastive = Contrastive::new(config, &device()).unwrap();
    let bottlenecks = contrastive.encoder_parameters().tensors().keys().any(|name| name.ends_with(".bn3.weight"));
    let last_norm = if bottlenecks { ".bn3" } else { ".bn2" };
    let gain = |layer: &str| if layer.ends_with(last_norm) { BRANCH_GAIN } else { 1.0 };
    fill(name, contrastive.encoder_parameters(), gain);
    fill(name, contrastive.head_parameters(), |_| 1.0);
    contrastive
}

/// Trains as the record does: the networks, and the relative errors of the losses.
fn train(encoder: &[&str], record: &Record, precision: Precision) -> (Contrastive, Vec<f64>) {
    let mut config = config(&[encoder, &["--optimizer", &record.optimizer, "--views", &record.views]].concat());
    config.precision = precision;
    config.weight_decay = Some(record.weight_decay);
    config.momentum = record.momentum.unwrap_or(config.momentum);
    config.trust = record.trust.unwrap_or(config.trust);
    let mut contrastive = filled("trajectory", &config);
    let mut errors = Vec::new();
    for (step, want) in record.loss.iter().enumerate() {
        let views = views(&format!("trajectory.{step}"), record.pairs, record.side);
        let outcome = contrastive.step(&views, record.lr).unwrap();
        errors.push((values(&outcome.loss)[0] / want - 1.0).abs());
    }
    (contrastive, errors)
}

fn record(name: &str) -> Record {
    read_part::<BTreeMap<String, Record>>("simclr", "trajectories").remove(name).unwrap()
}

/// Of the trajectories but one.
const RESNET9: &[&str] = &["--encoder", "resnet9"];

fn check(name: &str) {
    check_record(name, RESNET9, &record(name));
}

fn check_record(name: &str, encoder: &[&str], record: &Record) {
    let (contrastive, errors) = train(encoder, record, Precision::F32);
    let is_near = |(error, spread): (&f64, &f64)| *error <= TOLERANCE.max(ALLOWANCE * spread); // a NaN is not
    assert!(errors.iter().zip(&record.torch_f32_spread).all(is_near), "{name}: relative errors {errors:?}");

    let parameters = [contrastive.encoder_parameters(), contrastive.head_parameters()];
    let mut found: BTreeMap<String, Tensor> = parameters.into_iter().flat_map(|part| part.tensors()).collect();
    found.retain(|tensor, _| !tensor.ends_with("num_batches_tracked"));
    if !record.after.is_empty() {
        assert_all(name, &record.after, &found);
    }
}

#[test]
fn five_steps_of_adam_are_pytorchs() {
    check("adam");
    check("adam_slow");
}

#[test]
fn five_steps_of_adam_on_two_batches_each_are_pytorchs() {
    check("adam_separate");
}

#[test]
fn five_steps_of_sgd_are_pytorchs() {
    check("sgd");
    check("sgd_slow");
}

#[test]
fn five_steps_of_lars_are_simclrs() {
    check("lars");
}

#[test]
fn five_steps_of_a_resnet18_with_its_own_stem_are_pytorchs() {
    let encoder = ["--encoder", "resnet18", "--stem", "imagenet"];
    check_record("imagenet", &encoder, &read_part("simclr", "imagenet_trajectory"));
}

/// Relative, at every step.
const BF16_TOLERANCE: f64 = 0.02;

#[test]
#[cfg_attr(not(feature = "cuda"), ignore = "bf16 is of CUDA devices")]
fn five_steps_in_bf16_stay_near_pytorchs_f64() {
    for name in ["adam", "sgd", "lars"] {
        let (_, errors) = train(RESNET9, &record(name), Precision::Bf16);
        assert!(errors.iter().all(|error| *error <= BF16_TOLERANCE), "{name} in bf16: relative errors {errors:?}");
    }
}
