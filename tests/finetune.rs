//! `gan finetune` through the real binary: the table, the frozen encoder, what it leaves, stops and resumption.

use crate::resume::stop_after;
use crate::support::{Workplace, bytes_of, write_pictures};

/// Flags of the smallest useful run: 24 labelled images.
const TINY: &[&str] = &["finetune", "--labels", "1.0", "--batch-size", "8", "--epochs", "2"];

/// A place with pictures and an encoder that was pretrained on them for two steps.
fn workplace() -> Workplace {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 8, 4);
    let flags = ["pretrain-simclr", "--data", "pictures", "--batch-size", "8", "--steps", "2", "--knn-every", "0"];
    work.gan(&flags).assert().success();
    work
}

/// The rows as `--json` streams them.
fn rows(work: &Workplace, flags: &[&str]) -> Vec<serde_json::Value> {
    let output = work.gan(&[TINY, &["--json", "-q"], flags].concat()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn without_clock(mut rows: Vec<serde_json::Value>) -> Vec<serde_json::Value> {
    rows.iter_mut().for_each(|row| row["seconds"] = 0.into());
    rows
}

#[test]
fn the_table_has_every_row_and_the_frozen_encoder_keeps_its_bytes() {
    let work = workplace();
    let encoder = work.read("weights/resnet9/encoder.safetensors");
    let rows = rows(&work, &["--baseline", "--mode", "both"]);
    let of = |key: &str| -> Vec<String> { rows.iter().map(|row| row[key].as_str().unwrap().to_string()).collect() };
    assert_eq!(of("encoder"), ["pretrained", "untrained", "pretrained", "untrained"]);
    assert_eq!(of("mode"), ["linear", "linear", "full", "full"]);
    for row in &rows {
        assert_eq!(row["labels"], 24);
        for key in ["top1", "top5", "knn"] {
            let accuracy = row[key].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&accuracy), "{key} in {row}");
        }
        assert_eq!(row["top5"], 1.0, "there are three classes");
    }
    assert_eq!(work.read("weights/resnet9/encoder.safetensors"), encoder, "the file it was taken from");
    let tensors = |file: &str| work.tensors(&format!("weights/{file}.safetensors"));
    let of_encoder = bytes_of(&tensors("resnet9/encoder"));
    let shares = |classifier: &str| {
        let classifier = bytes_of(&tensors(&format!("resnet9-finetune/{classifier}")));
        assert!(classifier.contains_key("fc.weight") && classifier.contains_key("fc.bias"));
        of_encoder.iter().all(|(name, bytes)| classifier.get(name) == Some(bytes))
    };
    assert!(shares("classifier"), "the linear row's encoder is the pretrained one to the bit");
    assert!(!shares("classifier-untrained-linear") && !shares("classifier-pretrained-full"));
    for picture in ["confusion", "map"] {
        for row in ["", "-untrained-linear", "-pretrained-full", "-untrained-full"] {
            assert!(work.path(&format!("samples/resnet9-finetune/{picture}{row}.png")).is_file(), "{picture}{row}");
        }
    }
}

#[test]
fn the_table_for_people_has_the_same_figures() {
    let work = workplace();
    let rows = rows(&work, &["--cached", "--run", "one"]);
    let output = work.gan(&[TINY, &["--cached", "--run", "two"]].concat()).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    let cells: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(cells[..3], ["pretrained", "linear", "24"]);
    assert_eq!(cells[3], format!("{:.1}", 100.0 * rows[0]["top1"].as_f64().unwrap()));
    assert_eq!(table.lines().count(), 2);
}

