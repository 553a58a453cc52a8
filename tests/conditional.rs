//! Conditional GANs through the real binary: training, samples of a class, walks, scores, what is refused.

use std::collections::BTreeMap;
use std::io::Cursor;

use candle_core::Device;
use gan::pretrained::TrainedGenerator;
use predicates::prelude::*;
use serde_json::Value;

use crate::support::{Workplace, bytes_of, write_pictures};

const PIXELS: usize = 784;

/// A run on the ten classes of the tiny data set, in `weights/vanilla`.
fn trained() -> Workplace {
    let work = Workplace::new();
    work.train("vanilla", "3", &["--conditional"]);
    work
}

/// The raw images that `sample` draws with these flags.
fn drawn(work: &Workplace, flags: &[&str]) -> Vec<Vec<f32>> {
    work.gan(&[&["sample", "-o", "x.npy", "-q"], flags].concat()).assert().success();
    let npy = npyz::NpyFile::new(Cursor::new(work.read("x.npy"))).unwrap();
    npy.into_vec::<f32>().unwrap().chunks_exact(PIXELS).map(<[f32]>::to_vec).collect()
}

fn metadata(work: &Workplace, file: &str) -> BTreeMap<String, String> {
    gan::checkpoint::read(&work.path(file)).unwrap().metadata
}

/// Each class begins as the one in its place, whatever either is called.
#[test]
fn a_run_that_starts_from_other_classes_says_so() {
    let work = trained();
    for class in 0..10 {
        let folder = work.path(&format!("named/class {class}"));
        std::fs::create_dir_all(&folder).unwrap();
        image::GrayImage::from_pixel(28, 28, image::Luma([25 * class])).save(folder.join("one.png")).unwrap();
    }
    let flags = ["--conditional", "--batch-size", "4", "--init", "vanilla"];
    let same = work.train("same", "1", &flags).get_output().stderr.clone();
    assert!(!String::from_utf8_lossy(&same).contains("its classes are"));
    let begin =
        ["train-gan", "--model", "vanilla", "--latent-dim", "8", "--run", "other", "--steps", "1", "--channels", "1"];
    let shape = ["--image-size", "28", "--data", "named"];
    let other = work.gan(&[&begin[..], &flags, &shape].concat()).assert().success().get_output().stderr.clone();
    let said = String::from_utf8_lossy(&other).into_owned();
    assert!(
        said.contains("--init vanilla: its classes are 0, 1, 2") && said.contains("this run's class 0, class 1"),
        "{said}"
    );
    let refused = work
        .gan(&[&begin[..], &shape, &["--batch-size", "4", "--init", "vanilla", "--force"]].concat())
        .assert()
        .code(3);
    let said = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(said.contains("conditional on 10 classes; this run's are not conditional"), "{said}");
}

#[test]
fn files_know_their_classes_and_other_runs_are_as_they_were() {
    let work = trained();
    work.train("plain", "3", &[]);
    let named = |file: &str| serde_json::from_str::<Value>(&metadata(&work, file)["gan.network"]).unwrap();
    let names: Vec<String> = (0..10).map(|class| class.to_string()).collect();
    for network in ["generator", "generator_ema", "discriminator"] {
        let file = format!("weights/vanilla/{network}.safetensors");
        assert_eq!(named(&file)["class_names"], serde_json::json!(names), "{network}");
        assert!(named(&format!("weights/plain/{network}.safetensors")).get("class_names").is_none(), "{network}");
    }
    let shape = |run: &str, network: &str, name: &str| {
        work.tensors(&format!("weights/{run}/{network}.safetensors"))[name].dims().to_vec()
    };
    assert_eq!(shape("plain", "generator", "0.weight"), [1024, 8]);
    assert_eq!(shape("vanilla", "generator", "0.weight"), [1024, 18], "eight latents and ten classes");
    assert_eq!(shape("vanilla", "discriminator", "1.weight"), [256, 794]);
    let config = String::from_utf8(work.read("weights/plain/config.json")).unwrap();
    assert!(!config.contains("conditional") && !config.contains("class_names"), "{config}");
    // A row for each class behind its name, eight latents.
    let grid = gan::report::read_png(&work.path("samples/vanilla/step-00000003.png")).unwrap();
    let names = grid.width - (8 * 56 + 7 * 2);
    assert!((12..40).contains(&names), "{names} pixels for a digit");
    assert_eq!(grid.height, 10 * 56 + 9 * 2);
    let all = ["sample", "--weights", "weights/vanilla", "--class", "all", "-n", "80", "-o", "all.png"];
    work.gan(&all).assert().success();
    assert_eq!(work.read("all.png"), work.read("samples/vanilla/step-00000003.png"), "the run's grid");
}

