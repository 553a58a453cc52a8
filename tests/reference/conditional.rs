//! Conditional GANs: the discriminators with classes, their gradients, and ten steps of training.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};
use gan::data::one_hot;
use gan::image_shape::ImageShape;
use gan::models::{Architecture, Discriminator};
use gan::params::Parameters;
use gan::train::adversaries::{Adversaries, StepInputs};
use gan::train::gan_config::GanConfig;
use serde::Deserialize;

use super::rule::{bytes, fill, real_images, symmetric};
use super::trajectories::{ALLOWANCE, TOLERANCE, Trajectory, config, dcgan_gain, mlp_gain};
use super::vectors::{Output, Summary, assert_all, read_part, values};
use crate::device::device;

pub(super) const CLASSES: usize = 10;
const BATCH: usize = 8;

/// One-hot classes by the rule of `generate_conditional.py`, (N, K).
pub(super) fn classes(name: &str, count: usize) -> Tensor {
    let labels: Vec<u32> = bytes(name, count).into_iter().map(|byte| u32::from(byte) % CLASSES as u32).collect();
    Tensor::from_vec(one_hot(&labels, CLASSES), (count, CLASSES), &device()).unwrap()
}

#[derive(Deserialize)]
struct Network {
    parameters: usize,
    output: Output,
    /// Of the images and of every parameter.
    gradients: BTreeMap<String, Summary>,
}

fn check(name: &str, architecture: Architecture, shape: ImageShape) {
    let record = read_part::<BTreeMap<String, Network>>("conditional", "networks").remove(name).unwrap();
    let name = format!("conditional_{name}");
    let parameters = Parameters::new(0, "reference", &device());
    let discriminator = Discriminator::conditional(architecture, shape, CLASSES, parameters.builder()).unwrap();
    fill(&name, &parameters, |_| 1.0);
    assert_eq!(parameters.count(), record.parameters, "{name}");

    let ImageShape { height, width, channels } = shape;
    let images = symmetric(&format!("{name}.inputs"), &[BATCH, height, width, channels]);
    let images = Var::from_tensor(&images).unwrap();
    let classes = classes(&format!("{name}.classes"), BATCH);
    let scores = discriminator.scores(&images, Some(&classes), true).unwrap();
    record.output.assert(&format!("{name}: scores"), &scores);
    let cotangent = symmetric(&format!("{name}.cotangent"), scores.dims());
    let gradients = (scores * cotangent).unwrap().sum_all().unwrap().backward().unwrap();
    let gradient = |(name, variable): (String, Var)| (name, gradients.get(&variable).unwrap().clone());
    let variables = parameters.trainable().into_iter().chain([("inputs".to_string(), images.clone())]);
    assert_all(&format!("{name}: gradients"), &record.gradients, &variables.map(gradient).collect());

    assert!(discriminator.scores(&images, None, true).is_err(), "{name} without classes");
    assert!(discriminator.scores(&images, Some(&classes.narrow(1, 0, 3).unwrap()), true).is_err());
}

#[test]
fn the_fully_connected_discriminator_is_pytorchs() {
    check("mlp_discriminator", Architecture::Vanilla, ImageShape::COURSE);
}

#[test]
fn the_projection_of_the_dcgan_is_pytorchs() {
    check("dcgan_discriminator", Architecture::Dcgan, ImageShape::COURSE);
}

#[test]
fn the_projection_of_radfords_discriminator_is_pytorchs() {
    check("radford_discriminator", Architecture::Dcgan, ImageShape::new(32, 32, 1));
}

fn check_steps(name: &str, networks: &str, gain: fn(&str, &str) -> f64, flags: &[&str]) {
    let record = read_part::<BTreeMap<String, Trajectory>>("conditional", "trajectories").remove(name).unwrap();
    let lr = record.lr.to_string();
    let class_names = (0..CLASSES).map(|class| class.to_string()).collect();
    let config = config(&[&["--conditional", "--no-ema", "--lr", &lr], flags].concat());
    let config = GanConfig { class_names, ..config };
    let mut adversaries = Adversaries::new(&config, &device()).unwrap();
    for (part, parameters) in
        [("discriminator", adversaries.discriminator_parameters()), ("generator", adversaries.generator_parameters())]
    {
        let gain = |layer: &str| if layer == "embedding" { 1.0 } else { gain(part, layer) };
        fill(&format!("conditional_{networks}_{part}"), parameters, gain);
    }
    let (mut d_losses, mut g_losses) = (Vec::new(), Vec::new());
    for step in 0..record.d_loss.want.len() {
        let latents = |of| symmetric(&format!("latents.{step}.{of}"), &[record.batch, config.latent_dim]);
        let classes = |of| classes(&format!("classes.{step}.{of}"), record.batch);
        let inputs = StepInputs {
            real: real_images(step * record.batch, record.batch),
            latents: ["discriminator", "generator"].map(latents),
            distortions: None,
            classes: Some(["real", "discriminator", "generator"].map(classes)),
            mixing: None,
            lr_scale: 1.0,
        };
        let outcome = adversaries.step_on(&inputs).unwrap();
        d_losses.extend(values(&outcome.d_loss));
        g_losses.extend(values(&outcome.g_loss));
    }
    let tolerance = |spread: f64| TOLERANCE.max(ALLOWANCE * spread);
    record.d_loss.assert(&format!("{name}: d_loss"), &d_losses, tolerance);
    record.g_loss.assert(&format!("{name}: g_loss"), &g_losses, tolerance);
    for (part, want, parameters) in [
        ("discriminator", &record.discriminator, adversaries.discriminator_parameters()),
        ("generator", &record.generator, adversaries.generator_parameters()),
    ] {
        let mut tensors = parameters.tensors();
        tensors.retain(|name, _| !name.ends_with("num_batches_tracked"));
        assert_all(&format!("{name}: {part}"), want, &tensors);
    }
}

#[test]
fn ten_steps_of_the_vanilla_gan_are_pytorchs() {
    check_steps("vanilla", "mlp", mlp_gain, &["--model", "vanilla"]);
}

#[test]
fn ten_steps_with_the_penalty_are_pytorchs() {
    check_steps("vanilla_r1", "mlp", mlp_gain, &["--model", "vanilla", "--r1", "2", "--r1-every", "2"]);
}

#[test]
fn ten_steps_of_the_dcgan_are_pytorchs() {
    check_steps("dcgan", "dcgan", dcgan_gain, &["--model", "dcgan"]);
}
