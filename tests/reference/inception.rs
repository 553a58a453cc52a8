//! Inception V3, and the figures that are made with it, against pytorch-fid and torch-fidelity: `generate_inception.py`.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use gan::checkpoint::{Archive, Weights, format};
use gan::data::ImageShape;
use gan::evaluator::{Inception, InceptionProgram};
use gan::metrics::inception_score;
use gan::models::InceptionV3;
use gan::report::{Picture, encode_png};
use serde::Deserialize;
use serde_json::Value;

use super::rule::{bytes, symmetric_values};
use super::vectors::{read_part, values};
use crate::support::Workplace;

#[derive(Deserialize)]
struct Glimpse {
    elements: Vec<f64>,
    norm: f64,
    largest: f64,
}

impl Glimpse {
    /// To 1e-4 of the largest value.
    fn hold(&self, what: &str, found: &Tensor) {
        let (found, parts) = (values(found), self.elements.len());
        for (part, want) in self.elements.iter().enumerate() {
            let found = found[(2 * part + 1) * found.len() / (2 * parts)];
            assert!((found - want).abs() <= 1e-4 * self.largest, "{what}: {found}, not {want}");
        }
        let norm = found.iter().map(|value| value * value).sum::<f64>().sqrt();
        assert!((norm - self.norm).abs() <= 1e-4 * self.norm, "{what}: norm {norm}, not {}", self.norm);
    }
}

#[derive(Deserialize)]
struct Case {
    shape: [usize; 3],
    pytorch_fid: Glimpse,
    torch_fidelity: Glimpse,
    scores: Glimpse,
}

/// A file of weights that follow the rule, with a tensor that the network does not need.
fn write_weights(path: &Path) {
    let mut tensors: Archive = Archive::default();
    for (name, (shape, _)) in InceptionV3::signature().unwrap() {
        let u = symmetric_values(&format!("inception.{name}"), shape.iter().product());
        let gain = if name == "fc.weight" { 6.0 } else { 1.0 };
        let bound = (gain * (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt()) as f32;
        let of = |u: &f32| match name.rsplit_once(".bn.").map(|(_, tensor)| tensor) {
            Some("weight") => 1.0 + 0.1 * u,
            Some("running_var") => 1.0 + 0.5 * u,
            Some(_) => 0.1 * u,
            None => u * bound,
        };
        let tensor = Tensor::from_vec(u.iter().map(of).collect::<Vec<f32>>(), shape, &Device::Cpu).unwrap();
        tensors.tensors.insert(name, tensor);
    }
    let spare = Tensor::zeros(1008, candle_core::DType::F32, &Device::Cpu).unwrap();
    tensors.tensors.insert("fc.bias".into(), spare);
    format::write(path, &tensors).unwrap();
}

/// A colour for each, and a quarter noise.
fn pictures(name: &str, count: usize, shape: ImageShape) -> Vec<Vec<u8>> {
    let picture = |index: usize| {
        let name = format!("inception.{name}.{index}");
        let (noise, colour) = (bytes(&name, shape.stride()), bytes(&format!("{name}.colour"), shape.channels));
        let mixed = |(noise, colour): (&u8, &u8)| ((u32::from(*noise) + 3 * u32::from(*colour)) / 4) as u8;
        noise.iter().zip(colour.iter().cycle()).map(mixed).collect()
    };
    (0..count).map(picture).collect()
}

#[test]
fn features_are_those_of_both_programs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("weights.safetensors");
    write_weights(&path);
    let weights = Weights::open(&path).unwrap();
    let load = |program| Inception::load(&weights, Some(program), &Device::Cpu).unwrap();
    let (fid, fidelity) = (load(InceptionProgram::PytorchFid), load(InceptionProgram::TorchFidelity));
    for case in read_part::<Vec<Case>>("inception", "features") {
        let [height, width, channels] = case.shape;
        let shape = ImageShape::new(height, width, channels);
        let image = &pictures("image", 1, shape)[0];
        let what = shape.to_string();
        case.pytorch_fid.hold(&format!("{what}, pytorch-fid"), &fid.look(image, shape, 1).unwrap().0);
        let (features, scores) = fidelity.look(image, shape, 1).unwrap();
        case.torch_fidelity.hold(&format!("{what}, torch-fidelity"), &features);
        case.scores.hold(&format!("{what}, scores"), &scores);
        // Whatever other images there are.
        let several = fidelity.look(&image.repeat(3), shape, 3).unwrap().0;
        assert_eq!(values(&several.get(2).unwrap()), values(&features.get(0).unwrap()), "{what}");
    }
}