#[test]
fn a_sample_depends_on_seed_class_and_number_alone() {
    let work = trained();
    let of_class = drawn(&work, &["--class", "7", "-n", "30"]);
    let others = drawn(&work, &["--class", "8", "-n", "30"]);
    assert!(of_class.iter().zip(&others).all(|(one, other)| one != other));
    assert_eq!(drawn(&work, &["--class", "7", "-n", "5", "--offset", "20", "--threads", "1"]), of_class[20..25]);
    // Without a class they come in turn.
    let in_turn = drawn(&work, &["-n", "30"]);
    assert_eq!([&in_turn[7], &in_turn[17], &in_turn[18]], [&of_class[7], &of_class[17], &others[18]]);
    // All classes, each with the same latents: sample 27 is the third of class 7.
    let all = drawn(&work, &["--class", "all", "-n", "30"]);
    assert_eq!([&all[7], &all[27], &all[28]], [&of_class[0], &of_class[2], &others[2]]);
    assert_eq!(drawn(&work, &["--class", "all", "-n", "4", "--offset", "25"]), all[25..29]);
    // As the library draws them, and from the checkpoint.
    let open = |file: &str| TrainedGenerator::open(&work.path(file), &Device::Cpu).unwrap();
    let generator = open("weights/vanilla");
    assert_eq!(generator.class_names().len(), 10);
    let rows = |images: candle_core::Tensor| images.flatten_from(1).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(rows(generator.sample_class(7, 3, 0).unwrap()), of_class[..3]);
    assert_eq!(rows(generator.sample(30, 0).unwrap()), in_turn);
    assert!(generator.sample_class(10, 3, 0).is_err());
    let checkpoint = open("weights/vanilla/step-00000003.safetensors");
    assert_eq!(rows(checkpoint.sample_class(7, 3, 0).unwrap()), of_class[..3]);
    // One PNG a sample.
    work.gan(&["sample", "--class", "7", "-n", "2", "--offset", "3", "-o", "dir/"]).assert().success();
    let picture = gan::report::read_png(&work.path("dir/000004.png")).unwrap();
    let rounded: Vec<u8> = of_class[4].iter().map(|value| ((value + 1.0) / 2.0 * 255.0).round() as u8).collect();
    assert_eq!(picture.pixels, rounded);
}

