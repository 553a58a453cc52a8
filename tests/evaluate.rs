//! `gan evaluate` through the real binary: generators, images, encoders, the classifier's training; scores while training.

use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use gan::checkpoint::Bundled;
use gan::data::Dataset;
use gan::distributed::Alone;
use gan::evaluator::{Classifier, GeneratorEvaluator};
use gan::pretrained::reference::Reference;
use gan::report::{Scores, npy_header};
use predicates::prelude::*;
use serde_json::Value;

use crate::resume::stop_after;
use crate::support::{TINY, Workplace, bytes_of, write_pictures};

/// The names that scripts rely on.
const NAMES: [&str; 11] = [
    "frechet",
    "frechet_floor",
    "kid",
    "precision",
    "recall",
    "density",
    "coverage",
    "classifier_score",
    "class_divergence",
    "classes_above_3_percent",
    "two_sample_1nn",
];

/// The tiny data set has no test images: a part of its training images stands in.
const REFERENCE: [&str; 2] = ["--reference", "0..40"];

fn json(work: &Workplace, flags: &[&str]) -> Vec<Value> {
    let output = work.gan(&[&["evaluate", "--json", "-q"], flags].concat()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_generator_is_scored_under_the_names_that_are_promised() {
    let work = Workplace::new();
    work.train("vanilla", "3", &[]);
    let rows = json(&work, &[&["--n", "50", "-o", "nearest.png"][..], &REFERENCE].concat());
    let [row] = &rows[..] else { panic!("{rows:?}") };
    for name in NAMES {
        // Infinite, which JSON has not, where samples are of a class that no real image is.
        let is_there = |of: &Value| of[name].is_number() || name == "class_divergence" && of[name].is_null();
        assert!(is_there(row), "{name} in {row}");
        assert!(is_there(&row["training_images"]), "{name} of the training images in {row}");
    }
    for name in ["precision", "recall", "coverage", "two_sample_1nn", "classifier_accuracy"] {
        assert!((0.0..=1.0).contains(&row[name].as_f64().unwrap()), "{name} in {row}");
    }
    assert_eq!(
        ["n", "seed", "reference_images", "floor_images", "compared"].map(|name| row[name].as_u64().unwrap()),
        [50, 0, 40, 50, 40]
    );
    assert_eq!(row["histogram"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum::<u64>(), 50);
    assert_eq!(
        (row["weights"].as_str(), row["data"].as_str()),
        (Some("weights/vanilla/generator_ema.safetensors"), Some("data"))
    );
    let picture = gan::report::read_png(&work.path("nearest.png")).unwrap();
    assert_eq!((picture.width, picture.height), (8 * 112 + 7 * 8, 7 * 56 + 6 * 8), "fifty pairs, eight a row");
    // the same again, by another way to name it, on any number of threads
    let again = json(
        &work,
        &[&["--n", "50", "-o", "nearest.png", "--run", "vanilla", "--threads", "1"][..], &REFERENCE].concat(),
    );
    assert_eq!(rows, again);
}

#[test]
fn several_seeds_end_in_mean_and_spread() {
    let work = Workplace::new();
    work.train("vanilla", "3", &[]);
    let flags = [&["--n", "30", "--seed", "4", "--seeds", "3"][..], &REFERENCE].concat();
    let rows = json(&work, &flags);
    assert_eq!(rows.len(), 4);
    let values: Vec<f64> = rows[..3].iter().map(|row| row["frechet"].as_f64().unwrap()).collect();
    assert_eq!(rows[3]["seeds"], serde_json::json!([4, 5, 6]));
    let mean = values.iter().sum::<f64>() / 3.0;
    let spread = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
    assert!((rows[3]["mean"]["frechet"].as_f64().unwrap() - mean).abs() < 1e-9);
    assert!((rows[3]["spread"]["frechet"].as_f64().unwrap() - spread).abs() < 1e-9);
    assert!(spread > 0.0 && rows[3]["mean"].get("seed").is_none());
    assert_eq!(json(&work, &[&["--n", "30", "--seed", "5"][..], &REFERENCE].concat())[0], rows[1]);
    work.gan(&[&["evaluate"][..], &flags].concat())
        .assert()
        .success()
        .stdout(predicate::str::contains("Fréchet distance"))
        .stdout(predicate::str::contains("seed 4").and(predicate::str::contains("spread")))
        .stdout(predicate::str::contains("not Inception"));
}

fn write_npy(path: &Path, images: &[f32]) {
    let mut bytes = npy_header(&[images.len() as u64 / 784, 1, 28, 28]);
    bytes.extend(images.iter().flat_map(|value| value.to_le_bytes()));
    std::fs::write(path, bytes).unwrap();
}

/// Known cases, on the built-in digits: what each measure must say of copies, of a shift, of one digit and of noise.
#[test]
fn known_cases_get_what_they_deserve() {
    const COUNT: usize = 1000;
    let digits = |images: gan::data::Images| images.first(COUNT);
    let (train, test) = (digits(gan::data::digits::train()), digits(gan::data::digits::test()));
    let dataset = Dataset::new("digits", Vec::new(), train.clone(), test.clone());
    let dataset = Dataset { is_canonical: true, ..dataset };
    let classifier = Classifier::find(None, &Device::Cpu).unwrap();
    let evaluator =
        GeneratorEvaluator::prepare(classifier, &dataset, &Reference::Test, COUNT, &Device::Cpu, Arc::new(Alone))
            .unwrap();
    let scores = |pixels: &[u8]| -> Scores {
        let images: Vec<f32> = pixels.iter().map(|pixel| 2.0 * f32::from(*pixel) / 255.0 - 1.0).collect();
        let draw = |first: usize, count: usize| Ok(images[first * 784..(first + count) * 784].to_vec());
        evaluator.measure(COUNT, 0, draw, |_| true).unwrap().unwrap().scores
    };

    let (_, in_its_order) = Reference::Test.choose(&dataset, COUNT).unwrap();
    let real = scores(&in_its_order.to_images().unwrap().pixels);
    assert_eq!(&real, evaluator.floor(), "the training set itself");
    assert!(real.coverage > 0.85 && (real.two_sample_1nn - 0.5).abs() < 0.06, "{real:?}");

    let copies = scores(&test.pixels);
    assert!(copies.two_sample_1nn < 0.05, "the nearest of each is its copy: {copies:?}");
    assert_eq!([copies.precision, copies.recall, copies.coverage], [1.0; 3]);
    assert!(copies.frechet < 1e-6 * real.frechet && copies.class_divergence == 0.0);

    let mut shifted = train.pixels.clone();
    shifted.chunks_exact_mut(784).for_each(|image| image.rotate_right(4 * 28 + 4));
    let shifted = scores(&shifted);
    assert!(shifted.frechet > 2.0 * real.frechet && shifted.kid > real.kid, "{shifted:?}");
    assert!(shifted.coverage < real.coverage && shifted.two_sample_1nn > real.two_sample_1nn, "{shifted:?}");

    let one = scores(&train.pixels[..784].repeat(COUNT));
    assert!(one.frechet > shifted.frechet && (one.classifier_score - 1.0).abs() < 1e-6 && one.recall < 0.01, "{one:?}");
    assert_eq!(one.classes_above_3_percent, 1);
    assert!((one.class_divergence - 10f64.ln()).abs() < 0.3, "a tenth of the images are of its class: {one:?}");

    let mut noise = gan::rng::Stream::new(0, "noise").at(0);
    let noise: Vec<u8> = (0..COUNT * 784).map(|_| noise.bits() as u8).collect();
    let noise = scores(&noise);
    assert!(noise.frechet > shifted.frechet && noise.precision < 0.05 && noise.coverage < 0.05, "{noise:?}");
    assert!(noise.two_sample_1nn > 0.95 && one.two_sample_1nn > 0.95);
}

#[test]
fn what_cannot_be_evaluated_is_said() {
    let work = Workplace::new();
    let fails = |flags: &[&str], code: i32, text: &str| {
        work.gan(&[&["evaluate"], flags].concat()).assert().code(code).stderr(predicate::str::contains(text));
    };
    work.train("vanilla", "1", &[]);
    fails(&["--n", "50", "--test-part", "0"], 3, "no test images");
    fails(&["--reference", "90..99"], 3, "--reference 90..99");
    fails(&["--reference", "9..3"], 2, "A..B");
    fails(&["--n", "3"], 2, "-n 3: expected 10 to");
    fails(&["-n", "0"], 2, "-n 0: expected 1 to");
    fails(&["--run", "none"], 3, "none");
    fails(&["--model", "dcgan", "--run", "vanilla"], 3, "dcgan");
    fails(&["-o", "nearest.jpg"], 2, ".png");
    fails(&["--train-classifier"], 2, "--output");
    fails(&["--steps", "3"], 2, "--train-classifier");
    let untested = ["--train-classifier", "--data", "data", "--test-part", "0", "-o", "c.safetensors"];
    fails(&untested, 3, "labels");
    fails(&["--classifier", "weights/vanilla/generator.safetensors", "--reference", "0..40"], 3, "does not fit");
    std::fs::write(work.path("few.npy"), b"not one").unwrap();
    fails(&["--images", "few.npy", "--data", "data"], 3, "not a .npy");
    write_npy(&work.path("bright.npy"), &[1.5; 784 * 10]);
    fails(&["--images", "bright.npy", "--data", "data"], 3, "1.5");
}

#[test]
fn a_classifier_is_trained_saved_and_used() {
    let work = Workplace::new();
    for part in ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"] {
        let train = part.replace("t10k", "train");
        std::fs::copy(work.path("data").join(train), work.path("data").join(part)).unwrap();
    }
    let train = |output: &str, threads: &str| {
        let flags = ["--train-classifier", "--data", "data", "--steps", "3", "--batch-size", "8", "-o", output];
        work.gan(&[&["evaluate", "--threads", threads], &flags[..]].concat())
            .assert()
            .success()
            .stdout(format!("{output}\n"));
    };
    train("one.safetensors", "1");
    train("two.safetensors", "3");
    assert_eq!(work.read("one.safetensors"), work.read("two.safetensors"));
    let file = gan::checkpoint::read(&work.path("one.safetensors")).unwrap();
    let made: Value = serde_json::from_str(&file.metadata["gan.made"]).unwrap();
    assert!(made["command"].as_str().unwrap().starts_with("gan evaluate --train-classifier --data data --seed 0"));
    assert!(made["accuracy"].is_number() && made["seed"] == 0);
    assert_eq!(made["train_images"], 80, "a sixth is held out");
    assert!(made["validation_accuracy"].is_number(), "{made}");
    let flags = ["evaluate", "--train-classifier", "--data", "data", "--steps", "1", "--batch-size", "8"];
    work.gan(&[&flags[..], &["--train-images", "96", "-o", "all.safetensors"]].concat()).assert().success();
    let file = gan::checkpoint::read(&work.path("all.safetensors")).unwrap();
    let of_all: Value = serde_json::from_str(&file.metadata["gan.made"]).unwrap();
    assert_eq!((of_all["train_images"].as_u64(), of_all.get("validation_accuracy")), (Some(96), None));
    assert!(of_all["command"].as_str().unwrap().contains(" --train-images 96 "));
    work.gan(&[&flags[..], &["--train-images", "97", "-o", "all.safetensors"]].concat()).assert().code(3);
    assert_eq!(file.tensors["9.weight"].dtype(), candle_core::DType::F16);
    work.train("vanilla", "1", &[]);
    let row = json(&work, &["--n", "40", "--classifier", "one.safetensors"]).remove(0);
    assert!(row["classifier"].as_str().unwrap().contains("one.safetensors"));
    assert_eq!(row["reference_images"], 96);
    assert_eq!(row["classifier_accuracy"], made["accuracy"]);
}

#[test]
fn an_encoder_is_judged_by_its_features() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 8, 4);
    let flags = ["pretrain-simclr", "--data", "pictures", "--batch-size", "8", "--steps", "2", "--knn-every", "0"];
    work.gan(&flags).assert().success();
    let rows = json(&work, &["--seeds", "2"]);
    assert_eq!(rows.len(), 3);
    let by_name = json(&work, &["--seeds", "2", "--weights", "resnet9"]);
    assert_eq!(by_name[0]["knn"], rows[0]["knn"], "a run's name means its encoder");
    for name in ["top1", "top5", "knn"] {
        assert!((0.0..=1.0).contains(&rows[0][name].as_f64().unwrap()), "{name} in {}", rows[0]);
    }
    assert_eq!((rows[0]["labels"].as_u64(), rows[0]["mode"].as_str()), (Some(24), Some("linear")));
    assert_eq!(rows[2]["seeds"], serde_json::json!([0, 1]));
    work.gan(&["evaluate", "--reference", "validation"])
        .assert()
        .success()
        .stderr(predicate::str::contains("was pretrained on 4 of the images that it is asked about"));
    // kNN is that of finetune, which asks the same images
    let tuned = work.gan(&["finetune", "--labels", "1.0", "--batch-size", "8", "--epochs", "1", "--cached", "--json"]);
    let tuned: Value = serde_json::from_slice(&{ tuned }.output().unwrap().stdout).unwrap();
    assert_eq!(tuned["knn"], rows[0]["knn"]);
    work.gan(&["evaluate", "--weights", "weights/resnet9/encoder.safetensors"])
        .assert()
        .success()
        .stdout(predicate::str::contains("top-1"));
}

