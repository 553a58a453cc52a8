//! One seed: the same initial weights, batches and latents, to the bit, on every device.

use candle_core::{Device, Tensor};
use gan::autograd::Precision;
use gan::latent_space::LatentSpace;
use gan::models::Architecture;

use super::{adversaries, contrastive};
use crate::device::{accelerator, named};
use crate::support::{Workplace, bytes_of};

#[test]
#[ignore = "needs an accelerator: tests/gpu.sh"]
fn a_seed_gives_the_same_initial_state() {
    let device = accelerator();
    for model in Architecture::ALL {
        let state = |device: &Device| bytes_of(&adversaries(model, Precision::F32, device).state());
        assert!(state(&device) == state(&Device::Cpu), "{}", model.name());
    }
    for encoder in ["resnet9", "resnet18", "resnet50"] {
        let state = |device: &Device| bytes_of(&contrastive(encoder, Precision::F32, device).state());
        assert!(state(&device) == state(&Device::Cpu), "{encoder}");
    }
}

#[test]
#[ignore = "needs an accelerator: tests/gpu.sh"]
fn latents_come_through_to_the_bit() {
    let device = accelerator();
    let latents = gan::pretrained::latents(3, 1000, 129, LatentSpace::uniform(96));
    let there = Tensor::from_slice(&latents, (129, 96), &device).unwrap();
    assert_eq!(there.flatten_all().unwrap().to_vec1::<f32>().unwrap(), latents);
}

/// A run that learns nothing has its seed's weights at the end; its losses and scores are those of the same batches and
/// latents.
#[test]
#[ignore = "needs an accelerator: tests/gpu.sh"]
fn a_run_sees_the_same_batches_and_latents() {
    let device = accelerator();
    let device = named().unwrap_or_else(|| gan::device::name(&device));
    let work = Workplace::new();
    for (run, device) in [("there", device.as_str()), ("here", "cpu")] {
        work.train(run, "9", &["--lr", "0", "--device", device]);
    }
    for network in ["generator", "discriminator"] {
        let bytes = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/{network}.safetensors")));
        assert!(bytes("there") == bytes("here"), "{network}");
    }
    let (there, here) = (work.metrics("there"), work.metrics("here"));
    assert_eq!((there.len(), here.len()), (9, 9));
    for (there, here) in there.iter().zip(&here) {
        for key in ["d_loss", "g_loss", "real_score", "fake_score"] {
            let [there, here] = [there, here].map(|record| record[key].as_f64().unwrap());
            assert!((there - here).abs() <= 1e-5 * here.abs(), "{key}: {there} for {here}");
        }
    }
}