#[test]
fn given_latents_and_walks_have_a_class() {
    let work = trained();
    let latents = gan::pretrained::latents(7, 0, 6, gan::latent_space::LatentSpace::uniform(8));
    let mut bytes = gan::report::npy_header(&[6, 8]);
    bytes.extend(latents.iter().flat_map(|value| value.to_le_bytes()));
    std::fs::write(work.path("z.npy"), bytes).unwrap();
    for class in ["7", "all"] {
        let count = if class == "all" { "60" } else { "6" };
        let seeded = drawn(&work, &["--class", class, "--seed", "7", "-n", count]);
        assert_eq!(drawn(&work, &["--class", class, "--latents", "z.npy"]), seeded, "{class}");
    }
    work.gan(&["sample", "--class", "all", "--latents", "z.npy", "-n", "70", "-o", "x.npy"]).assert().code(3);
    // A walk begins at its latent and stays in its class.
    let first_frame = |flags: &[&str]| {
        work.gan(&[&["sample", "-n", "2", "--frames", "2", "-o", "walk.gif"], flags].concat()).assert().success();
        let bytes = work.read("walk.gif");
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(Cursor::new(bytes)).unwrap();
        let frame = decoder.read_next_frame().unwrap().unwrap();
        (frame.width as usize, frame.height as usize, frame.buffer.iter().step_by(4).copied().collect::<Vec<u8>>())
    };
    let (width, height, pixels) = first_frame(&["--class", "3", "--walks", "1", "--scale", "1"]);
    assert_eq!((width, height), (28, 28));
    let expected = &drawn(&work, &["--class", "3", "-n", "1"])[0];
    let near = |pixel: u8, value: f32| (f32::from(pixel) - (value + 1.0) * 127.5).abs() < 6.0; // of the palette
    assert!(pixels.iter().zip(expected).all(|(pixel, value)| near(*pixel, *value)));
    let (width, height, _) = first_frame(&["--class", "all", "--scale", "1"]);
    assert_eq!((width, height), (4 * 28 + 3 * 2, 3 * 28 + 2 * 2), "ten walks, as near to a square as can be");
}

#[test]
fn names_of_folders_are_names_of_classes() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 12, 3);
    let flags = ["--data", "pictures", "--image-size", "32", "--batch-size", "4", "--latent-dim", "8"];
    for (model, run) in [("vanilla", "colour"), ("dcgan", "radford")] {
        let begin = ["train-gan", "--model", model, "--run", run, "--steps", "2", "--conditional"];
        work.gan(&[&begin[..], &flags].concat()).assert().success();
        let sample = |class: &str| {
            let file = format!("{run}-{class}.npy");
            let weights = format!("weights/{run}");
            let flags = ["sample", "--weights", &weights, "--class", class, "-n", "2", "-o", &file];
            work.gan(&flags).assert().success();
            work.read(&file)
        };
        assert_eq!(sample("cross"), sample("1"));
        assert_ne!(sample("cross"), sample("disc"));
        let unknown = ["sample", "--weights", &format!("weights/{run}"), "--class", "3", "-o", "x.png"];
        work.gan(&unknown).assert().code(2).stderr(predicate::str::contains("bar, cross, disc"));
    }
    let radford = work.tensors("weights/radford/discriminator.safetensors");
    assert_eq!(radford["embedding.weight"].dims(), [3, 256]);
    // Nobody has a classifier for these: samples of the classes in turn beside their neighbours.
    work.gan(&["evaluate", "--run", "radford", "-o", "pairs.png", "-n", "10"]).assert().success();
}

