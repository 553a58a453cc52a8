//! Discriminators with spectral norm: names, scores, gradients of everything, singular vectors, and ten steps of training.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};
use gan::autograd::{self, Precision};
use gan::image_shape::ImageShape;
use gan::losses::gradient_penalty::{GradientPenalty, minimised};
use gan::models::{Architecture, Discriminator};
use gan::ops;
use gan::params::{Parameters, is_buffer};
use gan::train::adversaries::Adversaries;
use serde::Deserialize;

use super::conditional::{CLASSES, classes};
use super::rule::{fill, real_images, symmetric};
use super::trajectories::{ALLOWANCE, TOLERANCE, Trajectory, config, mlp_gain};
use super::vectors::{Glimpse, Whole, assert_all, read_part, values};
use crate::device::device;

/// The weight of R1 in what is differentiated, as in `generate_penalties.py`.
const GAMMA: f64 = 3.0;

#[derive(Deserialize)]
struct Network {
    names: Vec<String>,
    scores: Whole,
    gradients: BTreeMap<String, Glimpse>,
    /// After a step of power iteration.
    vectors: BTreeMap<String, Glimpse>,
}

/// Of half the mean squared score and of R1, which is differentiated through the normalisation too.
fn check(name: &str, architecture: Architecture, shape: ImageShape) {
    let record = read_part::<BTreeMap<String, Network>>("spectral", "networks").remove(name).unwrap();
    let (is_conditional, name) = (name.starts_with("conditional"), format!("spectral_{name}"));
    let parameters = Parameters::new(0, "reference", &device());
    let count = if is_conditional { CLASSES } else { 0 };
    let network = |vb| Discriminator::with(architecture, shape, count, true, vb).unwrap();
    let (discriminator, observing) = (network(parameters.builder()), network(parameters.observing()));
    fill(&name, &parameters, |_| 1.0);
    assert!(parameters.tensors().keys().eq(&record.names), "{:?}", parameters.tensors().keys());
    discriminator.iterate_singular_vectors(1).unwrap();
    let tensors = parameters.tensors().into_iter();
    let is_vector = |name: &str| is_buffer(name) && !name.contains("running") && !name.contains("num_batches");
    assert_all(&name, &record.vectors, &tensors.filter(|(name, _)| is_vector(name)).collect());

    let batch = record.scores.want.len();
    let ImageShape { height, width, channels } = shape;
    let images = Var::from_tensor(&symmetric(&format!("{name}.images"), &[batch, height, width, channels])).unwrap();
    let classes = is_conditional.then(|| classes(&format!("{name}.classes"), batch));
    let slopes = autograd::training_step(Precision::F32, || {
        autograd::backward(&observing.scores(&images, classes.as_ref(), true).unwrap()).unwrap()
    });
    let penalty = GradientPenalty::ZeroCentred { gamma: GAMMA };
    let direction = penalty.direction(slopes.get(&images).unwrap()).unwrap();
    let (scores, gradients) = autograd::training_step(Precision::F32, || {
        let scores = discriminator.scores(&images, classes.as_ref(), true).unwrap();
        let along = autograd::tangent(&scores, &images, &direction).unwrap();
        let squares = ops::half_mean_square(&scores, 0.0).unwrap();
        let loss = autograd::add(&autograd::add(&squares, &squares).unwrap(), &minimised(&along).unwrap()).unwrap();
        (scores.detach(), autograd::backward(&loss).unwrap())
    });
    record.scores.assert(&format!("{name}: scores"), &values(&scores));
    let gradient = |(name, variable): (String, Var)| (name, gradients.get(&variable).unwrap().clone());
    let found: BTreeMap<String, Tensor> = parameters.trainable().into_iter().map(gradient).collect();
    assert!(found.keys().eq(record.gradients.keys()), "{name}: {:?}", found.keys());
    for (parameter, want) in &record.gradients {
        want.hold_relative(&format!("{name}: {parameter}"), &found[parameter], 1e-4);
    }
}

#[test]
fn the_fully_connected_discriminator_is_pytorchs() {
    check("mlp", Architecture::Vanilla, ImageShape::COURSE);
}

#[test]
fn those_of_the_dcgan_are_pytorchs() {
    check("dcgan", Architecture::Dcgan, ImageShape::COURSE);
    check("conditional_dcgan", Architecture::Dcgan, ImageShape::COURSE);
    check("radford_32", Architecture::Dcgan, ImageShape::new(32, 32, 1));
}

#[test]
fn ten_steps_are_pytorchs() {
    let record: Trajectory = read_part("spectral", "trajectory");
    let lr = record.lr.to_string();
    let config = config(&["--model", "vanilla", "--loss", "hinge", "--spectral-norm", "--no-ema", "--lr", &lr]);
    let mut adversaries = Adversaries::new(&config, &device()).unwrap();
    fill("spectral_mlp", adversaries.discriminator_parameters(), |layer| mlp_gain("discriminator", layer));
    fill("mlp_generator", adversaries.generator_parameters(), |layer| mlp_gain("generator", layer));
    let (mut d_losses, mut g_losses) = (Vec::new(), Vec::new());
    for step in 0..record.d_loss.want.len() {
        let [of_d, of_g] = ["discriminator", "generator"]
            .map(|of| symmetric(&format!("latents.{step}.{of}"), &[record.batch, config.latent_dim]));
        let real = real_images(step * record.batch, record.batch);
        let outcome = adversaries.step(&real, &of_d, &of_g).unwrap();
        d_losses.extend(values(&outcome.d_loss));
        g_losses.extend(values(&outcome.g_loss));
    }
    let tolerance = |spread: f64| TOLERANCE.max(ALLOWANCE * spread);
    record.d_loss.assert("d_loss", &d_losses, tolerance);
    record.g_loss.assert("g_loss", &g_losses, tolerance);
}

/// After many steps of power iteration every normalised weight has 1 for its largest singular value.
#[test]
fn the_largest_singular_value_becomes_one() {
    let parameters = Parameters::new(3, "discriminator", &device());
    let discriminator =
        Discriminator::with(Architecture::Dcgan, ImageShape::COURSE, 0, true, parameters.builder()).unwrap();
    discriminator.iterate_singular_vectors(300).unwrap();
    for layer in ["1", "4", "10"] {
        let tensor = |name: &str| parameters.tensors()[&format!("{layer}.parametrizations.weight.{name}")].clone();
        let normalised = ops::spectral_weight(&tensor("original"), &tensor("0._u"), &tensor("0._v")).unwrap();
        let rows = normalised.flatten_from(1).unwrap();
        // Of W Wᵀ the trace of a high power is that of the largest singular value.
        let mut power = rows.matmul(&rows.t().unwrap()).unwrap();
        for _ in 0..12 {
            power = power.matmul(&power).unwrap();
        }
        let trace: f64 = (0..power.dim(0).unwrap()).map(|at| values(&power.get(at).unwrap())[at]).sum();
        let largest = trace.powf(1.0 / f64::from(2 << 12));
        assert!((largest - 1.0).abs() < 1e-3, "layer {layer}: {largest}");
    }
}
