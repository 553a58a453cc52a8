//! The vision transformer, its ops, AdamW and clipping against PyTorch.

use std::collections::BTreeMap;

use candle_core::{ModuleT, Result, Tensor, Var};
use candle_nn::Init;
use gan::models::{Encoder, EncoderArchitecture, EncoderConfig};
use gan::ops;
use gan::optim::{AdamConfig, ClipGlobalNorm, GradientTransform, Optimizer};
use gan::params::{Parameters, is_buffer};
use gan::train::contrastive::Contrastive;
use serde::Deserialize;

use super::contrastive::{config, filled};
use super::rule::{symmetric, views};
use super::vectors::{Glimpse, Held, Trained, Whole, assert_all, read_part, values};
use crate::device::device;

#[derive(Deserialize)]
struct Counts {
    at_224: usize,
    at_32: usize,
}

/// timm counts 5,717,416 with the head of 1000 classes, 193,000 of them the head's.
#[test]
fn a_vit_tiny_has_as_many_parameters_as_timms() {
    let Counts { at_224, at_32 } = read_part("vit", "parameters");
    assert_eq!(at_224, 5_717_416 - 193_000);
    for (side, count) in [(224, at_224), (32, at_32)] {
        let parameters = Parameters::undrawn("encoder", &device());
        let encoder = EncoderConfig::for_pictures(EncoderArchitecture::VitTiny, side);
        Encoder::new(encoder, parameters.builder().pp("f")).unwrap();
        assert_eq!(parameters.count(), count, "{side}");
    }
}

#[derive(Deserialize)]
struct OpRecord {
    shapes: Vec<Vec<usize>>,
    output: Whole,
    #[serde(flatten)]
    gradients: BTreeMap<String, Whole>,
}

#[test]
fn layer_norm_gelu_and_attention_are_pytorchs() {
    type Op = fn(&[Tensor]) -> Result<Tensor>;
    let all: [(&str, Op); 3] = [
        ("layer_norm", |x| ops::layer_norm(&x[0], &x[1], &x[2], 1e-6)),
        ("gelu", |x| ops::gelu(&(&x[0] * 4.0)?)),
        ("attention", |x| ops::attention(&(&x[0] * 4.0)?, 2)),
    ];
    let mut records: BTreeMap<String, OpRecord> = read_part("vit", "ops");
    for (name, op) in all {
        let OpRecord { shapes, output: want, gradients } = records.remove(name).unwrap();
        let inputs = shapes.iter().enumerate().map(|(place, shape)| symmetric(&format!("ops.{name}.{place}"), shape));
        let inputs: Vec<Var> = inputs.map(|input| Var::from_tensor(&input).unwrap()).collect();
        let tensors: Vec<Tensor> = inputs.iter().map(|input| input.as_tensor().clone()).collect();
        let output = op(&tensors).unwrap();
        want.assert(&format!("{name}: output"), &values(&output));
        let weights = symmetric(&format!("ops.{name}.gradient"), output.dims());
        let found = (output * weights).unwrap().sum_all().unwrap().backward().unwrap();
        assert_eq!(gradients.len(), inputs.len(), "{name}");
        for (place, input) in inputs.iter().enumerate() {
            let what = format!("gradient_{place}");
            gradients[&what].assert(&format!("{name}: {what}"), &values(found.get(input).unwrap()));
        }
    }
    assert!(records.is_empty());
}

#[derive(Deserialize)]
struct AdamwRecord {
    rates: Vec<f64>,
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    after: BTreeMap<String, Whole>,
}

#[test]
fn adamw_is_pytorchs_and_decays_no_bias() {
    let AdamwRecord { rates, beta1, beta2, eps, weight_decay, after } = read_part("vit", "adamw");
    let parameters = Parameters::new(0, "reference", &device());
    for (name, shape) in [("weight", &[3, 4][..]), ("bias", &[4])] {
        parameters.builder().get_with_hints(shape, name, Init::Const(0.0)).unwrap();
    }
    let drawn = parameters.all().into_iter().map(|(name, variable)| {
        let value = symmetric(&format!("adamw.{name}"), variable.dims());
        (name, value)
    });
    parameters.load(&drawn.collect()).unwrap();
    let config = AdamConfig { lr: 0.0, beta1, beta2, eps, weight_decay };
    let mut optimizer = Optimizer::adamw(parameters.trainable(), config).unwrap();
    for (step, rate) in rates.into_iter().enumerate() {
        let losses = parameters.trainable().into_iter().map(|(name, variable)| {
            let gradient = symmetric(&format!("adamw.gradient.{step}.{name}"), variable.dims());
            (variable.as_tensor() * gradient).unwrap().sum_all().unwrap()
        });
        let losses: Vec<Tensor> = losses.collect();
        optimizer.prepare(rate).unwrap();
        optimizer.minimise(&(&losses[0] + &losses[1]).unwrap(), None).unwrap();
        for (name, variable) in parameters.trainable() {
            after[&format!("{name}_{}", step + 1)].assert(&format!("{name}: update {step}"), &values(&variable));
        }
    }
}

