//! `gan pretrain-simclr` through the real binary: files, streams, stops and resumption, what goes wrong.

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
    let mut metrics = work.metrics(run);
    for record in &mut metrics {
        record["seconds"] = 0.into();
        record["images_per_second"] = 0.into();
    }
    metrics
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
