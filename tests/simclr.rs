//! `gan pretrain-simclr` through the real binary: files, streams, stops and resumption, what goes wrong.

use std::path::Path;

use gan::checkpoint::Weights;
use gan::data::{self, ImageShape};
use gan::models::{EncoderArchitecture, NetworkDescription, NetworkKind, Stem};
use gan::normalisation::Normalisation;
use gan::pretrained::EncoderSource;
use gan::train::simclr_config::SimclrConfig;

use crate::resume::stop_after;
use crate::support::{Workplace, bytes_of, write_pictures};

/// Flags of the smallest useful run: 24 images, 3 steps an epoch.
const TINY: &[&str] = &[
    "pretrain-simclr",
    "--data",
    "pictures",
    "--batch-size",
    "8",
    "--log-every",
    "2",
    "--checkpoint-every",
    "4",
    "--knn-every",
    "1",
    "--knn-reference",
    "test",
    "--warmup-steps",
    "2",
];

fn workplace() -> Workplace {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 8, 4);
    work
}

fn run(work: &Workplace, name: &str, flags: &[&str]) {
    work.gan(&[TINY, &["--run", name], flags].concat()).assert().success();
}

/// Metrics without the clock.
fn metrics(work: &Workplace, run: &str) -> Vec<serde_json::Value> {
    work.metrics_without_clock(run)
}