#[test]
fn clipped_gradients_are_pytorchs() {
    let records: BTreeMap<String, BTreeMap<String, Whole>> = read_part("vit", "clipped");
    for (max_norm, want) in records {
        let mut gradients = [symmetric("clipped.0", &[5, 7]), symmetric("clipped.1", &[6])];
        ClipGlobalNorm { max_norm: max_norm.parse().unwrap() }.transform(&mut gradients).unwrap();
        for (place, gradient) in gradients.iter().enumerate() {
            want[&format!("gradient_{place}")].assert(&format!("{place} to {max_norm}"), &values(gradient));
        }
    }
}

#[derive(Deserialize)]
struct EncoderRecord {
    pairs: usize,
    side: usize,
    loss: Whole,
    features: Glimpse,
    gradients: BTreeMap<String, Glimpse>,
}

/// Encoder and head for pictures of this side, with the weights that `generate_vit.py` calls `name`.
fn networks(name: &str, side: usize, flags: &[&str]) -> Contrastive {
    let side = side.to_string();
    filled(name, &config(&[&["--encoder", "vit-tiny", "--image-size", &side], flags].concat()))
}

#[test]
fn a_step_of_vit_tiny_is_pytorchs() {
    let EncoderRecord { pairs, side, loss, features, gradients } = read_part("vit", "encoder");
    let views = views("vit", pairs, side);
    // SGD without decay at a rate of 0 changes nothing, and keeps the gradient: it is the first velocity.
    let mut networks = networks("vit", side, &["--optimizer", "sgd", "--weight-decay", "0"]);
    features.hold("features", &networks.frozen_encoder().forward_t(&views, false).unwrap());
    features.hold("features folded", &networks.frozen_encoder().folded().unwrap().forward_t(&views, false).unwrap());
    let outcome = networks.step(&views, 0.0).unwrap();
    loss.assert("loss", &values(&outcome.loss));
    let found = networks.state().into_iter().filter_map(|(name, value)| {
        let name = name.strip_prefix("optimizer.")?.strip_suffix(".momentum_buffer")?.to_string();
        Some((name, value))
    });
    assert_all("gradients", &gradients, &found.collect());
}

#[derive(Deserialize)]
struct Trajectory {
    lr: f64,
    weight_decay: f64,
    clip_norm: f64,
    loss: Vec<f64>,
    torch_f32_spread: Vec<f64>,
    after: BTreeMap<String, Trained>,
}

/// What the losses must agree to, relative, at every step.
const TOLERANCE: f64 = 1e-5;

#[test]
fn ten_steps_of_adamw_with_clipping_are_pytorchs() {
    let EncoderRecord { pairs, side, .. } = read_part("vit", "encoder");
    let Trajectory { lr, weight_decay, clip_norm, loss, torch_f32_spread, after } = read_part("vit", "trajectory");
    let [decay, norm] = [weight_decay, clip_norm].map(|number| number.to_string());
    let mut networks = networks("trajectory", side, &["--weight-decay", &decay, "--clip-norm", &norm]);
    for (step, (want, spread)) in loss.iter().zip(torch_f32_spread).enumerate() {
        let outcome = networks.step(&views(&format!("trajectory.{step}"), pairs, side), lr).unwrap();
        let error = (values(&outcome.loss)[0] / want - 1.0).abs();
        assert!(error <= TOLERANCE.max(4.0 * spread), "step {step}: {error}"); // a NaN is not
    }
    let mut found = networks.encoder_parameters().tensors();
    found.retain(|name, _| !is_buffer(name) && after.contains_key(name));
    assert_all("after ten steps", &after, &found);
}
