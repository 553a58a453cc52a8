//! Penalties on the gradient of a discriminator's scores, and their gradients in every weight, against PyTorch's
//! `create_graph=True`; and against central differences of the penalties themselves.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, Var};
use gan::autograd::{self, Precision};
use gan::image_shape::ImageShape;
use gan::losses::gradient_penalty::{GradientPenalty, minimised};
use gan::models::{Architecture, Discriminator};
use gan::params::Parameters;
use serde::Deserialize;

use super::conditional::{CLASSES, classes};
use super::rule::{fill, symmetric};
use super::vectors::{Glimpse, read, values};
use crate::device::device;

/// Of each tensor's gradient, relative to its root mean square.
const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
struct Record {
    gamma: f64,
    lambda: f64,
    discriminators: BTreeMap<String, OfDiscriminator>,
}

#[derive(Deserialize)]
struct OfDiscriminator {
    batch: usize,
    zero_centred: OfPenalty,
    one_centred: OfPenalty,
}

#[derive(Deserialize)]
struct OfPenalty {
    value: f64,
    /// Of the parameters that the penalty depends on smoothly.
    gradients: BTreeMap<String, Glimpse>,
}

/// A discriminator at a batch.
struct Case {
    parameters: Parameters,
    discriminator: Discriminator,
    images: Tensor,
    classes: Option<Tensor>,
}

impl Case {
    fn new(name: &str, architecture: Architecture, shape: ImageShape, batch: usize) -> Self {
        let is_conditional = name.starts_with("conditional");
        let parameters = Parameters::new(0, "reference", &device());
        let count = if is_conditional { CLASSES } else { 0 };
        let discriminator = Discriminator::conditional(architecture, shape, count, parameters.builder()).unwrap();
        let name = format!("penalties_{name}");
        fill(&name, &parameters, |_| 1.0);
        let ImageShape { height, width, channels } = shape;
        let images = symmetric(&format!("{name}.images"), &[batch, height, width, channels]);
        let classes = is_conditional.then(|| classes(&format!("{name}.classes"), batch));
        Self { parameters, discriminator, images, classes }
    }

    fn scores(&self, images: &Tensor) -> Result<Tensor> {
        self.discriminator.scores(images, self.classes.as_ref(), true)
    }

    /// Of each image's score in its pixels.
    fn gradients(&self) -> Tensor {
        let images = Var::from_tensor(&self.images).unwrap();
        let backward = || autograd::backward(&self.scores(&images)?);
        autograd::training_step(Precision::F32, backward).unwrap().remove(&images).unwrap()
    }

    fn norms(&self) -> Vec<f64> {
        let gradients = self.gradients();
        let rows = (0..gradients.dim(0).unwrap()).map(|row| values(&gradients.get(row).unwrap()));
        rows.map(|row| row.iter().map(|g| g * g).sum::<f64>().sqrt()).collect()
    }

    /// The gradient of a penalty in the parameters.
    fn of_penalty(&self, penalty: GradientPenalty) -> BTreeMap<String, Tensor> {
        let direction = penalty.direction(&self.gradients()).unwrap();
        let images = Var::from_tensor(&self.images).unwrap();
        let backward = || {
            let along = autograd::tangent(&self.scores(&images)?, &images, &direction)?;
            autograd::backward(&minimised(&along)?)
        };
        let mut found = autograd::training_step(Precision::F32, backward).unwrap();
        let gradient = |(name, variable): (String, Var)| Some((name, found.remove(&variable)?));
        self.parameters.trainable().into_iter().filter_map(gradient).collect()
    }
}

fn value(penalty: GradientPenalty, norms: &[f64]) -> f64 {
    let of = |norm: &f64| match penalty {
        GradientPenalty::ZeroCentred { gamma } => gamma / 2.0 * norm * norm,
        GradientPenalty::OneCentred { lambda } => lambda * (norm - 1.0) * (norm - 1.0),
    };
    norms.iter().map(of).sum::<f64>() / norms.len() as f64
}

