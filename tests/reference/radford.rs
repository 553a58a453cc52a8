//! The networks of PyTorch's DCGAN example at 64x64 in colour: outputs, gradients of everything, batch-norm statistics, and
//! ten steps of training.

use std::collections::BTreeMap;

use candle_core::{ModuleT, Tensor, Var};
use clap::{Args, Command, FromArgMatches};
use gan::image_shape::ImageShape;
use gan::models::{Architecture, Discriminator, Generator};
use gan::params::{Parameters, is_buffer};
use gan::train::adversaries::Adversaries;
use gan::train::gan_config::GanConfig;
use serde::Deserialize;

use super::rule::{fill, symmetric};
use super::trajectories::{ALLOWANCE, TOLERANCE, Trajectory};
use super::vectors::{Glimpse, Held, assert_all, read_part, values};
use crate::device::device;

const SHAPE: ImageShape = ImageShape::new(64, 64, 3);
const LATENT_DIM: usize = 100;
const BATCH: usize = 4;

#[derive(Deserialize)]
struct Network {
    parameters: usize,
    output: Glimpse,
    /// Of the inputs and of every parameter.
    gradients: BTreeMap<String, Glimpse>,
    /// After two batches in training mode, and the first batch in evaluation mode after them.
    buffers: BTreeMap<String, Glimpse>,
    evaluated: Glimpse,
}

fn check(part: &str, inputs: &[usize], build: impl Fn(&Parameters) -> (Box<dyn ModuleT>, Option<Generator>)) {
    let record = read_part::<BTreeMap<String, Network>>("radford", "networks").remove(part).unwrap();
    let (name, parameters) = (format!("radford_{part}"), Parameters::new(0, "reference", &device()));
    build(&parameters);
    fill(&name, &parameters, |_| 1.0);
    let (network, _) = build(&parameters);
    assert_eq!(parameters.count(), record.parameters, "{name}");

    let first = Var::from_tensor(&symmetric(&format!("{name}.inputs"), inputs)).unwrap();
    let output = network.forward_t(&first, true).unwrap();
    record.output.hold(&format!("{name}: output"), &output);
    let cotangent = symmetric(&format!("{name}.cotangent"), output.dims());
    let gradients = (output * cotangent).unwrap().sum_all().unwrap().backward().unwrap();
    let gradient = |(name, variable): (String, Var)| (name, gradients.get(&variable).unwrap().clone());
    let variables = parameters.trainable().into_iter().chain([("inputs".to_string(), first.clone())]);
    assert_all(&format!("{name}: gradients"), &record.gradients, &variables.map(gradient).collect());

    network.forward_t(&symmetric(&format!("{name}.second_inputs"), inputs), true).unwrap();
    let mut buffers: BTreeMap<String, Tensor> = parameters.tensors();
    buffers.retain(|name, _| is_buffer(name));
    for (name, batches) in buffers.extract_if(.., |name, _| name.ends_with("num_batches_tracked")) {
        assert_eq!(batches.to_scalar::<i64>().unwrap(), 2, "{name}");
    }
    assert_all(&format!("{name}: buffers"), &record.buffers, &buffers);
    record.evaluated.hold(&format!("{name}: in evaluation"), &network.forward_t(&first, false).unwrap());
    if let (_, Some(generator)) = build(&parameters) {
        let folded = generator.folded().unwrap().forward_t(&first, false).unwrap();
        record.evaluated.hold(&format!("{name}: folded"), &folded);
    }
}

#[test]
fn the_generator_is_pytorchs() {
    let generator =
        |parameters: &Parameters| Generator::new(Architecture::Dcgan, LATENT_DIM, SHAPE, parameters.builder()).unwrap();
    check("generator", &[BATCH, LATENT_DIM], |parameters| {
        (Box::new(generator(parameters)), Some(generator(parameters)))
    });
}

#[test]
fn the_discriminator_is_pytorchs() {
    let images = [BATCH, SHAPE.height, SHAPE.width, SHAPE.channels];
    check("discriminator", &images, |parameters| {
        (Box::new(Discriminator::new(Architecture::Dcgan, SHAPE, parameters.builder()).unwrap()), None)
    });
}

/// Noise over a coarser noise, by the rule of `generate_radford.py`.
fn real_images(step: usize, count: usize) -> Tensor {
    let ImageShape { height, width, channels } = SHAPE;
    let coarse = symmetric(&format!("radford.coarse.{step}"), &[count, height / 8, 1, width / 8, 1, channels]);
    let coarse = coarse.broadcast_as((count, height / 8, 8, width / 8, 8, channels)).unwrap();
    let coarse = coarse.contiguous().unwrap().reshape((count, height, width, channels)).unwrap();
    let noise = symmetric(&format!("radford.noise.{step}"), &[count, height, width, channels]);
    ((coarse * 0.5).unwrap() + (noise * 0.5).unwrap()).unwrap()
}

/// `GAINS` of `generate_radford.py`, where the reason stands.
fn gain(part: &str, layer: &str) -> f64 {
    match (part, layer) {
        ("generator", "main.0" | "main.3" | "main.6" | "main.9") => 64.0,
        ("discriminator", "main.0" | "main.2" | "main.5" | "main.8") => 64.0,
        ("discriminator", "main.11") => 0.25,
        _ => 1.0,
    }
}

#[test]
fn ten_steps_are_pytorchs() {
    let record: Trajectory = read_part("radford", "trajectory");
    let flags = ["--image-size", "64", "--channels", "3", "--latent-dim", "100", "--lr", "2e-4", "--no-ema"];
    let matches = GanConfig::augment_args(Command::new("train-gan").no_binary_name(true)).get_matches_from(flags);
    let config = GanConfig::from_arg_matches(&matches).unwrap();
    assert_eq!(config.lr, record.lr);
    let mut adversaries = Adversaries::new(&config, &device()).unwrap();
    for (part, parameters) in
        [("discriminator", adversaries.discriminator_parameters()), ("generator", adversaries.generator_parameters())]
    {
        fill(&format!("radford_{part}"), parameters, |layer| gain(part, layer));
    }
    let (mut d_losses, mut g_losses) = (Vec::new(), Vec::new());
    for step in 0..record.d_loss.want.len() {
        let [of_d, of_g] = ["discriminator", "generator"]
            .map(|of| symmetric(&format!("latents.{step}.{of}"), &[record.batch, LATENT_DIM]));
        let outcome = adversaries.step(&real_images(step, record.batch), &of_d, &of_g).unwrap();
        d_losses.extend(values(&outcome.d_loss));
        g_losses.extend(values(&outcome.g_loss));
    }
    let tolerance = |spread: f64| TOLERANCE.max(ALLOWANCE * spread);
    record.d_loss.assert("d_loss", &d_losses, tolerance);
    record.g_loss.assert("g_loss", &g_losses, tolerance);
    for (part, want, parameters, passes) in [
        // On real images, on fakes, and in the generator's step; and of the generator one in each network's.
        ("discriminator", &record.discriminator, adversaries.discriminator_parameters(), 3),
        ("generator", &record.generator, adversaries.generator_parameters(), 2),
    ] {
        let mut tensors = parameters.tensors();
        for (name, batches) in tensors.extract_if(.., |name, _| name.ends_with("num_batches_tracked")) {
            assert_eq!(batches.to_scalar::<i64>().unwrap() as usize, passes * d_losses.len(), "{name}");
        }
        assert_all(part, want, &tensors);
    }
}
