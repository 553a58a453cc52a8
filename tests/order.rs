//! The order in which the images of a set lie, and the samples of a file, changes no figure beyond what chance does: the
//! same images sorted by class and shuffled, as IDX files, parquet files and class folders.

use std::path::Path;

use gan::data::digits::{self, Part};
use gan::data::{self, ImageShape, Images};
use gan::report::{Picture, encode_png, npy_header};
use gan::rng::Stream;
use serde_json::Value;

use crate::data::parquet_files::write_groups;
use crate::support::Workplace;

const TRAIN: usize = 1200;
const TEST: usize = 400;
const SAMPLES: usize = 600;
/// Shuffles of the same images, whose spread is what chance does.
const SHUFFLES: [&str; 4] = ["mixed0", "mixed1", "mixed2", "mixed3"];
const SORTED: [&str; 4] = ["sorted", "folders", "parquet", "mixed-parquet"];

fn sorted(images: &Images) -> Images {
    let mut indices: Vec<u32> = (0..images.len() as u32).collect();
    indices.sort_by_key(|index| images.labels[*index as usize]);
    images.select(&indices)
}

fn shuffled(images: &Images, seed: u64) -> Images {
    images.select(&Stream::new(seed, "order").at(images.len() as u64).permutation(images.len()))
}

fn write_idx(directory: &Path, train: &Images, test: &Images) {
    std::fs::create_dir_all(directory).unwrap();
    for (part, images) in [("train", train), ("t10k", test)] {
        let count = images.len() as u32;
        let header = |fields: &[u32]| fields.iter().flat_map(|field| field.to_be_bytes()).collect::<Vec<u8>>();
        let pixels = [header(&[0x0803, count, 28, 28]), images.pixels.clone()].concat();
        let labels = [header(&[0x0801, count]), images.labels.iter().map(|label| *label as u8).collect()].concat();
        std::fs::write(directory.join(format!("{part}-images-idx3-ubyte")), pixels).unwrap();
        std::fs::write(directory.join(format!("{part}-labels-idx1-ubyte")), labels).unwrap();
    }
}

fn png(pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_png(&Picture { width: 28, height: 28, channels: 1, pixels: pixels.to_vec() }, &mut bytes).unwrap();
    bytes
}

fn write_folders(directory: &Path, train: &Images, test: &Images) {
    for (part, images) in [("train", train), ("test", test)] {
        for (index, (pixels, label)) in images.pixels.chunks_exact(784).zip(&images.labels).enumerate() {
            let folder = directory.join(part).join(label.to_string());
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("{index:05}.png")), png(pixels)).unwrap();
        }
    }
}

fn write_parquet(directory: &Path, train: &Images, test: &Images) {
    std::fs::create_dir_all(directory).unwrap();
    let names = serde_json::to_string(&(0..10).map(|digit| digit.to_string()).collect::<Vec<_>>()).unwrap();
    for (part, images) in [("train", train), ("test", test)] {
        let rows = images.pixels.chunks_exact(784).zip(&images.labels);
        let rows: Vec<(Vec<u8>, i64)> = rows.map(|(pixels, label)| (png(pixels), i64::from(*label))).collect();
        let (left, right) = rows.split_at(rows.len() / 2);
        write_groups(&directory.join(format!("{part}-00000-of-00001.parquet")), &[left, right], &names);
    }
}

fn write_npy(path: &Path, images: &Images) {
    let mut bytes = npy_header(&[images.len() as u64, 1, 28, 28]);
    let values = images.pixels.iter().map(|pixel| 2.0 * f32::from(*pixel) / 255.0 - 1.0);
    bytes.extend(values.flat_map(|value: f32| value.to_le_bytes()));
    std::fs::write(path, bytes).unwrap();
}

