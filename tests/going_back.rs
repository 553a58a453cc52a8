//! A resumed run changes nothing before its first step, and a run that goes back to an earlier checkpoint leaves the newer
//! ones alone until it has one of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::resume::stop_after;
use crate::support::{TINY, Workplace, write_pictures};

/// Every name below weights/ and samples/, with its bytes.
fn snapshot(work: &Workplace) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(path: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
        if path.is_dir() {
            found.insert(path.to_path_buf(), Vec::new());
            std::fs::read_dir(path).unwrap().for_each(|entry| walk(&entry.unwrap().path(), found));
        } else if path.exists() {
            found.insert(path.to_path_buf(), std::fs::read(path).unwrap());
        }
    }
    let mut found = BTreeMap::new();
    ["weights", "samples"].iter().for_each(|name| walk(&work.path(name), &mut found));
    found
}

/// The same without the clock and without hidden files.
fn content(work: &Workplace, run: &str) -> BTreeMap<String, String> {
    let mut content = BTreeMap::new();
    for (path, bytes) in snapshot(work) {
        let name = path.strip_prefix(work.path("")).unwrap().display().to_string();
        if !name.contains(&format!("/{run}/")) || name.contains("/.") {
            continue;
        }
        let text = match path.extension().and_then(|extension| extension.to_str()) {
            Some("jsonl") => format!("{:?}", losses(work, run)),
            Some("safetensors") => {
                format!("{:?}", crate::support::bytes_of(&gan::checkpoint::read(&path).unwrap().tensors))
            }
            _ => format!("{bytes:?}"),
        };
        content.insert(name.replace(&format!("/{run}/"), "/RUN/"), text);
    }
    content
}

fn losses(work: &Workplace, run: &str) -> Vec<String> {
    let of = |record: &serde_json::Value| format!("{} {} {}", record["step"], record["d_loss"], record["g_loss"]);
    work.metrics(run).iter().map(of).collect()
}

#[track_caller]
fn assert_refused(work: &Workplace, arguments: &[&str], code: i32) -> String {
    let before = snapshot(work);
    let output = work.gan(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    let after = snapshot(work);
    let names = before.keys().chain(after.keys());
    let changed: Vec<_> = names.filter(|name| before.get(*name) != after.get(*name)).collect();
    assert!(changed.is_empty(), "{arguments:?} changed {changed:?}");
    stderr
}

#[test]
fn a_run_that_cannot_go_on_keeps_every_byte() {
    let work = Workplace::new();
    work.train("run", "12", &["--keep", "9"]);
    let middle = "weights/run/step-00000004.safetensors";
    // A temporary file that a killed process has left, and no lock, as in a copy of a run.
    std::fs::write(work.path("weights/run/.x.tmp-1"), "").unwrap();
    std::fs::remove_file(work.path("weights/run/.lock")).unwrap();
    for target in ["run", middle] {
        assert_refused(&work, &["train-gan", "--resume", target, "--lr", "0.5"], 2);
        assert_refused(&work, &["train-gan", "--resume", target, "--steps", "3"], 2);
        assert_refused(&work, &["train-gan", "--resume", target, "--epochs", "0"], 2);
    }
    assert_refused(&work, &["train-gan", "--resume", "run", "--samples-dir", "data/train-labels-idx1-ubyte"], 5);
    std::fs::rename(work.path("data"), work.path("elsewhere")).unwrap();
    assert_refused(&work, &["train-gan", "--resume", middle], 3);
    assert_refused(&work, &["train-gan", "--resume", "run"], 3);
    // A damaged checkpoint is set aside, and a damaged log refused, when all else is in order.
    let newest = work.path("weights/run/step-00000012.safetensors");
    let tensors = || crate::support::bytes_of(&gan::checkpoint::read(&newest).unwrap().tensors);
    let written = tensors();
    let bytes = std::fs::read(&newest).unwrap();
    std::fs::write(&newest, &bytes[1..]).unwrap();
    assert_refused(&work, &["train-gan", "--resume", "run"], 3);
    std::fs::rename(work.path("elsewhere"), work.path("data")).unwrap();
    let metrics = String::from_utf8(work.read("weights/run/metrics.jsonl")).unwrap();
    std::fs::write(work.path("weights/run/metrics.jsonl"), metrics.replacen('{', "(", 1)).unwrap();
    assert_refused(&work, &["train-gan", "--resume", "run"], 3);
    std::fs::write(work.path("weights/run/metrics.jsonl"), metrics).unwrap();
    work.gan(&["train-gan", "--resume", "run"]).assert().success();
    assert!(work.path("weights/run/step-00000012.safetensors.damaged").is_file());
    assert!(tensors() == written, "the checkpoint that took the damaged one's place");
}

#[test]
fn a_new_run_that_cannot_begin_leaves_nothing_and_a_forced_one_the_old_run() {
    let work = Workplace::new();
    let forced = |more: &[&'static str]| [TINY, &["--run", "run", "--steps", "4", "--force"], more].concat();
    let file = "data/train-labels-idx1-ubyte";
    for _ in 0..2 {
        assert_refused(&work, &forced(&["--data", "nowhere"]), 3);
        assert_refused(&work, &forced(&["--batch-size", "97"]), 3);
        assert_refused(&work, &forced(&["--lr", "-1"]), 2);
        assert_refused(&work, &forced(&["--samples-dir", file]), 5);
        assert_refused(&work, &forced(&["--evaluate-every", "2", "--evaluate-classifier", "nowhere"]), 3);
        work.train("run", "4", &["--force"]);
    }
    assert_refused(&work, &[TINY, &["--run", "other", "--samples-dir", file]].concat(), 5);
    assert_refused(&work, &[TINY, &["--run", "other", "--weights-dir", &format!("{file}/x")]].concat(), 5);
    // What needs no images is refused before they are opened.
    let stderr = assert_refused(&work, &["train-gan", "--resume", "run", "--data", "nowhere", "--lr", "0.5"], 2);
    assert!(stderr.contains("--lr"), "{stderr}");
    assert_refused(&work, &["train-gan", "--resume", "run", "--data", "nowhere"], 3);
    let grey = ["train-gan", "--data", "nowhere", "--image-size", "28", "--channels", "1"];
    let flags = ["--evaluate-every", "2", "--evaluate-classifier", "no.safetensors"];
    assert!(assert_refused(&work, &[&grey[..], &flags[..]].concat(), 3).contains("no.safetensors"));
}

#[test]
fn other_commands_change_nothing_either() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 8, 4);
    let flags = ["pretrain-simclr", "--data", "pictures", "--batch-size", "8", "--knn-every", "0", "--run", "run"];
    work.gan(&[&flags[..], &["--steps", "4", "--checkpoint-every", "2"]].concat()).assert().success();
    assert_refused(&work, &["pretrain-simclr", "--resume", "run", "--steps", "3"], 2);
    let middle = "weights/run/step-00000002.safetensors";
    assert_refused(&work, &["pretrain-simclr", "--resume", middle, "--steps", "1"], 2);
    let flags = ["finetune", "--weights", "weights/run", "--labels", "1.0", "--batch-size", "8", "--run", "table"];
    assert_refused(&work, &[&flags[..], &["--embeddings", "nowhere/h.npy"]].concat(), 5);
    assert_refused(&work, &[&flags[..], &["--labels", "999"]].concat(), 3);
    work.gan(&[&flags[..], &["--epochs", "2", "--checkpoint-every", "2"]].concat()).assert().success();
    assert_refused(&work, &["finetune", "--resume", "table", "--epochs", "3"], 2);
    std::fs::rename(work.path("pictures"), work.path("elsewhere")).unwrap();
    assert_refused(&work, &["pretrain-simclr", "--resume", middle], 3);
    let middle = "weights/table/step-00000002.safetensors";
    assert_refused(&work, &["finetune", "--resume", middle], 3);
}

