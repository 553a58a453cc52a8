//! One step of each encoder: features, loss, the gradient of every parameter, batch-norm statistics, against torchvision's
//! networks.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{ModuleT, Tensor};
use gan::distributed::{Alone, Shards};
use gan::models::{Encoder, EncoderArchitecture, EncoderConfig, Stem};
use gan::params::is_buffer;
use gan::train::contrastive::Contrastive;
use serde::Deserialize;

use super::contrastive::{config, filled};
use super::rule::views;
use super::vectors::{Glimpse, Held, Whole, assert_all, read_part, values};

/// What a ReLU whose input rounding has put on the other side of 0 may add to the gradients of all that lies before it,
/// relative to their root mean square. ResNet-18 has such a one here: of the half million inputs of its first ReLUs some
/// lie within 1e-6 of 0. ResNet-9 has none, and is held without.
const JUMP: f64 = 1e-2;

#[derive(Deserialize)]
struct Record {
    pairs: usize,
    side: usize,
    /// Of encoder and head.
    parameters: usize,
    joint: Pass,
    /// Of the small stem.
    separate: Option<Pass>,
}

/// The views as one batch or as two.
#[derive(Deserialize)]
struct Pass {
    loss: Whole,
    /// Of f and g.
    gradients: BTreeMap<String, Glimpse>,
    buffers: BTreeMap<String, Glimpse>,
    /// Of all views as one batch, before the step.
    features_in_training: Glimpse,
    /// After it, with the statistics that it has left.
    features_in_evaluation: Glimpse,
}

/// What f makes of `views` with batch norm in training.
fn features_in_training(contrastive: &Contrastive, encoder: EncoderConfig, views: &Tensor) -> Tensor {
    let encoder = Encoder::new(encoder, contrastive.encoder_parameters().builder().pp("f")).unwrap();
    encoder.forward_t(views, true).unwrap()
}

/// In one shard, and in two whose batch norms look at both. ResNet-9 also in as many as there are images.
fn check(architecture: EncoderArchitecture, stem: Stem) {
    check_in_shards(architecture, stem, 1);
    check_in_shards(architecture, stem, 2);
    if architecture == EncoderArchitecture::Resnet9 {
        check_in_shards(architecture, stem, 4);
    }
}

fn check_in_shards(architecture: EncoderArchitecture, stem: Stem, shards: usize) {
    let name = architecture.name();
    let part = if stem == Stem::Small { "encoders" } else { "imagenet_encoders" };
    let record = read_part::<BTreeMap<String, Record>>("simclr", part).remove(name).unwrap();
    let views = views(name, record.pairs, record.side);
    let passes = [("joint", Some(record.joint)), ("separate", record.separate)];
    for (mode, want) in passes.into_iter().filter_map(|(mode, want)| Some((mode, want?))) {
        // SGD without decay at a rate of 0 changes nothing, and keeps the gradient: it is the first velocity.
        let flags = ["--encoder", name, "--stem", stem.name(), "--optimizer", "sgd", "--weight-decay", "0"];
        let config = config(&[&flags[..], &["--views", mode, "--sync-batch-norm"]].concat());
        let contrastive = filled(name, &config);
        let parameters = contrastive.encoder_parameters().count() + contrastive.head_parameters().count();
        assert_eq!(parameters, record.parameters, "{name}");
        let features = features_in_training(&contrastive, config.encoder(), &views);
        want.features_in_training.hold(&format!("{name}: features in training"), &features);

        let mut contrastive = filled(name, &config);
        contrastive.set_shards(Shards::new(shards, Arc::new(Alone)).unwrap());
        let outcome = contrastive.step(&views, 0.0).unwrap();
        let what = |part: &str| format!("{name}, {mode}, in {shards}: {part}");
        want.loss.assert(&what("loss"), &values(&outcome.loss));
        let (mut gradients, mut buffers) = (BTreeMap::new(), BTreeMap::new());
        for (tensor, value) in contrastive.state() {
            let batches = if mode == "joint" { 1 } else { 2 };
            if tensor.ends_with("num_batches_tracked") {
                assert_eq!(value.to_scalar::<i64>().unwrap(), batches, "{name}, {mode}: {tensor}");
            } else if is_buffer(&tensor) {
                buffers.insert(tensor, value);
            } else if let Some(path) = tensor.strip_prefix("optimizer.") {
                gradients.insert(path.strip_suffix(".momentum_buffer").unwrap().to_string(), value);
            }
        }
        if mode == "separate" {
            gradients.retain(|tensor, _| want.gradients.contains_key(tensor));
            buffers.retain(|tensor, _| want.buffers.contains_key(tensor));
        }
        assert!(want.gradients.keys().eq(gradients.keys()), "{name}: {:?}", gradients.keys());
        let jump = if architecture == EncoderArchitecture::Resnet9 { 0.0 } else { JUMP };
        for (tensor, want) in &want.gradients {
            let what = what(&format!("gradient of {tensor}"));
            want.hold_within(&what, &gradients[tensor], jump);
            if jump == 0.0 {
                want.hold_step(&what, &gradients[tensor], 0.1);
            }
        }
        assert_all(&what("buffers"), &want.buffers, &buffers);
        let features = contrastive.frozen_encoder().forward_t(&views, false).unwrap();
        want.features_in_evaluation.hold(&what("features in evaluation"), &features);
        let features = contrastive.frozen_encoder().folded().unwrap().forward_t(&views, false).unwrap();
        want.features_in_evaluation.hold(&what("features of the folded encoder"), &features);
    }
}

#[test]
fn resnet9_is_torchvisions_blocks() {
    check(EncoderArchitecture::Resnet9, Stem::Small);
}

#[test]
fn resnet18_is_torchvisions() {
    check(EncoderArchitecture::Resnet18, Stem::Small);
}

#[test]
fn resnet50_is_torchvisions() {
    check(EncoderArchitecture::Resnet50, Stem::Small);
}

#[test]
fn resnet18_with_its_own_stem_is_torchvisions() {
    check(EncoderArchitecture::Resnet18, Stem::Imagenet);
}

#[test]
fn resnet50_with_its_own_stem_is_torchvisions() {
    check(EncoderArchitecture::Resnet50, Stem::Imagenet);
}
