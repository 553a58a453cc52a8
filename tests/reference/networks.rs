//! Each network alone: outputs, gradients of everything, batch-norm statistics.

use std::collections::BTreeMap;

use candle_core::{ModuleT, Tensor, Var};
use gan::models::{Architecture, Discriminator, Generator};
use gan::params::{Parameters, is_buffer};
use serde::Deserialize;

use super::rule::{fill, symmetric};
use super::vectors::{Output, Summary, assert_all, read};
use crate::device::device;

const BATCH: usize = 8;
const LATENTS: [usize; 2] = [BATCH, 96];
const IMAGES: [usize; 4] = [BATCH, 28, 28, 1];

#[derive(Deserialize)]
struct Record {
    parameters: usize,
    output: Output,
    /// Of the inputs and of every parameter.
    gradients: BTreeMap<String, Summary>,
    /// Batch-norm statistics after two batches in training mode, and the first batch in evaluation mode after them.
    buffers_after_two: Option<BTreeMap<String, Summary>>,
    evaluated: Option<Output>,
}

fn check(name: &str, inputs: &[usize], build: impl Fn(&Parameters) -> Box<dyn ModuleT>) {
    let record = read::<BTreeMap<String, Record>>("networks").remove(name).unwrap();
    let parameters = Parameters::new(0, "reference", &device());
    let network = build(&parameters);
    fill(name, &parameters, |_| 1.0);
    assert_eq!(parameters.count(), record.parameters, "{name}");

    let first = Var::from_tensor(&symmetric(&format!("{name}.inputs"), inputs)).unwrap();
    let output = network.forward_t(&first, true).unwrap();
    record.output.assert(&format!("{name}: output"), &output);

    let cotangent = symmetric(&format!("{name}.cotangent"), output.dims());
    let gradients = (output * cotangent).unwrap().sum_all().unwrap().backward().unwrap();
    let gradient = |(name, variable): (String, Var)| {
        let gradient = gradients.get(&variable).unwrap_or_else(|| panic!("no gradient reached {name}")).clone();
        assert_eq!(gradient.dims(), variable.dims(), "{name}");
        (name, gradient)
    };
    let variables = parameters.trainable().into_iter().chain([("inputs".to_string(), first.clone())]);
    assert_all(&format!("{name}: gradients"), &record.gradients, &variables.map(gradient).collect());

    network.forward_t(&symmetric(&format!("{name}.second_inputs"), inputs), true).unwrap();
    let mut buffers: BTreeMap<String, Tensor> = parameters.tensors();
    buffers.retain(|name, _| is_buffer(name));
    for (name, batches) in buffers.extract_if(.., |name, _| name.ends_with("num_batches_tracked")) {
        assert_eq!(batches.to_scalar::<i64>().unwrap(), 2, "{name}");
    }
    assert_all(&format!("{name}: buffers"), &record.buffers_after_two.unwrap_or_default(), &buffers);
    if let Some(evaluated) = record.evaluated {
        let before = buffers;
        evaluated.assert(&format!("{name}: in evaluation"), &network.forward_t(&first, false).unwrap());
        for (name, buffer) in parameters.tensors().iter().filter(|(name, _)| before.contains_key(*name)) {
            let change = (buffer - &before[name]).unwrap().abs().unwrap().max_all().unwrap();
            assert_eq!(change.to_scalar::<f32>().unwrap(), 0.0, "{name} changed in evaluation");
        }
    }
}

#[test]
fn the_mlp_discriminator_is_pytorchs() {
    check("mlp_discriminator", &IMAGES, |parameters| {
        Box::new(
            Discriminator::new(Architecture::Vanilla, Architecture::Vanilla.image_shape(), parameters.builder())
                .unwrap(),
        )
    });
}

#[test]
fn the_mlp_generator_is_pytorchs() {
    check("mlp_generator", &LATENTS, |parameters| {
        Box::new(
            Generator::new(
                Architecture::Vanilla,
                LATENTS[1],
                Architecture::Vanilla.image_shape(),
                parameters.builder(),
            )
            .unwrap(),
        )
    });
}

#[test]
fn the_dcgan_discriminator_is_pytorchs() {
    check("dcgan_discriminator", &IMAGES, |parameters| {
        Box::new(
            Discriminator::new(Architecture::Dcgan, Architecture::Dcgan.image_shape(), parameters.builder()).unwrap(),
        )
    });
}

#[test]
fn the_dcgan_generator_is_pytorchs() {
    check("dcgan_generator", &LATENTS, |parameters| {
        Box::new(
            Generator::new(Architecture::Dcgan, LATENTS[1], Architecture::Dcgan.image_shape(), parameters.builder())
                .unwrap(),
        )
    });
}