#[test]
fn the_inception_score_is_torch_fidelitys() {
    let scores = symmetric_values("inception.score", 205 * 30).iter().map(|u| 8.0 * u).collect::<Vec<f32>>();
    let found = inception_score(&Tensor::from_vec(scores, (205, 30), &Device::Cpu).unwrap()).unwrap();
    let want: Value = read_part("inception", "score");
    for (found, name) in [(found.mean, "inception_score_mean"), (found.spread, "inception_score_std")] {
        let want = want[name].as_f64().unwrap();
        assert!((found - want).abs() <= 1e-9 * want, "{name}: {found}, not {want}");
    }
}

/// `gan evaluate` of pictures in a folder against pictures in a folder.
#[test]
fn figures_are_those_of_both_programs() {
    let [height, width] = read_part::<[usize; 2]>("inception", "sides");
    let (count, shape) = (read_part("inception", "count"), ImageShape::new(height, width, 3));
    let work = Workplace::new();
    write_weights(&work.path("pt.safetensors"));
    std::fs::hard_link(work.path("pt.safetensors"), work.path("weights-inception.safetensors")).unwrap();
    let write = |folder: &str, pictures: Vec<Vec<u8>>| {
        let folder: PathBuf = work.path(folder);
        std::fs::create_dir_all(&folder).unwrap();
        for (index, pixels) in pictures.into_iter().enumerate() {
            let picture = Picture { width: width as u32, height: height as u32, channels: 3, pixels };
            let mut file = std::fs::File::create(folder.join(format!("{index:02}.png"))).unwrap();
            encode_png(&picture, &mut file).unwrap();
        }
    };
    write("samples", pictures("sample", count, shape).into_iter().map(|image| darker(&image)).collect());
    write("real/train", pictures("image", 8, shape));
    write("real/test", pictures("real", count, shape));
    let row = |features: &str| -> Value {
        let flags = ["evaluate", "--images", "samples", "--data", "real", "--json", "-q", "--features", features];
        let output = work.gan(&flags).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let want: [Value; 2] = ["pytorch_fid", "torch_fidelity"].map(|program| read_part("inception", program));
    let found = ["pt.safetensors", "weights-inception.safetensors"].map(row);
    for ((found, want), program) in found.iter().zip(&want).zip(["pytorch-fid", "torch-fidelity"]) {
        let features = found["features"].as_str().unwrap();
        assert_eq!(features, format!("Inception V3 as {program} runs it, other weights"));
        assert_eq!(found["features_sha256"].as_str().unwrap().len(), 64);
        for (name, want) in want.as_object().unwrap() {
            let (found, want) = (found[name.as_str()].as_f64().unwrap(), want.as_f64().unwrap());
            assert!((found - want).abs() <= 1e-4 * want.abs(), "{name} of {program}: {found}, not {want}");
        }
        for name in ["precision", "recall", "coverage", "two_sample_1nn"] {
            assert!((0.0..=1.0).contains(&found[name].as_f64().unwrap()), "{name} in {found}");
        }
    }
}

/// Half as light, and never black.
fn darker(image: &[u8]) -> Vec<u8> {
    image.iter().map(|value| value / 2 + 40).collect()
}