#[test]
fn few_labels_are_one_batch() {
    let work = workplace();
    let few = |flags: &[&str]| work.gan(&[&["finetune", "--epochs", "2", "--json"], flags].concat()).output().unwrap();
    for flags in [&["--labels", "5", "--run", "views"][..], &["--labels", "5", "--cached", "--run", "features"]] {
        let output = few(flags);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        assert!(
            stderr.contains("5 labelled images of pictures, batch 5 (all there are, for --batch-size 128)"),
            "{stderr}"
        );
        assert!(stderr.contains("1 row of 2 steps"), "an epoch is one batch: {stderr}");
        let row: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(row["labels"], 5);
    }
    // What was asked for is what is saved: a run of more labels takes it.
    let config: serde_json::Value = serde_json::from_slice(&work.read("weights/views/config.json")).unwrap();
    assert_eq!(config["batch_size"], 128);
    assert!(few(&["--labels", "1", "--run", "one"]).status.success());
    let refused = few(&["--labels", "1", "--mode", "full", "--run", "full"]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--labels 1"));
}

#[test]
fn interrupted_tables_end_in_the_same_rows_and_bytes() {
    let work = workplace();
    let flags = ["--baseline", "--mode", "both", "--checkpoint-every", "2"];
    let whole = without_clock(rows(&work, &[&flags[..], &["--run", "whole"]].concat()));
    for (index, (signal, code)) in [(libc::SIGINT, Some(130)), (libc::SIGKILL, None)].into_iter().enumerate() {
        let name = format!("run{index}");
        let begin = [TINY, &flags[..], &["--run", &name]].concat();
        let stopped = stop_after(&work, &begin, 1 + 2 * index, signal);
        assert!(stopped == code || stopped == Some(0), "{name}: {stopped:?}");
        work.gan(&["finetune", "--resume", &name, "--threads", "1"]).assert().success();
        assert_eq!(without_clock(work.metrics(&name)), whole, "{name}");
        for row in ["", "-untrained-linear", "-pretrained-full", "-untrained-full"] {
            let bytes = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/classifier{row}.safetensors")));
            assert!(bytes(&name) == bytes("whole"), "{name}: classifier{row} differs");
        }
    }
}

#[test]
fn embeddings_are_those_of_the_test_images_or_of_a_set_without_labels() {
    let work = workplace();
    rows(&work, &["--cached", "--embeddings", "h.npy"]);
    let shape = |file: &str| npyz::NpyFile::new(&work.read(file)[..]).unwrap().shape().to_vec();
    assert_eq!(shape("h.npy"), [12, 256]);
    let flat = work.path("flat");
    std::fs::create_dir(&flat).unwrap();
    for index in 0..5 {
        std::fs::copy(work.path(&format!("pictures/test/disc/00{}.png", index % 4)), flat.join(format!("{index}.png")))
            .unwrap();
    }
    let output = work.gan(&[TINY, &["--data", "flat", "--embeddings", "all.npy"]].concat()).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty());
    assert_eq!(shape("all.npy"), [5, 256]);
    let values = |file: &str| npyz::NpyFile::new(&work.read(file)[..]).unwrap().into_vec::<f32>().unwrap();
    // The discs are the last class of the test images.
    assert_eq!(values("all.npy")[..4 * 256], values("h.npy")[8 * 256..]);
}

#[test]
fn a_row_that_is_done_is_not_trained_again() {
    let work = workplace();
    let flags = ["--baseline", "--mode", "both", "--run", "table"];
    let begin = [TINY, &flags[..]].concat();
    let mut tries = 0..5;
    let killed = tries.any(|_| {
        let _ = std::fs::remove_dir_all(work.path("weights/table"));
        // Without a checkpoint within a row, which has 6 steps.
        stop_after(&work, &begin, 2, libc::SIGKILL).is_none() && work.metrics("table").len() < 4
    });
    assert!(killed, "the process was never slower than the signal");
    let before = work.metrics("table");
    work.gan(&["finetune", "--resume", "table"]).assert().success();
    assert_eq!(work.metrics("table")[..2], before[..2], "with the seconds that they took");
    assert_eq!(work.metrics("table").len(), 4);

    // Once more: the table at once, and nothing else. It needs neither the images nor the encoder.
    let files = || -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let entries = std::fs::read_dir(work.path("weights/table")).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
        files.sort();
        files
    };
    let before = files();
    std::fs::remove_dir_all(work.path("pictures")).unwrap();
    std::fs::remove_dir_all(work.path("weights/resnet9")).unwrap();
    let table = work.gan(&["finetune", "--resume", "table"]).assert().success().get_output().stdout.clone();
    assert_eq!(String::from_utf8(table).unwrap().lines().count(), 5);
    let json = work.gan(&["finetune", "--resume", "table", "--json"]).assert().success().get_output().stdout.clone();
    assert_eq!(json, work.read("weights/table/metrics.jsonl"));
    assert!(files() == before);
}

