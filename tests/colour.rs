//! GANs of other images than 28x28 grey, through the real binary: which shape a run has, what it draws, what is refused.

use std::path::Path;

use candle_core::{Device, Tensor};
use gan::checkpoint;
use gan::image_shape::ImageShape;
use gan::latent_space::{LatentDistribution, LatentSpace};
use gan::models::{Architecture, Generator, NetworkDescription};
use gan::params::Parameters;
use gan::pretrained::{self, TrainedGenerator};
use gan::report::{encode_png, read_png};
use predicates::prelude::*;
use serde_json::{Value, json};

use crate::support::{TINY, Workplace, bytes_of, write_pictures};

/// A step or two of Radford's networks at their smallest.
const DCGAN: &[&str] = &[
    "train-gan",
    "--model",
    "dcgan",
    "--image-size",
    "32",
    "--batch-size",
    "4",
    "--log-every",
    "1",
    "--sample-every",
    "100",
    "--run",
    "dcgan",
];

fn workplace() -> Workplace {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 8, 2);
    work
}

fn config(work: &Workplace, run: &str) -> Value {
    serde_json::from_slice(&work.read(&format!("weights/{run}/config.json"))).unwrap()
}

/// Pictures of 20x20 without colours, one of them stored in three channels.
fn write_grey(directory: &Path) {
    std::fs::create_dir_all(directory).unwrap();
    for index in 0..16usize {
        let channels = if index == 5 { 3 } else { 1 };
        let pixels = (0..400).flat_map(|pixel| vec![((pixel * (index + 3)) % 251) as u8; channels]).collect();
        let picture = gan::report::Picture { width: 20, height: 20, channels, pixels };
        encode_png(&picture, &mut std::fs::File::create(directory.join(format!("{index}.png"))).unwrap()).unwrap();
    }
}

#[test]
fn a_run_has_the_shape_of_its_images_unless_flags_say_another() {
    let work = workplace();
    write_grey(&work.path("grey"));
    let shape = |run: &str, flags: &[&str]| {
        work.train(run, "1", &[flags, &["--batch-size", "4"]].concat());
        let config = config(&work, run);
        let generator = TrainedGenerator::open(&work.path("weights").join(run), &Device::Cpu).unwrap();
        let ImageShape { height, width, channels } = generator.image_shape();
        assert_eq!(
            (config["image_size"].as_u64(), config["channels"].as_u64()),
            (Some(height as u64), Some(channels as u64))
        );
        assert_eq!(config["latents"], "uniform");
        let grid = read_png(&work.path(&format!("samples/{run}/step-00000001.png"))).unwrap();
        assert_eq!((grid.width as usize, grid.channels), (8 * width * 2 + 7 * 2, channels), "{run}");
        generator.image_shape().to_string()
    };
    assert_eq!(shape("idx", &[]), "28x28x1");
    assert_eq!(shape("pictures", &["--data", "pictures"]), "64x64x3");
    assert_eq!(shape("grey", &["--data", "grey"]), "64x64x1");
    assert_eq!(shape("coloured", &["--data", "grey", "--channels", "3", "--image-size", "20"]), "20x20x3");
    assert_eq!(shape("small", &["--data", "pictures", "--image-size", "12"]), "12x12x3");
    assert_eq!(shape("idx-colour", &["--channels", "3", "--image-size", "16"]), "16x16x3");
    assert_eq!(shape("shapes", &["--data", "shapes", "--model", "lsgan"]), "32x32x3");
    // The images of a run are known again: its channels are those that were found.
    for run in ["pictures", "grey"] {
        work.gan(&["train-gan", "--resume", run, "--steps", "2"]).assert().success();
    }
    let refused = work.gan(&["train-gan", "--resume", "grey", "--channels", "3"]).assert().code(2);
    refused.stderr(predicate::str::contains("--channels 3: run grey was begun with 1"));
}

