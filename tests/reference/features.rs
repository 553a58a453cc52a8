//! `gan embed` against PyTorch: whole pictures in, features out, by the bundled encoder and by a file of torchvision's names.

use std::collections::BTreeMap;
use std::fs::{self, File};

use gan::checkpoint::{self, Archive};
use gan::report::{Picture, encode_png};

use super::contrastive::{config, filled};
use super::rule::bytes;
use super::vectors::read_part;
use crate::support::Workplace;

fn check(part: &str, (name, count, side): (&str, usize, u32), weights: &str, work: &Workplace) {
    fs::create_dir(work.path(name)).unwrap();
    for index in 0..count {
        let pixels = bytes(&format!("{name}.{index}"), (side * side * 3) as usize);
        let picture = Picture { width: side, height: side, channels: 3, pixels };
        encode_png(&picture, &mut File::create(work.path(&format!("{name}/{index}.png"))).unwrap()).unwrap();
    }
    work.gan(&["embed", name, "--weights", weights, "-o", "h.npy"]).assert().success();
    let want: Vec<f32> = read_part("features", part);
    let found = work.read("h.npy");
    let found = found[128..].chunks_exact(4).map(|value| f32::from_le_bytes(value.try_into().unwrap()));
    assert_eq!(found.len(), want.len());
    let error = found.zip(&want).map(|(found, want)| (found - want).abs()).fold(0.0, f32::max);
    assert!(error < 1e-5, "{part}: {error}");
}

#[test]
fn features_of_pictures_are_pytorchs() {
    let work = Workplace::new();
    check("bundled", ("small", 4, 32), "bundled", &work);
    let networks = filled("resnet18", &config(&["--encoder", "resnet18", "--stem", "imagenet"]));
    let tensors = networks.encoder_parameters().tensors().into_iter();
    let tensors = tensors.map(|(name, tensor)| (name.strip_prefix("f.").unwrap().to_string(), tensor)).collect();
    let archive = Archive { tensors, metadata: BTreeMap::new() };
    checkpoint::write(&work.path("resnet18.safetensors"), &archive).unwrap();
    check("torchvision", ("large", 2, 224), "resnet18.safetensors", &work);
}