#[test]
fn other_images_of_a_table_that_is_done_are_refused() {
    let work = workplace();
    rows(&work, &["--run", "table"]);
    let whole = without_clock(work.metrics("table"));
    write_pictures(&work.path("others"), 9, 4);
    let modified = || {
        let entries = std::fs::read_dir(work.path("weights/table")).unwrap().map(|entry| entry.unwrap());
        let mut files: Vec<_> =
            entries.map(|entry| (entry.file_name(), entry.metadata().unwrap().modified().unwrap())).collect();
        files.sort();
        files
    };
    let before = modified();
    let refused = work.gan(&["finetune", "--resume", "table", "--data", "others"]).assert().code(3);
    let stderr = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(stderr.contains("--data: these are not the images that the run table began with"), "{stderr}");
    assert!(stderr.contains("--changed-data"), "{stderr}");
    assert_eq!(modified(), before);
    // The same ones elsewhere are taken.
    std::fs::rename(work.path("pictures"), work.path("moved")).unwrap();
    work.gan(&["finetune", "--resume", "table", "--data", "moved"]).assert().success();
    assert_eq!(without_clock(work.metrics("table")), whole);
    let config: serde_json::Value = serde_json::from_slice(&work.read("weights/table/config.json")).unwrap();
    assert_eq!(config["data"], "moved");
}

#[test]
fn another_encoder_at_the_same_place_is_refused() {
    let work = workplace();
    let flags = ["--baseline", "--checkpoint-every", "2", "--keep", "9", "--run", "table"];
    rows(&work, &flags);
    let whole = without_clock(work.metrics("table"));
    std::fs::copy(work.path("weights/resnet9/encoder.safetensors"), work.path("kept.safetensors")).unwrap();
    work.gan(&["pretrain-simclr", "--resume", "resnet9", "--steps", "3"]).assert().success();
    let middle = "weights/table/step-00000006.safetensors"; // after the first row
    let names = || {
        let mut names: Vec<_> =
            std::fs::read_dir(work.path("weights/table")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let refused = work.gan(&["finetune", "--resume", middle]).assert().code(3);
    let stderr = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    for part in ["weights/resnet9/encoder.safetensors: not the encoder", "sha256 ", " then, ", " now"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    assert_eq!(names(), before);
    // The same bytes elsewhere are taken.
    work.gan(&["finetune", "--resume", middle, "--weights", "kept.safetensors"]).assert().success();
    assert_eq!(without_clock(work.metrics("table")), whole);
    let config: serde_json::Value = serde_json::from_slice(&work.read("weights/table/config.json")).unwrap();
    assert_eq!(config["weights"], "kept.safetensors");

    // A checkpoint from before does not know its encoder: it goes on, and says so.
    let path = work.path("weights/table/step-00000008.safetensors");
    let mut archive = gan::checkpoint::read(&path).unwrap();
    assert!(archive.metadata.remove("gan.encoder").is_some());
    let rows = archive.metadata.get_mut("gan.rows").unwrap();
    *rows = rows.replace(",\"first_step\":6", "");
    gan::checkpoint::write(&path, &archive).unwrap();
    let target = "weights/table/step-00000008.safetensors";
    let resumed = work.gan(&["finetune", "--resume", target]).assert().success();
    let stderr = String::from_utf8_lossy(&resumed.get_output().stderr).into_owned();
    assert!(stderr.contains("does not say which encoder"), "{stderr}");
    assert_eq!(without_clock(work.metrics("table")), whole);
}

/// On cached features no image is read, so that there is no number of them a second.
#[test]
fn a_row_on_features_shows_no_rate_of_images() {
    let work = workplace();
    let said = |flags: &[&str]| {
        let output = work.gan(&[TINY, flags].concat()).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let (cached, views) = (said(&["--cached", "--run", "cached"]), said(&["--run", "views"]));
    let lines =
        |said: &str| said.lines().filter(|line| line.starts_with("step ")).map(str::to_string).collect::<Vec<_>>();
    assert!(!lines(&cached).is_empty() && lines(&cached).iter().all(|line| !line.contains("images/s")), "{cached}");
    assert!(lines(&views).iter().any(|line| line.contains("images/s")), "{views}");
}

/// Epochs are those of every row: there is nothing to raise.
#[test]
fn the_configuration_of_a_table_holds() {
    let work = workplace();
    rows(&work, &["--cached", "--run", "table"]);
    let refused = work.gan(&["finetune", "--resume", "table", "--epochs", "3"]).assert().code(2);
    let stderr = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(stderr.contains("--epochs 3") && stderr.contains("begun with 2"), "{stderr}");
}

/// The five most probable of three classes are all of them.
#[test]
fn the_table_of_few_classes_has_no_top_5() {
    let work = workplace();
    for flags in [&[TINY, &["--run", "table"]].concat()[..], &["finetune", "--resume", "table"]] {
        let output = work.gan(flags).output().unwrap();
        let table = String::from_utf8(output.stdout).unwrap();
        assert!(table.contains("top-1") && !table.contains("top-5"), "{table}");
    }
}