#[test]
fn a_colour_run_draws_and_samples_in_colour() {
    let work = workplace();
    work.train("run", "6", &["--data", "pictures", "--image-size", "20", "--batch-size", "8"]);
    let grid = read_png(&work.path("samples/run/step-00000006.png")).unwrap();
    assert!(grid.pixels.chunks_exact(3).any(|pixel| pixel[0] != pixel[1]), "colours");
    let film =
        image::codecs::gif::GifDecoder::new(std::io::Cursor::new(work.read("samples/run/progress.gif"))).unwrap();
    assert_eq!(image::ImageDecoder::dimensions(&film), (grid.width, grid.height));
    for output in ["a.npy", "walk.gif", "each/"] {
        work.gan(&["sample", "-n", "4", "-o", output, "--walks", "2", "--frames", "2"]).assert().success();
    }
    let bytes = work.read("a.npy");
    assert_eq!(npyz::NpyFile::new(&bytes[..]).unwrap().shape(), [4, 3, 20, 20]);
    let each = read_png(&work.path("each/000003.png")).unwrap();
    assert_eq!((each.width, each.channels), (20, 3));

    // No classifier fits: no scores, but neighbours.
    let refused = work.gan(&["evaluate", "--n", "20"]).assert().code(3);
    refused.stderr(
        predicate::str::contains("no classifier fits images of 20x20x3").and(predicate::str::contains("-o FILE.png")),
    );
    let found = work.gan(&["evaluate", "--n", "20", "-o", "near.png", "--json"]).assert().success();
    let row: Value = serde_json::from_slice(&found.get_output().stdout).unwrap();
    assert!(row["nearest_train"].as_f64().unwrap() > 0.0 && row["nearest_train_reference"].as_f64().unwrap() > 0.0);
    assert_eq!((&row["n"], &row["data"]), (&json!(20), &json!("pictures")));
    let near = read_png(&work.path("near.png")).unwrap();
    assert_eq!((near.width, near.channels), (8 * 2 * 40 + 7 * 8, 3));
    work.gan(&["evaluate", "-n", "3", "-o", "near.png"]).assert().success();
}

#[test]
fn radfords_networks_train_and_resume_to_the_same_bytes() {
    let work = workplace();
    let flags = [DCGAN, &["--data", "pictures", "--checkpoint-every", "2", "--threads", "1"]].concat();
    work.gan(&[&flags[..], &["--steps", "4"]].concat()).assert().success();
    let config = config(&work, "dcgan");
    assert_eq!((config["lr"].as_f64(), config["latent_dim"].as_u64()), (Some(2e-4), Some(100)));
    assert_eq!((&config["latents"], &config["channels"]), (&json!("normal"), &json!(3)));
    let state = |work: &Workplace| bytes_of(&work.tensors("weights/dcgan/step-00000004.safetensors"));
    let whole = state(&work);
    let samples = |work: &Workplace| {
        work.gan(&["sample", "-n", "3", "-o", "a.npy"]).assert().success();
        work.read("a.npy")
    };
    let drawn = samples(&work);
    let resumed = ["train-gan", "--resume", "weights/dcgan/step-00000002.safetensors", "--threads", "2"];
    work.gan(&resumed).assert().success();
    assert!(state(&work) == whole, "resumed");
    assert!(samples(&work) == drawn);
    // D sees real images, fakes and G's, and G draws twice, in each step.
    let tensors = work.tensors("weights/dcgan/step-00000004.safetensors");
    let counter = |name: &str| tensors[&format!("{name}.num_batches_tracked")].to_scalar::<i64>().unwrap();
    assert_eq!((counter("discriminator.main.3"), counter("generator.main.1")), (12, 8));
    // A checkpoint is known by its configuration.
    let generator =
        TrainedGenerator::open(&work.path("weights/dcgan/step-00000004.safetensors"), &Device::Cpu).unwrap();
    let space = LatentSpace { dim: 100, distribution: LatentDistribution::Normal };
    assert_eq!((generator.image_shape().to_string(), generator.latent_space()), ("32x32x3".to_string(), space));
}