#[test]
fn a_run_is_scored_as_it_trains_and_trains_as_if_it_were_not() {
    let work = Workplace::new();
    work.train("plain", "7", &[]);
    let flags = ["--evaluate-every", "3", "--evaluate-samples", "40", "--evaluate-reference", "0..40"];
    work.train("scored", "7", &flags);
    let tensors = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/step-00000007.safetensors")));
    assert!(tensors("plain") == tensors("scored"));
    let records = work.metrics("scored");
    let scored: Vec<u64> =
        records.iter().filter(|record| record["frechet"].is_number()).map(|r| r["step"].as_u64().unwrap()).collect();
    assert_eq!(scored, [2, 5, 6], "after three steps, after six, and at the end");
    let row = json(&work, &[&["--run", "scored", "--n", "40"][..], &REFERENCE].concat()).remove(0);
    let last = records.last().unwrap();
    for name in NAMES {
        assert_eq!(row[name], last[name], "{name}");
    }
    // stopped and resumed, the same lines
    let begin = [TINY, &["--run", "stopped", "--steps", "7"], &flags].concat();
    stop_after(&work, &begin, 3, libc::SIGINT);
    work.gan(&["train-gan", "--resume", "stopped"]).assert().success();
    assert_eq!(work.metrics_without_clock("stopped"), work.metrics_without_clock("scored"));
    assert!(records.iter().all(|record| record["evaluate_seconds"].is_number() == record["frechet"].is_number()));
    assert!(tensors("plain") == tensors("stopped"));
}