#[test]
fn a_stopped_run_goes_on_with_the_same_classes() {
    let work = Workplace::new();
    for (model, flags) in [
        ("vanilla", &["--r1", "1", "--r1-every", "2", "--diffaugment", "translation"][..]),
        ("dcgan", &["--no-shuffle"]),
    ] {
        let begin = |run: &str, steps: &str, threads: &str| {
            let size = ["--data", "data", "--batch-size", "8", "--checkpoint-every", "2", "--threads", threads];
            let own = ["train-gan", "--model", model, "--conditional", "--run", run, "--steps", steps];
            work.gan(&[&own[..], &size, flags].concat()).assert().success();
        };
        let (whole, parts) = (format!("{model}-whole"), format!("{model}-parts"));
        begin(&whole, "5", "2");
        begin(&parts, "2", "1");
        work.gan(&["train-gan", "--resume", &parts, "--steps", "5"]).assert().success();
        let state = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/step-00000005.safetensors")));
        assert!(state(&whole) == state(&parts), "{model}: the final state differs");
        let grid = |run: &str| work.read(&format!("samples/{run}/step-00000005.png"));
        assert_eq!(grid(&whole), grid(&parts), "{model}");
        let streams = &metadata(&work, &format!("weights/{parts}/step-00000005.safetensors"))["gan.state"];
        assert!(streams.contains(r#""classes":5"#), "{streams}");
    }
}

#[test]
fn scores_say_how_well_samples_are_of_their_classes() {
    let work = trained();
    let flags = ["evaluate", "--reference", "0..40", "-n", "50"];
    let output = work.gan(&[&flags[..], &["--json", "-q"]].concat()).output().unwrap();
    let row: Value = serde_json::from_slice(&output.stdout).unwrap();
    let numbers = |name: &str| row[name].as_array().unwrap().iter().map(Value::as_f64).collect::<Vec<_>>();
    let (agreement, of_class) = (row["class_agreement"].as_f64().unwrap(), numbers("agreement_by_class"));
    assert_eq!((of_class.len(), numbers("frechet_by_class").len()), (10, 10));
    let mean = of_class.iter().flatten().sum::<f64>() / 10.0;
    assert!((agreement - mean).abs() < 1e-9, "five samples of each class");
    assert!(numbers("frechet_by_class").iter().all(|distance| distance.is_some_and(|distance| distance > 0.0)));
    let table = work.gan(&flags).assert().success();
    table.stdout(
        predicate::str::contains("agreement with the class drawn").and(predicate::str::contains("of each class")),
    );

    // While it trains, the same.
    let evaluated = ["--conditional", "--evaluate-every", "2", "--evaluate-samples", "50"];
    let evaluated = [&evaluated[..], &["--evaluate-reference", "0..40"]].concat();
    work.train("watched", "2", &evaluated);
    let last = work.metrics("watched").pop().unwrap();
    assert!(last["class_agreement"].is_number() && last["frechet_by_class"].as_array().unwrap().len() == 10, "{last}");
    let output = work.gan(&["evaluate", "--run", "watched", "--reference", "0..40", "-n", "50", "--json"]).output();
    let row: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    assert_eq!(row["agreement_by_class"], last["agreement_by_class"]);
    // A plain generator has no such scores.
    work.train("plain", "2", &[]);
    let output = work.gan(&["evaluate", "--run", "plain", "--reference", "0..40", "-n", "50", "--json"]).output();
    let row: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    assert!(row.get("class_agreement").is_none() && row["frechet"].is_number(), "{row}");
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let work = trained();
    work.train("plain", "2", &[]);
    for (run, class, flags, says) in [
        ("plain", "7", &["-o", "x.png"][..], "not conditional"),
        ("plain", "all", &["-o", "x.png"], "not conditional"),
        ("vanilla", "ten", &["-o", "x.png"], "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        ("vanilla", "10", &["-o", "x.png"], "--class 10: the generator has no such class"),
        ("vanilla", "-1", &["-o", "x.png"], "--class -1: the generator has no such class"),
        ("vanilla", "", &["-o", "x.png"], "--class \"\": the generator has no such class"),
        ("vanilla", "all", &["-o", "x.png", "--columns", "3"], "--columns 3"),
        ("vanilla", "all", &["-o", "x.gif", "--walks", "3"], "--walks 3"),
        ("vanilla", "all", &["-o", "x.png", "-n", "64"], "multiples of 10"),
    ] {
        let weights = format!("weights/{run}");
        let sample = ["sample", "--weights", &weights, "--class", class];
        work.gan(&[&sample[..], flags].concat()).assert().code(2).stderr(predicate::str::contains(says));
    }
    assert!(!work.path("x.png").exists() && !work.path("x.gif").exists());
}

#[test]
fn classes_without_images_are_named() {
    let work = Workplace::new();
    let said = |run: &str, flags: &[&str]| {
        let trained = work.train(run, "1", &[&["--conditional", "--batch-size", "4"], flags].concat());
        String::from_utf8(trained.get_output().stderr.clone()).unwrap()
    };
    let few = said("few", &["--train-images", "8"]);
    assert!(few.contains("--conditional: classes ") && few.contains("among the 8 to train on"), "{few}");
    assert!(!said("all", &[]).contains("no image among"));
    let unconditional = work.train("plain", "1", &["--batch-size", "4", "--train-images", "8"]);
    unconditional.stderr(predicate::str::contains("no image among").not());
}
