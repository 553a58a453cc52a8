//! An accelerator against the CPU: what is computed there is what is computed here, and what is drawn is the same to the
//! bit. `ops` and `reference` hold the device that `GAN_TEST_DEVICE` names to f64 and to PyTorch; `gpu.sh` runs all three.
//!
//! Every test here that needs an accelerator is ignored unless it is asked for. With `GAN_TEST_DEVICE=cpu` the CPU is held
//! against itself, which tests the tests.

mod samples;
mod seeds;
mod shards;
mod steps;
mod views;

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use clap::{Args, Command, FromArgMatches};
use gan::autograd::Precision;
use gan::models::Architecture;
use gan::rng::Stream;
use gan::train::adversaries::Adversaries;
use gan::train::contrastive::Contrastive;
use gan::train::gan_config::GanConfig;
use gan::train::simclr_config::SimclrConfig;

/// The configuration that a command has with these flags.
pub fn config<C: Args + FromArgMatches>(flags: &[&str]) -> C {
    let command = C::augment_args(Command::new("gan").no_binary_name(true));
    C::from_arg_matches(&command.get_matches_from(flags)).unwrap()
}

pub fn adversaries(model: Architecture, precision: Precision, device: &Device) -> Adversaries {
    // At a rate of 0 nothing moves, and the first moments are the gradients times 1 - beta1.
    adversaries_with(model, &["--lr", "0", "--precision", precision.name()], device)
}

pub fn adversaries_with(model: Architecture, flags: &[&str], device: &Device) -> Adversaries {
    Adversaries::new(&config::<GanConfig>(&[&["--model", model.name()], flags].concat()), device).unwrap()
}

pub fn contrastive(encoder: &str, precision: Precision, device: &Device) -> Contrastive {
    // At a rate of 0 and without decay nothing moves, and the first velocities are the gradients.
    let flags = ["--encoder", encoder, "--optimizer", "sgd", "--weight-decay", "0", "--precision", precision.name()];
    Contrastive::new(&config::<SimclrConfig>(&flags), device).unwrap()
}

/// Uniform in (-1, 1), the same on every device.
pub fn random(purpose: &str, dims: &[usize], device: &Device) -> Tensor {
    let mut generator = Stream::new(11, purpose).at(0);
    let values: Vec<f32> = (0..dims.iter().product()).map(|_| generator.symmetric()).collect();
    Tensor::from_vec(values, dims, device).unwrap()
}

pub fn values(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.to_device(&Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// That two states have the same tensors, each with a difference whose L2 norm is at most `tolerance` of the tensor's own.
/// Says the largest.
pub fn assert_near(what: &str, found: &BTreeMap<String, Tensor>, expected: &BTreeMap<String, Tensor>, tolerance: f64) {
    assert!(found.keys().eq(expected.keys()), "{what}: {:?} for {:?}", found.keys(), expected.keys());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let mut worst = (0.0, "");
    for (name, expected) in expected {
        assert_eq!(found[name].dims(), expected.dims(), "{what}: {name}");
        let (found, expected) = (values(&found[name]), values(expected));
        let size = norm(&mut expected.iter().copied());
        let error = norm(&mut found.iter().zip(&expected).map(|(found, expected)| found - expected));
        // Second moments are squares of gradients: twice as far off.
        let tolerance = if name.ends_with("exp_avg_sq") { 2.0 * tolerance } else { tolerance };
        assert!(error <= tolerance * size, "{what}: {name} is off by {error:e} of {size:e}"); // a NaN is not
        if error > worst.0 * size {
            worst = (error / size, name);
        }
    }
    println!("{what}: at most {:.1e}, of {}", worst.0, worst.1);
}