#[test]
fn figures_that_mean_less_than_they_seem_to_are_said() {
    let work = Workplace::new();
    for part in ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"] {
        let train = part.replace("t10k", "train");
        std::fs::copy(work.path("data").join(train), work.path("data").join(part)).unwrap();
    }
    work.train("all", "1", &[]);
    work.train("part", "1", &["--train-images", "50"]);
    let watched = ["--evaluate-every", "1", "--evaluate-samples", "40"];
    let watched = String::from_utf8(work.train("watched", "1", &watched).get_output().stderr.clone()).unwrap();
    assert!(watched.contains("data: 80 training images, 16 held out for validation"), "{watched}");
    assert!(work.metrics("watched")[0]["frechet"].is_number());
    let said = |flags: &[&str]| {
        let output = work.gan(&[&["evaluate", "--n", "40"], flags].concat()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stderr).unwrap()
    };
    // The run, the reference, and how many of its images the run was trained on.
    for (run, reference, seen) in [
        ("all", "0..40", "40 of the 40"),
        ("all", "validation", "16 of the 16"),
        ("all", "test", ""),
        ("part", "20..60", "30 of the 40"),
        ("part", "50..90", ""),
        ("watched", "70..90", "10 of the 20"),
        ("watched", "validation", ""),
    ] {
        let said = said(&["--run", run, "--reference", reference]);
        let warned = format!("weights/{run}/generator_ema.safetensors was trained on {seen} reference images");
        assert_eq!(said.contains("was trained on"), !seen.is_empty(), "{run}, {reference}: {said}");
        assert!(seen.is_empty() || said.contains(&warned), "{run}, {reference}: {said}");
        assert!(said.contains("not reliable below 256 of each"), "{said}");
    }
    let flags = ["--train-classifier", "--data", "data", "--steps", "1", "--batch-size", "8", "-o", "c.safetensors"];
    work.gan(&[&["evaluate"], &flags[..]].concat()).assert().success();
    for (reference, seen) in [("70..90", "was trained on 10 of the 20 reference images"), ("validation", "")] {
        let said = said(&["--run", "watched", "--classifier", "c.safetensors", "--reference", reference]);
        let warned = format!("the digit classifier c.safetensors {seen}");
        assert_eq!(said.contains("c.safetensors was trained on"), !seen.is_empty(), "{reference}: {said}");
        assert!(seen.is_empty() || said.contains(&warned), "{reference}: {said}");
    }
    let flags = [TINY, &["--run", "seen", "--steps", "1", "--evaluate-every", "1", "--evaluate-samples", "40"]];
    work.gan(&[&flags.concat()[..], &["--evaluate-reference", "0..40"]].concat())
        .assert()
        .success()
        .stderr(predicate::str::contains("the run trains on 40 of these 40 images"));
}