#[test]
fn a_run_leaves_its_files_under_the_names_of_pytorch() {
    let work = workplace();
    let output = work.gan(&[TINY, &["--epochs", "2", "--json", "-q"]].concat()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, work.read("weights/resnet9/metrics.jsonl"));
    let metrics = work.metrics("resnet9");
    let steps: Vec<_> = metrics.iter().map(|record| record["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [0, 2, 4, 5], "every second step, and the last of each epoch, where kNN is measured");
    for (record, measured) in metrics.iter().zip([false, true, false, true]) {
        for key in ["step", "epoch", "seconds", "images_per_second", "loss", "lr", "alignment", "uniformity"] {
            assert!(record[key].is_number(), "{key} in {record}");
        }
        assert_eq!(record["knn_top1"].is_number(), measured, "{record}");
    }
    assert_eq!(metrics[0]["lr"], 0.0005, "half of 1e-3: the first of two steps of warm-up");
    assert!(metrics[3]["lr"].as_f64() < metrics[2]["lr"].as_f64(), "the cosine falls");

    let names = |file: &str| -> Vec<String> { work.tensors(&format!("weights/resnet9/{file}")).into_keys().collect() };
    let encoder = names("encoder.safetensors");
    for name in ["f.0.weight", "f.1.running_var", "f.3.0.conv1.weight", "f.6.0.downsample.1.num_batches_tracked"] {
        assert!(encoder.iter().any(|found| found == name), "{name} in {encoder:?}");
    }
    assert!(encoder.iter().all(|name| name.starts_with("f.")));
    let head = [
        "g.0.weight",
        "g.1.bias",
        "g.1.num_batches_tracked",
        "g.1.running_mean",
        "g.1.running_var",
        "g.1.weight",
        "g.3.bias",
        "g.3.weight",
    ];
    assert_eq!(names("projection_head.safetensors"), head);
    for file in ["views.png", "losses.png"] {
        assert!(work.path(&format!("samples/resnet9/{file}")).is_file(), "{file}");
    }
}

#[test]
fn interrupted_runs_end_in_the_same_bytes() {
    let work = workplace();
    let steps = ["--epochs", "3"];
    run(&work, "whole", &steps);
    let signals =
        [(libc::SIGINT, Some(130)), (libc::SIGTERM, Some(143)), (libc::SIGKILL, None), (libc::SIGINT, Some(130))];
    let mut interrupted = 0;
    for (index, (signal, code)) in signals.into_iter().enumerate() {
        let name = format!("run{index}");
        let begin = [TINY, &["--run", &name], &steps[..]].concat();
        let stopped = stop_after(&work, &begin, 1 + index, signal);
        // A run that had come to its end before the signal came is no failure of it.
        assert!(stopped == code || stopped == Some(0), "{name}: {stopped:?}");
        interrupted += usize::from(stopped == code);
        let threads = ["1", "2", "3"][index % 3];
        work.gan(&["pretrain-simclr", "--resume", &name, "--threads", threads]).assert().success();
        let state = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/step-00000009.safetensors")));
        assert!(state(&name) == state("whole"), "{name}: the final state differs");
        assert_eq!(metrics(&work, &name), metrics(&work, "whole"), "{name}");
        for file in ["weights/NAME/encoder.safetensors", "samples/NAME/views.png", "samples/NAME/losses.png"] {
            let bytes = |run: &str| work.read(&file.replace("NAME", run));
            assert!(bytes(&name) == bytes("whole"), "{name}: {file} differs");
        }
    }
    assert!(interrupted > 0, "no signal has stopped a run");
}

/// What a file of weights says of its network.
fn network(work: &Workplace, file: &str) -> NetworkDescription {
    let weights = Weights::open(&work.path(file)).unwrap();
    serde_json::from_str(&weights.metadata["gan.network"]).unwrap()
}

#[test]
fn an_encoder_of_large_pictures_trains_resumes_and_is_used() {
    let work = workplace();
    let flags = ["--encoder", "resnet18", "--image-size", "96", "--normalise", "measured", "--schedule", "constant"];
    run(&work, "whole", &[&flags[..], &["--steps", "4"]].concat());
    run(&work, "parts", &[&flags[..], &["--steps", "2"]].concat());
    work.gan(&["pretrain-simclr", "--resume", "parts", "--steps", "4"]).assert().success();
    let state = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/step-00000004.safetensors")));
    assert!(state("parts") == state("whole"));
    assert!(state("whole").keys().any(|name| name == "f.layer4.1.bn2.running_var"));

    let encoder = network(&work, "weights/whole/encoder.safetensors");
    let kind = NetworkKind::Encoder { architecture: EncoderArchitecture::Resnet18, stem: Stem::Imagenet };
    assert_eq!((&encoder.kind, encoder.image_shape), (&kind, ImageShape::new(96, 96, 3)));
    let mut config: serde_json::Value = serde_json::from_slice(&work.read("weights/whole/config.json")).unwrap();
    config.as_object_mut().unwrap().remove("places"); // what lies beside the configuration
    let config: SimclrConfig = serde_json::from_value(config).unwrap();
    assert_eq!(config.normalisation.as_ref(), Some(&encoder.normalisation));
    assert_ne!(encoder.normalisation, Normalisation::cifar10());
    // A checkpoint of the run is the same network.
    let found = EncoderSource::open(&work.path("weights/whole/step-00000004.safetensors")).unwrap();
    assert_eq!(found.network(), encoder);

    let finetune = ["finetune", "--weights", "weights/whole", "--epochs", "1", "--labels", "1.0", "--run", "tuned"];
    work.gan(&finetune).assert().success();
    let classifier = network(&work, "weights/tuned/classifier.safetensors");
    assert!(matches!(classifier.kind, NetworkKind::Classifier { stem: Stem::Imagenet, .. }));
    assert_eq!((classifier.image_shape, classifier.normalisation), (encoder.image_shape, encoder.normalisation));
    work.gan(&["evaluate", "--weights", "weights/whole"]).assert().success();
    // Other pixels, other features.
    let embed = |name: &str, flags: &[&str]| {
        let finetune = ["finetune", "--weights", "weights/whole", "--data", "pictures/test/disc", "--embeddings", name];
        work.gan(&[&finetune[..], flags].concat()).assert().success();
        work.read(name)
    };
    let as_pretrained = embed("as_pretrained.npy", &[]);
    assert!(embed("again.npy", &["--image-size", "96"]) == as_pretrained);
    assert!(embed("smaller.npy", &["--image-size", "64"]) != as_pretrained);
    assert!(embed("normalised.npy", &["--normalise", "imagenet"]) != as_pretrained);
}

/// A configuration from before there were sizes: the run goes on at 32 pixels, with CIFAR-10's statistics.
#[test]
fn runs_from_before_sizes_go_on_as_they_began() {
    let work = workplace();
    run(&work, "whole", &["--schedule", "constant", "--steps", "4"]);
    run(&work, "old", &["--schedule", "constant", "--steps", "2"]);
    let path = work.path("weights/old/config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&work.read("weights/old/config.json")).unwrap();
    let fields = config.as_object_mut().unwrap();
    let new = ["stem", "image_size", "crops_originals", "normalise", "normalisation"];
    new.iter().for_each(|field| assert!(fields.remove(*field).is_some(), "{field}"));
    std::fs::write(&path, serde_json::to_vec(&config).unwrap()).unwrap();
    work.gan(&["pretrain-simclr", "--resume", "old", "--steps", "4"]).assert().success();
    let encoder = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/encoder.safetensors")));
    assert!(encoder("old") == encoder("whole"));
}

/// Twelve pictures of three classes and of several sizes, one of them grey, in `directory`.
fn write_sizes(directory: &Path) {
    for (class, (height, width)) in [(50, 40), (33, 61), (32, 32)].into_iter().enumerate() {
        let folder = directory.join(format!("class{class}"));
        std::fs::create_dir_all(&folder).unwrap();
        for index in 0..4u32 {
            let channels = if class == 1 && index == 0 { 1 } else { 3 };
            let pixels = (0..height * width * channels).map(|place| (place * (7 + index) / 3) as u8).collect();
            write_picture(&folder.join(format!("{index}.png")), [height, width, channels], pixels);
        }
    }
}

fn write_picture(path: &Path, [height, width, channels]: [u32; 3], pixels: Vec<u8>) {
    let picture = gan::report::Picture { width, height, channels: channels as usize, pixels };
    gan::report::encode_png(&picture, &mut std::fs::File::create(path).unwrap()).unwrap();
}

/// Views are crops of the pictures as they are, in memory or decoded on demand. A run from before goes on with crops of
/// pictures made to fit.
#[test]
fn crops_are_of_the_original_pictures() {
    let work = Workplace::new();
    write_sizes(&work.path("sizes"));
    let flags = |data: &'static str| -> Vec<&str> {
        let more = ["--knn-every", "0", "--test-part", "0", "--steps", "2", "--schedule", "constant"];
        let mut flags = [&["pretrain-simclr", "--batch-size", "6", "--warmup-steps", "0"][..], &more].concat();
        flags.extend(["--data", data]);
        flags
    };
    let train = |name: &str, data: &'static str, more: &[&str]| {
        work.gan(&[&flags(data)[..], &["--run", name], more].concat()).assert().success();
        bytes_of(&work.tensors(&format!("weights/{name}/encoder.safetensors")))
    };
    let in_memory = train("in_memory", "sizes", &[]);
    assert!(train("on_demand", "sizes", &["--data-memory", "0"]) == in_memory);
    assert!(work.read("samples/in_memory/views.png") == work.read("samples/on_demand/views.png"));

    let shape = ImageShape::new(32, 32, 3);
    let options = data::DataOptions::default();
    let fitted = data::open(work.path("sizes").to_str().unwrap(), &options, shape, &|_, _, _| ()).unwrap();
    let images = fitted.train.to_images().unwrap();
    for (index, label) in images.labels.iter().enumerate() {
        let folder = work.path(&format!("fitted/class{label}"));
        std::fs::create_dir_all(&folder).unwrap();
        write_picture(&folder.join(format!("{index:02}.png")), [32, 32, 3], images.image(index).to_vec());
    }
    let of_fitted = train("of_fitted", "fitted", &[]);
    assert!(of_fitted != in_memory);

    let path = work.path("weights/on_demand/config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(config.as_object_mut().unwrap().remove("crops_originals"), Some(true.into()));
    std::fs::write(&path, serde_json::to_vec(&config).unwrap()).unwrap();
    std::fs::remove_file(work.path("weights/on_demand/step-00000002.safetensors")).unwrap();
    work.gan(&["pretrain-simclr", "--resume", "on_demand"]).assert().success();
    assert!(bytes_of(&work.tensors("weights/on_demand/encoder.safetensors")) == of_fitted);

    // A linear layer is trained on crops of the originals too, and measured on what fits.
    let finetune =
        ["finetune", "--weights", "weights/in_memory", "--data", "sizes", "--labels", "1.0", "--epochs", "1"];
    let row = |name: &str, more: &[&str]| {
        work.gan(&[&finetune[..], &["--run", name], more].concat()).assert().success();
        bytes_of(&work.tensors(&format!("weights/{name}/classifier.safetensors")))
    };
    assert!(row("tuned", &[]) == row("tuned_on_demand", &["--data-memory", "0"]));
}

/// The records of a run without its flag `--knn-reference test`.
fn validated(work: &Workplace, name: &str, flags: &[&str]) -> (String, Vec<serde_json::Value>) {
    let kept = TINY.iter().filter(|flag| !["--knn-reference", "test"].contains(*flag)).copied().collect::<Vec<_>>();
    let output = work.gan(&[&kept[..], &["--run", name, "--steps", "2"], flags].concat()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8(output.stderr).unwrap(), work.metrics(name))
}

#[test]
fn what_is_watched_is_held_out_of_training() {
    let work = workplace();
    let (said, records) = validated(&work, "watched", &[]);
    assert!(said.contains("20 training images, 4 held out for validation"), "{said}");
    assert!(records.last().unwrap()["knn_top1"].is_number(), "after the last step, and an epoch: {records:?}");
    // Nothing is watched: nothing is held out, and the bytes are those of a run that watches the test images.
    let (said, _) = validated(&work, "unwatched", &["--knn-every", "0"]);
    assert!(said.contains("24 images") && !said.contains("held out"), "{said}");
    run(&work, "tested", &["--steps", "2"]);
    let encoder = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/encoder.safetensors")));
    assert!(encoder("unwatched") == encoder("tested") && encoder("watched") != encoder("tested"));
    let output = work.gan(&[TINY, &["--knn-reference", "validation", "--batch-size", "24"]].concat()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("20 training images, beside 4 held out for validation"), "{said}");
}

/// A configuration as it was written before there was validation: the test images are watched, and the first images of the
/// files are trained on.
#[test]
fn runs_from_before_validation_go_on_as_they_began() {
    let work = workplace();
    let flags = ["--train-images", "9", "--schedule", "constant"];
    run(&work, "old", &[&flags[..], &["--steps", "1"]].concat());
    let path = work.path("weights/old/config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&work.read("weights/old/config.json")).unwrap();
    assert_eq!(config["balanced_parts"], true);
    let fields = config.as_object_mut().unwrap();
    fields.retain(|name, _| name != "balanced_parts" && name != "knn_reference");
    std::fs::write(&path, serde_json::to_vec(&config).unwrap()).unwrap();
    std::fs::remove_file(work.path("weights/old/step-00000001.safetensors")).unwrap();
    work.gan(&["pretrain-simclr", "--resume", "old", "--steps", "2"]).assert().success();
    // Its nine images are the first: eight bars and a cross. A folder of those alone gives the same bytes.
    let folder = work.path("first/train");
    for (class, count) in [("bar", 8), ("cross", 1), ("disc", 0)] {
        std::fs::create_dir_all(folder.join(class)).unwrap();
        for index in 0..count {
            let name = format!("{class}/{index:03}.png");
            std::fs::copy(work.path("pictures/train").join(&name), folder.join(&name)).unwrap();
        }
    }
    std::fs::remove_dir(folder.join("disc")).unwrap();
    run(
        &work,
        "first",
        &["--data", "first", "--schedule", "constant", "--steps", "2", "--knn-every", "0", "--test-part", "0"],
    );
    run(&work, "new", &[&flags[..], &["--steps", "2"]].concat());
    let encoder = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/encoder.safetensors")));
    assert!(encoder("old") == encoder("first"));
    assert!(encoder("old") != encoder("new"), "three of each class");
}

#[test]
fn every_optimizer_trains_and_resumes_with_its_state() {
    let work = workplace();
    for optimizer in ["adam", "sgd", "lars"] {
        let flags = ["--optimizer", optimizer, "--views", "separate", "--knn-every", "0"];
        run(&work, &format!("{optimizer}-whole"), &[&flags[..], &["--steps", "6"]].concat());
        let parts = format!("{optimizer}-parts");
        // A constant rate: a cosine is drawn out when the run is made longer.
        let constant = ["--schedule", "constant"];
        run(&work, &parts, &[&flags[..], &["--steps", "3"], &constant].concat());
        work.gan(&["pretrain-simclr", "--resume", &parts, "--steps", "6"]).assert().success();
        let whole = format!("{optimizer}-constant");
        run(&work, &whole, &[&flags[..], &["--steps", "6"], &constant].concat());
        let encoder = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/encoder.safetensors")));
        assert!(encoder(&parts) == encoder(&whole), "{optimizer}");
        assert!(encoder(&parts) != encoder(&format!("{optimizer}-whole")), "{optimizer}: the schedule matters");
    }
}

#[test]
fn one_batch_of_both_views_is_not_two() {
    let work = workplace();
    for views in ["joint", "separate"] {
        run(&work, views, &["--views", views, "--steps", "2", "--knn-every", "0"]);
    }
    let mean =
        |run: &str| work.tensors(&format!("weights/{run}/encoder.safetensors"))["f.1.num_batches_tracked"].clone();
    assert_eq!(mean("joint").to_scalar::<i64>().unwrap(), 2);
    assert_eq!(mean("separate").to_scalar::<i64>().unwrap(), 4);
}

#[test]
fn collapse_is_noticed_and_divergence_ends_the_run() {
    let work = workplace();
    // A penalty that outweighs the loss shrinks every weight to nothing, and all embeddings become one.
    let ill = ["--optimizer", "sgd", "--momentum", "0", "--lr", "0.006", "--weight-decay", "50", "--steps", "50"];
    let ill = [&ill[..], &["--schedule", "constant", "--log-every", "1", "--knn-every", "0"]].concat();
    let output = work.gan(&[TINY, &ill, &["--run", "ill"]].concat()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && stderr.contains("collapsed"), "{stderr}");
    let wild = [TINY, &["--optimizer", "sgd", "--lr", "1e30", "--steps", "20", "--run", "wild"]].concat();
    let output = work.gan(&wild).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("diverged") && stderr.contains("--lr"), "{stderr}");
}