fn check(name: &str, architecture: Architecture, shape: ImageShape) {
    let Record { gamma, lambda, mut discriminators } = read("penalties");
    let record = discriminators.remove(name).unwrap();
    let case = Case::new(name, architecture, shape, record.batch);
    for (penalty, want) in [
        (GradientPenalty::ZeroCentred { gamma }, record.zero_centred),
        (GradientPenalty::OneCentred { lambda }, record.one_centred),
    ] {
        let what = format!("{name}: {penalty:?}");
        let found = value(penalty, &case.norms());
        assert!((found / want.value - 1.0).abs() < TOLERANCE, "{what}: {found}, not {}", want.value);
        let found = case.of_penalty(penalty);
        for (parameter, want) in &want.gradients {
            want.hold_relative(&format!("{what}: {parameter}"), &found[parameter], TOLERANCE);
        }
        for (parameter, gradient) in found.iter().filter(|(parameter, _)| !want.gradients.contains_key(*parameter)) {
            assert!(values(gradient).iter().all(|g| *g == 0.0), "{what}: {parameter} turns units on and off alone");
        }
    }
}

const GREY_32: ImageShape = ImageShape::new(32, 32, 1);

#[test]
fn of_the_fully_connected_discriminator_they_are_pytorchs() {
    for model in [Architecture::Vanilla, Architecture::Lsgan] {
        check("mlp", model, ImageShape::COURSE);
        check("conditional_mlp", model, ImageShape::COURSE);
    }
}

#[test]
fn of_the_dcgan_they_are_pytorchs() {
    check("dcgan", Architecture::Dcgan, ImageShape::COURSE);
    check("conditional_dcgan", Architecture::Dcgan, ImageShape::COURSE);
}

/// Through the statistics of the batch too.
#[test]
fn of_radfords_discriminator_they_are_pytorchs() {
    check("radford_32", Architecture::Dcgan, GREY_32);
    check("conditional_radford_32", Architecture::Dcgan, GREY_32);
    check("radford_64", Architecture::Dcgan, ImageShape::new(64, 64, 3));
}

/// As the weights move along a direction by so little that few units turn on or off, the penalty changes as its gradient
/// says. Radford's discriminator has so many units near 0 that no step in f32 is small enough; the derivative of its batch
/// norms is held against that of its twin in f64.
#[test]
fn their_gradients_are_those_of_differences_of_the_penalties() {
    for (name, architecture, shape) in [
        ("mlp", Architecture::Vanilla, ImageShape::COURSE),
        ("conditional_dcgan", Architecture::Dcgan, ImageShape::COURSE),
    ] {
        let case = Case::new(name, architecture, shape, 4);
        let weights: BTreeMap<String, Tensor> =
            case.parameters.tensors().into_iter().map(|(name, tensor)| (name, tensor.copy().unwrap())).collect();
        for penalty in [GradientPenalty::ZeroCentred { gamma: 3.0 }, GradientPenalty::OneCentred { lambda: 10.0 }] {
            let gradients = case.of_penalty(penalty);
            // Along the gradient itself the change is the largest.
            let size: f64 = gradients.values().flat_map(values).map(|g| g * g).sum::<f64>().sqrt();
            let moved = |by: f64| {
                let moved = weights.iter().map(|(name, weight)| {
                    let change = gradients.get(name).map(|gradient| (gradient * (by / size)).unwrap());
                    (name.clone(), change.map_or(weight.clone(), |change| (weight + change).unwrap()))
                });
                case.parameters.load(&moved.collect()).unwrap();
                value(penalty, &case.norms())
            };
            let h = 5e-5;
            let found = (moved(h) - moved(-h)) / (2.0 * h);
            case.parameters.load(&weights).unwrap();
            assert!((found / size - 1.0).abs() < 0.05, "{name}: {penalty:?}: {found}, not {size}");
        }
    }
}
