//! Sums over shards on one card: the bits of those that go by way of the host.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use gan::autograd::Precision;
use gan::distributed::{Alone, OneCard, Shards};
use gan::models::Architecture;

use super::{adversaries, contrastive, random, values};
use crate::device::accelerator;
use crate::support::bytes_of;

/// What `work` gives by way of the host and on the card.
fn both<T>(count: usize, device: &Device, work: impl Fn(Shards) -> T) -> [T; 2] {
    let shards = Shards::new(count, Arc::new(Alone)).unwrap();
    [shards.clone(), shards.on_cards(Arc::new(OneCard(device.clone())))].map(work)
}

#[test]
#[ignore = "needs an accelerator: tests/gpu.sh"]
fn means_have_the_bits_of_the_hosts() {
    let device = accelerator();
    // Offsets of tensors within the flat one that are no multiples of 16 bytes; a multiple that is no power of two.
    let mean = |shards: Shards| {
        let of = |shard: usize| {
            let tensor = |dims: &[usize]| random(&format!("{shard} {dims:?}"), dims, &device);
            Ok(vec![tensor(&[3, 5]), tensor(&[]), tensor(&[257, 33]), Tensor::new(-0f32, &device)?])
        };
        let means = shards.mean(of).unwrap();
        means.iter().map(|mean| values(mean).into_iter().map(f64::to_bits).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    for count in [2, 3, 7] {
        let [by_host, on_card] = both(count, &device, mean);
        assert_eq!(on_card, by_host, "{count} shards");
    }
}

#[test]
#[ignore = "needs an accelerator: tests/gpu.sh"]
fn steps_in_shards_leave_the_bits_of_those_by_way_of_the_host() {
    let device = accelerator();
    for model in [Architecture::Vanilla, Architecture::Dcgan] {
        let [by_host, on_card] = both(4, &device, |shards| {
            let mut adversaries = adversaries(model, Precision::F32, &device);
            adversaries.set_shards(shards);
            let latents = |of| random(of, &[32, 96], &device);
            let real = random("real", &[32, 28, 28, 1], &device);
            adversaries.step(&real, &latents("discriminator"), &latents("generator")).unwrap();
            bytes_of(&adversaries.state())
        });
        assert!(on_card == by_host, "{}", model.name());
    }
    let [by_host, on_card] = both(2, &device, |shards| {
        let mut contrastive = contrastive("resnet9", Precision::F32, &device);
        contrastive.set_shards(shards);
        contrastive.step(&random("views", &[16, 32, 32, 3], &device), 0.1).unwrap();
        bytes_of(&contrastive.state())
    });
    assert!(on_card == by_host, "resnet9");
}