/// The same images in every form, and samples: digits of other writers, a pixel to the right.
fn workplace() -> Workplace {
    let work = Workplace::new();
    let (train, test) = (digits::first(Part::Train, TRAIN), digits::first(Part::Test, TEST));
    for (seed, name) in SHUFFLES.into_iter().enumerate() {
        write_idx(&work.path(name), &shuffled(&train, seed as u64), &shuffled(&test, seed as u64));
    }
    write_parquet(&work.path("mixed-parquet"), &shuffled(&train, 4), &shuffled(&test, 4));
    let (train, test) = (sorted(&train), sorted(&test));
    write_idx(&work.path("sorted"), &train, &test);
    write_folders(&work.path("folders"), &train, &test);
    write_parquet(&work.path("parquet"), &train, &test);
    let mut samples = digits::first(Part::Validation, SAMPLES);
    samples.pixels.chunks_exact_mut(784).for_each(|image| image.rotate_right(1));
    for seed in 0..4 {
        write_npy(&work.path(&format!("samples{seed}.npy")), &shuffled(&samples, seed));
    }
    write_npy(&work.path("sorted-samples.npy"), &sorted(&samples));
    work
}

/// The figures of the one row of `gan evaluate --json`.
fn evaluate(work: &Workplace, data: &str, flags: &[&str]) -> Value {
    let output = work.gan(&[&["evaluate", "--json", "-q", "--data", data], flags].concat()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("reliable"), "{data}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `found` lies where the `shuffles` lie: within six of their standard deviations (and rounding) of their mean.
fn agrees(what: &str, found: f64, shuffles: &[f64]) {
    let count = shuffles.len() as f64;
    let mean = shuffles.iter().sum::<f64>() / count;
    let spread = (shuffles.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
    let allowed = 6.0 * spread + 0.01 * mean.abs() + 1e-3;
    assert!((found - mean).abs() < allowed, "{what}: {found}, where shuffled it is {mean} ± {spread}: {shuffles:?}");
}

#[test]
fn scores_of_samples_do_not_depend_on_the_order() {
    let work = workplace();
    let names = ["frechet", "frechet_floor", "kid", "precision", "recall", "density", "coverage", "two_sample_1nn"];
    let of_training = ["frechet", "kid", "precision", "recall", "density", "coverage", "two_sample_1nn"];
    let figure = |row: &Value, name: &str| row[name].as_f64().unwrap();
    let compare = |what: &str, row: &Value, mixed: &[Value]| {
        for name in names {
            let shuffles: Vec<f64> = mixed.iter().map(|row| figure(row, name)).collect();
            agrees(&format!("{what}: {name}"), figure(row, name), &shuffles);
        }
        for name in of_training {
            let of = |row: &Value| figure(&row["training_images"], name);
            let shuffles: Vec<f64> = mixed.iter().map(of).collect();
            agrees(&format!("{what}: {name} of training images"), of(row), &shuffles);
        }
    };
    let one = |data: &str, samples: &str, reference: &str| {
        evaluate(&work, data, &["--images", samples, "--reference", reference])
    };
    for (reference, forms) in [("test", &SORTED[..]), ("300..600", &SORTED[1..2])] {
        let mixed = SHUFFLES.map(|data| one(data, "samples0.npy", reference));
        for data in forms {
            compare(&format!("{data}, {reference}"), &one(data, "samples0.npy", reference), &mixed);
        }
    }
    let mixed = [0, 1, 2, 3].map(|seed| one("mixed0", &format!("samples{seed}.npy"), "test"));
    compare("sorted samples", &one("mixed0", "sorted-samples.npy", "test"), &mixed);
}

#[test]
fn what_an_encoder_knows_does_not_depend_on_the_order() {
    let work = workplace();
    for reference in ["test", "validation"] {
        let flags = ["--weights", "bundled", "--encoder", "resnet9", "--labels", "150", "--reference", reference];
        let mixed: Vec<Value> = SHUFFLES.iter().map(|data| evaluate(&work, data, &flags)).collect();
        for data in if reference == "test" { &SORTED[..3] } else { &SORTED[1..2] } {
            let row = evaluate(&work, data, &flags);
            assert_eq!(row["labels"], 150);
            for name in ["top1", "knn"] {
                let of = |row: &Value| row[name].as_f64().unwrap();
                let shuffles: Vec<f64> = mixed.iter().map(of).collect();
                agrees(&format!("{data}, {reference}: {name}"), of(&row), &shuffles);
                assert!(of(&row) > 0.15, "{data}: {name} in {row}");
            }
        }
    }
}

#[test]
fn parts_hold_every_class_in_whatever_order_the_set_lies() {
    let work = workplace();
    let shape = ImageShape { height: 28, width: 28, channels: 1 };
    for name in SHUFFLES.iter().chain(&SORTED) {
        let set =
            data::open(work.path(name).to_str().unwrap(), &data::DataOptions::default(), shape, &|_, _, _| ()).unwrap();
        assert_eq!((set.train.len(), set.test.len(), set.held_out()), (TRAIN, TEST, 1000..1200), "{name}");
        let cut = set.cut(Some(300), true).unwrap();
        for (images, each) in [(&cut.train, 30), (&cut.validation, 20)] {
            let counts = (0..10).map(|class| images.labels().iter().filter(|label| **label == class).count());
            assert_eq!(counts.collect::<Vec<_>>(), [each; 10], "{name}");
        }
        let (train, validation) = (cut.train.to_images().unwrap(), cut.validation.to_images().unwrap());
        let is_trained_on = |image: &[u8]| train.pixels.chunks_exact(784).any(|other| other == image);
        assert!(!validation.pixels.chunks_exact(784).any(is_trained_on), "{name}");
    }
}

/// `train-gan --evaluate-every` and `pretrain-simclr --knn-every` on parts of class folders and of the same images shuffled.
#[test]
fn what_is_watched_does_not_depend_on_the_order() {
    let work = workplace();
    let last = |data: &str, flags: &[&str], name: &str| -> f64 {
        let common = ["--data", data, "--train-images", "300", "--steps", "1", "--run", data, "--json", "-q"];
        let output = work.gan(&[flags, &common].concat()).output().unwrap();
        assert!(output.status.success(), "{data}: {}", String::from_utf8_lossy(&output.stderr));
        std::fs::remove_dir_all(work.path("weights")).unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        let record: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        record[name].as_f64().unwrap_or_else(|| panic!("{data}: {name} in {record}"))
    };
    let gan = ["train-gan", "--model", "vanilla", "--image-size", "28", "--channels", "1", "--batch-size", "16"];
    let gan = [&gan[..], &["--evaluate-every", "1", "--evaluate-samples", "300"]].concat();
    let simclr = ["pretrain-simclr", "--batch-size", "16", "--knn-every", "1"];
    for (flags, name) in [(&gan[..], "frechet_floor"), (&simclr[..], "knn_top1")] {
        let mixed: Vec<f64> = SHUFFLES.iter().map(|data| last(data, flags, name)).collect();
        agrees(name, last("folders", flags, name), &mixed);
    }
}

/// The parts of the built-in and named sets are what they were: the first images.
#[test]
fn canonical_sets_are_taken_in_their_own_order() {
    let shape = ImageShape { height: 28, width: 28, channels: 1 };
    let set = data::open("digits", &data::DataOptions::default(), shape, &|_, _, _| ()).unwrap();
    assert!(set.is_canonical && set.held_out().is_empty(), "its validation part is drawn");
    let cut = set.clone().cut(Some(500), true).unwrap();
    assert_eq!(cut.train.to_images().unwrap(), set.train.to_images().unwrap().first(500));
    assert_eq!(cut.validation.to_images().unwrap(), digits::validation());
    assert_eq!(set.train.at(20..23, set.is_canonical), [20, 21, 22]);
    let reference = gan::pretrained::reference::Reference::Validation;
    let (real, floor) = reference.choose(&set, 100).unwrap();
    let images = |images: &Images| -> Vec<Vec<u8>> {
        let mut images: Vec<Vec<u8>> = images.pixels.chunks_exact(784).map(<[u8]>::to_vec).collect();
        images.sort_unstable();
        images
    };
    assert!(images(&real.to_images().unwrap()) == images(&digits::validation()));
    let of = |class| floor.labels().iter().filter(|label| **label == class).count();
    assert_eq!((0..10).map(of).collect::<Vec<_>>(), [10; 10], "the floor is a fair part of these sets too");
}
