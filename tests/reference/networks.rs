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

/// `folded` is the network with its batch norms folded into its weights as they are, if it has some.
fn check(
    name: &str,
    inputs: &[usize],
    build: impl Fn(&Parameters) -> Box<dyn ModuleT>,
    folded: impl Fn(&Parameters) -> Option<Box<dyn ModuleT>>,
) {
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
        let folded = folded(&parameters).unwrap();
        evaluated.assert(&format!("{name}: folded"), &folded.forward_t(&first, false).unwrap());
        for (name, buffer) in parameters.tensors().iter().filter(|(name, _)| before.contains_key(*name)) {
            let change = (buffer - &before[name]).unwrap().abs().unwrap().max_all().unwrap();
            assert_eq!(change.to_scalar::<f32>().unwrap(), 0.0, "{name} changed in evaluation");
        }
    }
}

fn discriminator(model: Architecture, parameters: &Parameters) -> Discriminator {
    Discriminator::new(model, model.image_shape(), parameters.builder()).unwrap()
}

fn generator(model: Architecture, parameters: &Parameters) -> Generator {
    Generator::new(model, LATENTS[1], model.image_shape(), parameters.builder()).unwrap()
}

#[test]
fn the_mlp_discriminator_is_pytorchs() {
    let build =
        |parameters: &Parameters| -> Box<dyn ModuleT> { Box::new(discriminator(Architecture::Vanilla, parameters)) };
    check("mlp_discriminator", &IMAGES, build, |_| None);
}

#[test]
fn the_mlp_generator_is_pytorchs() {
    let build =
        |parameters: &Parameters| -> Box<dyn ModuleT> { Box::new(generator(Architecture::Vanilla, parameters)) };
    check("mlp_generator", &LATENTS, build, |_| None);
}

#[test]
fn the_dcgan_discriminator_is_pytorchs() {
    let build =
        |parameters: &Parameters| -> Box<dyn ModuleT> { Box::new(discriminator(Architecture::Dcgan, parameters)) };
    check("dcgan_discriminator", &IMAGES, build, |_| None);
}

#[test]
fn the_dcgan_generator_is_pytorchs() {
    let build = |parameters: &Parameters| generator(Architecture::Dcgan, parameters);
    check(
        "dcgan_generator",
        &LATENTS,
        |parameters| Box::new(build(parameters)),
        |parameters| Some(Box::new(build(parameters).folded().unwrap())),
    );
}