/// Killed before its first checkpoint, a run that went back has changed nothing: the newer line goes on to the bit.
#[test]
fn a_newer_line_goes_on_until_the_older_one_has_a_checkpoint() {
    let work = Workplace::new();
    let every = ["--checkpoint-every", "100", "--sample-every", "50", "--keep", "9"];
    work.train("run", "202", &every);
    let before = content(&work, "run");
    let mut tries = 0..5;
    let killed = tries.any(|_| {
        let back = ["train-gan", "--resume", "weights/run/step-00000100.safetensors", "--steps", "150"];
        let stopped = stop_after(&work, &back, 2, libc::SIGKILL);
        // It may have been faster than the signal.
        stopped.is_none() && work.path("weights/run/step-00000202.safetensors").exists()
    });
    assert!(killed);
    assert!(content(&work, "run") == before, "what the newer line has written was changed");
    work.gan(&["train-gan", "--resume", "run", "--steps", "203"]).assert().success();
    work.train("whole", "203", &every);
    let names = |run: &str| content(&work, run).into_keys().filter(|name| !name.contains("202")).collect::<Vec<_>>();
    assert_eq!(names("run"), names("whole"));
    let (run, whole) = (content(&work, "run"), content(&work, "whole"));
    for name in ["weights/RUN/step-00000203.safetensors", "weights/RUN/metrics.jsonl", "samples/RUN/step-00000150.png"]
    {
        assert!(run[name] == whole[name], "{name}");
    }
    let hidden = std::fs::read_dir(work.path("weights/run")).unwrap();
    let hidden: Vec<_> = hidden.map(|entry| entry.unwrap().file_name()).collect();
    assert!(!hidden.iter().any(|name| name.to_string_lossy().contains(".line-")), "{hidden:?}");
}

/// Checkpoints, records and grids of what was abandoned go, and the film shows what has been.
#[test]
fn a_run_that_went_back_is_as_if_it_had_never_been_further() {
    let work = Workplace::new();
    let flags = ["--keep", "9", "--sample-every", "2"];
    work.train("run", "12", &flags);
    work.gan(&["train-gan", "--resume", "weights/run/step-00000004.safetensors", "--steps", "6"]).assert().success();
    work.train("whole", "6", &flags);
    assert!(content(&work, "run") == content(&work, "whole"), "{:?}", content(&work, "run").keys());
    let film = work.read("samples/run/progress.gif");
    let mut frames = gif::DecodeOptions::new().read_info(&film[..]).unwrap();
    let mut count = 0;
    while frames.read_next_frame().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 4, "steps 0, 2, 4 and 6");
    // And the other way: further again, from its newest.
    work.gan(&["train-gan", "--resume", "run", "--steps", "12"]).assert().success();
    work.train("longer", "12", &flags);
    assert_eq!(losses(&work, "run"), losses(&work, "longer"));
    // Back once more, to the end of what is there: the last checkpoint is the one gone back to.
    work.gan(&["train-gan", "--resume", "weights/run/step-00000008.safetensors", "--steps", "8"]).assert().success();
    assert!(!work.path("weights/run/step-00000012.safetensors").exists());
    work.train("eight", "8", &flags);
    assert_eq!(losses(&work, "run"), losses(&work, "eight"));
}
