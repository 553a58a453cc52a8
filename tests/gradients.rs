//! Gradients of whole steps pass one place before the update, and what stands there changes nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{Device, Result, Tensor};
use gan::models::Architecture;
use gan::optim::{ClipGlobalNorm, GradientTransform};
use gan::train::contrastive::Contrastive;
use gan::train::simclr_config::SimclrConfig;

use crate::accelerator::{adversaries_with, config, random};
use crate::support::bytes_of;

type State = BTreeMap<String, Vec<u8>>;
type Transform = Arc<dyn GradientTransform>;

/// Keeps gradients as they are, and counts the values.
#[derive(Default)]
struct Count(AtomicUsize);

impl GradientTransform for Count {
    fn transform(&self, gradients: &mut [Tensor]) -> Result<()> {
        let count = gradients.iter().map(Tensor::elem_count).sum();
        self.0.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }
}

/// The state after three steps, and how many parameters there are.
fn gan(model: Architecture, transform: Option<&Transform>) -> (State, usize) {
    let mut adversaries = adversaries_with(model, &["--r1", "1", "--r1-every", "2"], &Device::Cpu);
    if let Some(transform) = transform {
        adversaries.set_gradient_transform(transform);
    }
    for step in 0..3 {
        let random = |of: &str, dims: &[usize]| random(&format!("{of} {step}"), dims, &Device::Cpu);
        let latents = ["discriminator", "generator"].map(|of| random(of, &[4, 96]));
        adversaries.step(&random("real", &[4, 28, 28, 1]), &latents[0], &latents[1]).unwrap();
    }
    let count = adversaries.discriminator_parameters().count() + adversaries.generator_parameters().count();
    (bytes_of(&adversaries.state()), count)
}

fn simclr(optimizer: &str, transform: Option<&Transform>) -> (State, usize) {
    let flags = ["--encoder", "resnet9", "--optimizer", optimizer];
    let mut contrastive = Contrastive::new(&config::<SimclrConfig>(&flags), &Device::Cpu).unwrap();
    if let Some(transform) = transform {
        contrastive.set_gradient_transform(transform.clone());
    }
    for step in 0..3 {
        let views = random(&format!("views {step}"), &[8, 16, 16, 3], &Device::Cpu);
        contrastive.step(&views, 1e-3).unwrap();
    }
    let count = contrastive.encoder_parameters().count() + contrastive.head_parameters().count();
    (bytes_of(&contrastive.state()), count)
}

fn check(name: &str, train: impl Fn(Option<&Transform>) -> (State, usize)) {
    let (expected, parameters) = train(None);
    let count = Arc::new(Count::default());
    let identity: Transform = count.clone();
    let (found, _) = train(Some(&identity));
    assert!(found == expected, "{name}: complete gradients give other bytes than updates within the backward pass");
    assert_eq!(count.0.load(Ordering::Relaxed), 3 * parameters, "{name}: every gradient passes once a step");
    let clip: Transform = Arc::new(ClipGlobalNorm { max_norm: 1e-3 });
    assert!(train(Some(&clip)).0 != expected, "{name}: clipping has no effect");
}

#[test]
fn all_gradients_pass_the_transform_and_unchanged_they_give_the_same_bytes() {
    for model in [Architecture::Vanilla, Architecture::Lsgan, Architecture::Dcgan] {
        check(model.name(), |transform| gan(model, transform));
    }
    for optimizer in ["adam", "sgd", "lars"] {
        check(optimizer, |transform| simclr(optimizer, transform));
    }
}