#[test]
fn what_flags_say_holds_for_radfords_networks_too() {
    let work = workplace();
    let flags = ["--data", "data", "--steps", "1", "--lr", "1e-3", "--latent-dim", "96", "--latents", "uniform"];
    work.gan(&[DCGAN, &flags].concat()).assert().success();
    let config = config(&work, "dcgan");
    assert_eq!((config["lr"].as_f64(), config["latent_dim"].as_u64()), (Some(1e-3), Some(96)));
    assert_eq!((&config["latents"], &config["channels"]), (&json!("uniform"), &json!(1)));
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let work = workplace();
    for (flags, words) in [
        (&["--model", "dcgan", "--image-size", "48"][..], "32, 64, 128 or 256"),
        (&["--model", "dcgan", "--channels", "3"], "28x28 grey"),
        // Told when they are read.
        (&["--model", "dcgan", "--data", "pictures", "--image-size", "28"], "28x28 grey"),
        (&["--image-size", "32", "--evaluate-every", "1"], "which is for images of 28x28x1 alone"),
        (&["--data", "pictures", "--evaluate-every", "1"], "which is for images of 28x28x1 alone"),
    ] {
        let refused = work.gan(&[TINY, &["--steps", "1"], flags].concat()).assert().code(2);
        refused.stderr(predicate::str::contains(words));
        assert!(!work.path("weights").exists(), "{flags:?}");
    }
}

/// Runs from before these flags are of 28x28 grey images and uniform latents, and go on to the same bytes.
#[test]
fn older_runs_go_on_unchanged() {
    let work = workplace();
    work.train("whole", "8", &[]);
    work.train("old", "4", &[]);
    let forget = |text: &str| {
        let mut config: Value = serde_json::from_str(text).unwrap();
        for field in ["image_size", "channels", "latents"] {
            assert!(config.as_object_mut().unwrap().remove(field).is_some());
        }
        config.to_string()
    };
    let path = work.path("weights/old/config.json");
    std::fs::write(&path, forget(&std::fs::read_to_string(&path).unwrap())).unwrap();
    let path = work.path("weights/old/step-00000004.safetensors");
    let mut archive = checkpoint::read(&path).unwrap();
    let config = archive.metadata.get_mut("gan.config").unwrap();
    *config = forget(config);
    checkpoint::write(&path, &archive).unwrap();
    let generator = TrainedGenerator::open(&path, &Device::Cpu).unwrap();
    assert_eq!(
        (generator.image_shape().to_string(), generator.latent_space()),
        ("28x28x1".into(), LatentSpace::uniform(8))
    );
    work.gan(&["train-gan", "--resume", "old", "--steps", "8", "--image-size", "28"]).assert().success();
    let state = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/step-00000008.safetensors")));
    assert!(state("old") == state("whole"));
}

/// The state dict of PyTorch's DCGAN example says nothing of itself: names and shapes tell its images.
#[test]
fn a_generator_of_pytorchs_example_is_known_by_its_layers() {
    let work = Workplace::new();
    for (size, channels, prefix) in [(64, 3, ""), (32, 1, "netG."), (64, 3, "module.")] {
        let shape = ImageShape::new(size, size, channels);
        let parameters = Parameters::new(0, "generator", &Device::Cpu);
        Generator::new(Architecture::Dcgan, 10, shape, parameters.builder()).unwrap();
        let tensors = parameters.tensors().into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor));
        let archive = checkpoint::Archive { tensors: tensors.collect(), metadata: Default::default() };
        let path = work.path("theirs.safetensors");
        checkpoint::write(&path, &archive).unwrap();
        let found = TrainedGenerator::open(&path, &Device::Cpu).unwrap();
        let space = LatentSpace { dim: 10, distribution: LatentDistribution::Normal };
        assert_eq!(*found.description(), NetworkDescription::generator(Architecture::Dcgan, space, shape), "{prefix}");
        let drawn = found.sample(2, 3).unwrap();
        let latents = Tensor::from_vec(pretrained::latents(3, 0, 2, space), (2, 10), &Device::Cpu).unwrap();
        assert_eq!(drawn.dims(), [2, size, size, channels]);
        assert!(latents.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().any(|value| value.abs() > 1.0));
    }
}
