//! Ten steps of training, from the same weights, batches and latents as PyTorch's.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use clap::{Args, Command, FromArgMatches};
use gan::params::Parameters;
use gan::train::adversaries::Adversaries;
use gan::train::gan_config::GanConfig;
use serde::Deserialize;

use super::rule::{fill, real_images, symmetric};
use super::vectors::{Summary, assert_all, read, values};

/// What the losses must agree to, relative, at every step.
const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
struct Record {
    batch: usize,
    d_loss: Losses,
    g_loss: Losses,
    /// Parameters and batch-norm statistics after the last step.
    discriminator: BTreeMap<String, Summary>,
    generator: BTreeMap<String, Summary>,
}

#[derive(Deserialize)]
struct Losses {
    want: Vec<f64>,
    torch_f32_relative_error: f64,
}

impl Losses {
    fn assert(&self, what: &str, found: &[f64]) {
        assert_eq!(found.len(), self.want.len(), "{what}");
        // A trajectory that PyTorch's own f32 cannot hold would test nothing.
        assert!(self.torch_f32_relative_error < TOLERANCE / 5.0, "{what} is badly conditioned");
        let errors: Vec<f64> = found.iter().zip(&self.want).map(|(found, want)| (found / want - 1.0).abs()).collect();
        assert!(errors.iter().all(|error| *error < TOLERANCE), "{what}: relative errors {errors:?}");
    }
}

/// The configuration that `train-gan` has with these flags.
fn config(flags: &[&str]) -> GanConfig {
    let matches = GanConfig::augment_args(Command::new("train-gan").no_binary_name(true)).get_matches_from(flags);
    GanConfig::from_arg_matches(&matches).unwrap()
}

fn tensors(parameters: &Parameters) -> BTreeMap<String, Tensor> {
    let mut tensors = parameters.tensors();
    tensors.retain(|name, _| !name.ends_with("num_batches_tracked"));
    tensors
}

fn check(model: &str, networks: &str) {
    let record = read::<BTreeMap<String, Record>>("trajectories").remove(model).unwrap();
    let config = config(&["--model", model, "--no-ema"]);
    let mut adversaries = Adversaries::new(&config, &Device::Cpu).unwrap();
    fill(&format!("{networks}_discriminator"), adversaries.discriminator_parameters());
    fill(&format!("{networks}_generator"), adversaries.generator_parameters());

    let (mut d_losses, mut g_losses) = (Vec::new(), Vec::new());
    for step in 0..record.d_loss.want.len() {
        let real = real_images(step * record.batch, record.batch);
        let latents = |of| symmetric(&format!("latents.{step}.{of}"), &[record.batch, config.latent_dim]);
        let outcome = adversaries.step(&real, &latents("discriminator"), &latents("generator")).unwrap();
        d_losses.extend(values(&outcome.d_loss));
        g_losses.extend(values(&outcome.g_loss));
    }
    record.d_loss.assert(&format!("{model}: d_loss"), &d_losses);
    record.g_loss.assert(&format!("{model}: g_loss"), &g_losses);
    for (part, want, found) in [
        ("discriminator", &record.discriminator, adversaries.discriminator_parameters()),
        ("generator", &record.generator, adversaries.generator_parameters()),
    ] {
        assert_all(&format!("{model}: {part}"), want, &tensors(found), Summary::assert_trained);
    }
    for (name, tensor) in adversaries.generator_parameters().tensors() {
        if name.ends_with("num_batches_tracked") {
            // The generator runs twice a step.
            assert_eq!(tensor.to_scalar::<i64>().unwrap() as usize, 2 * d_losses.len(), "{name}");
        }
    }
}

#[test]
fn ten_steps_of_the_vanilla_gan_are_pytorchs() {
    check("vanilla", "mlp");
}

#[test]
fn ten_steps_of_the_least_squares_gan_are_pytorchs() {
    check("lsgan", "mlp");
}

#[test]
fn ten_steps_of_the_dcgan_are_pytorchs() {
    check("dcgan", "dcgan");
}