#[test]
fn of_a_set_without_test_images_what_the_run_held_out_is_judged_by() {
    let work = Workplace::new();
    work.train("all", "1", &[]);
    work.train("part", "1", &["--test-part", "0.25"]);
    for (run, flags, images, seen) in [
        ("all", &[][..], 19, 19),
        ("part", &[], 24, 0),
        ("part", &["--test-part", "0.5"], 48, 24),
        ("part", &["--test-part", "0.125"], 12, 0),
    ] {
        let output = work.gan(&[&["evaluate", "--n", "40", "--json", "--run", run], flags].concat()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{run}, {flags:?}: {said}");
        let row: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(row["reference_images"], images, "{run}, {flags:?}");
        assert_eq!(said.contains("was trained on"), seen > 0, "{run}, {flags:?}: {said}");
        assert!(seen == 0 || said.contains(&format!("was trained on {seen} of the {images} reference")), "{said}");
    }
}

#[test]
fn classes_without_a_label_are_said() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 8, 4);
    let flags = ["evaluate", "--weights", "bundled", "--encoder", "resnet9", "--data", "pictures", "--labels"];
    let said = |labels: &str| {
        let output = work.gan(&[&flags[..], &[labels]].concat()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stderr).unwrap()
    };
    let two = said("2");
    assert!(two.contains("class disc: no image among the 2 labelled"), "{two}");
    assert!(!said("3").contains("no image among"), "one of each, though the folders begin with eight of one");
    let stratified = work.gan(&[&flags[..], &["0.5", "--stratified", "--reference", "validation", "--json"]].concat());
    let row: Value = serde_json::from_slice(&{ stratified }.output().unwrap().stdout).unwrap();
    assert_eq!(row["labels"], 10, "half of what is not held out");
}

#[test]
fn bundled_weights_say_how_they_were_made() {
    for bundled in Bundled::ALL {
        let archive = bundled.read().unwrap();
        let made: Value = serde_json::from_str(&archive.metadata["gan.made"]).unwrap();
        assert!(made["command"].as_str().unwrap().starts_with("gan "), "{bundled:?}: {made}");
        assert!(made["data"].is_string() && made["seed"].is_number(), "{bundled:?}: {made}");
        let is_half = |tensor: &candle_core::Tensor| tensor.dtype() != candle_core::DType::F32;
        assert!(archive.tensors.values().all(is_half), "{bundled:?}");
    }
}
