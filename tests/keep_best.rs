//! The best network of a run: which one is kept, that stops change nothing of it, when it ends a run, and who takes it.

use predicates::prelude::*;
use serde_json::{Value, json};

use crate::resume::stop_after;
use crate::support::{TINY, Workplace, bytes_of, write_pictures};

/// Evaluates a run of [`TINY`] every second step.
const EVALUATED: [&str; 6] = ["--evaluate-every", "2", "--evaluate-samples", "40", "--evaluate-reference", "0..40"];

fn train(work: &Workplace, run: &str, steps: &str, flags: &[&str]) -> String {
    let done = work.train(run, steps, &[&EVALUATED, flags].concat());
    String::from_utf8_lossy(&done.get_output().stderr).into_owned()
}

/// What a header says of the best: of a network or of a checkpoint.
fn header(work: &Workplace, file: &str, key: &str) -> Value {
    let archive = gan::checkpoint::read(&work.path(file)).unwrap();
    serde_json::from_str(&archive.metadata[key]).unwrap()
}

/// A checkpoint without the best network.
fn state(work: &Workplace, file: &str) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut state = bytes_of(&work.tensors(file));
    state.retain(|name, _| !name.starts_with("best."));
    state
}

#[test]
fn the_best_generator_is_kept_and_taken_and_training_is_as_without() {
    let work = Workplace::new();
    work.train("plain", "9", &[]);
    for (measure, is_better) in [("frechet", f64::lt as fn(&f64, &f64) -> bool), ("coverage", f64::gt)] {
        let run = measure;
        let said = train(&work, run, "9", &["--keep-best", measure]);
        let newest = format!("weights/{run}/step-00000009.safetensors");
        assert!(state(&work, &newest) == state(&work, "weights/plain/step-00000009.safetensors"), "{measure}");

        let records = work.metrics(run);
        let scored =
            records.iter().filter_map(|record| Some((record["step"].as_u64()? + 1, record[measure].as_f64()?)));
        let mut best: Option<(u64, f64)> = None;
        for (step, score) in scored {
            let score = f64::from(score as f32);
            best = best.filter(|best| !is_better(&score, &best.1)).or(Some((step, score)));
            let record = records.iter().find(|record| record["step"] == step - 1).unwrap();
            assert_eq!(record["best_step"].as_u64(), best.map(|best| best.0), "{record}");
        }
        let (step, score) = best.unwrap();
        assert!(said.contains(&format!("best {measure} {} at step {step}", score as f32)), "{said}");
        let file = format!("weights/{run}/generator_best.safetensors");
        let saved = header(&work, &file, "gan.best");
        assert_eq!(saved["score"].as_f64().map(|saved| saved as f32), Some(score as f32));
        assert_eq!((&saved["step"], &saved["measure"]), (&json!(step), &json!(measure)));
        assert_eq!(header(&work, &newest, "gan.best"), saved);
        // It is the average of then.
        let short = format!("{run}-short");
        work.train(&short, &step.to_string(), &[]);
        let average = work.tensors(&format!("weights/{short}/generator_ema.safetensors"));
        assert!(bytes_of(&work.tensors(&file)) == bytes_of(&average), "{measure}");

        let gan = |arguments: &[&str]| work.gan(arguments).assert().success();
        let directory = format!("weights/{run}");
        let taken = |flags: &[&str]| {
            let done = gan(&[&["sample", "-n", "1", "-o", "x.png", "--weights"], flags].concat());
            String::from_utf8_lossy(&done.get_output().stderr).into_owned()
        };
        let words = format!("generator_best.safetensors, a vanilla generator, the best of its run: {measure} ");
        assert!(taken(&[&directory]).contains(&words), "{}", taken(&[&directory]));
        assert!(taken(&[&directory, "--raw"]).contains("/generator.safetensors"));
        assert!(taken(&[&format!("{directory}/generator_ema.safetensors")]).contains("generator_ema.safetensors"));
        assert!(!taken(&[&newest]).contains("the best of its run"), "a checkpoint is of its step");
        gan(&["inspect", &file]).stdout(predicate::str::contains(format!("\"step\":{step}")));
        let reference = ["--n", "40", "--reference", "0..40", "--json"];
        let scores = gan(&[&["evaluate", "--run", run][..], &reference].concat());
        let scores: Value = serde_json::from_slice(&scores.get_output().stdout).unwrap();
        assert_eq!(scores[measure].as_f64().map(|score| score as f32), Some(score as f32));
        gan(&["evaluate", "--run", run, "--n", "40", "--reference", "validation"])
            .stderr(predicate::str::contains(format!("was chosen for its {measure} on the validation images")));
    }
}

#[test]
fn stopped_anywhere_the_best_is_the_same_bytes() {
    let work = Workplace::new();
    let flags = [&EVALUATED[..], &["--keep-best", "coverage", "--patience", "50"]].concat();
    work.train("whole", "11", &flags);
    let newest = "step-00000011.safetensors";
    for (index, signal) in [libc::SIGKILL, libc::SIGTERM, libc::SIGKILL, libc::SIGKILL].into_iter().enumerate() {
        let run = format!("run{index}");
        let begin = [TINY, &["--run", &run, "--steps", "11"], &flags].concat();
        stop_after(&work, &begin, 2 + 2 * index, signal);
        if index == 1 {
            stop_after(&work, &["train-gan", "--resume", &run, "--threads", "1"], 1, libc::SIGKILL);
        }
        work.gan(&["train-gan", "--resume", &run, "--threads", "3"]).assert().success();
        for file in ["generator_best", "generator_ema"] {
            let bytes = |run: &str| work.read(&format!("weights/{run}/{file}.safetensors"));
            assert!(bytes(&run) == bytes("whole"), "{run}: {file}");
        }
        for key in ["gan.best", "gan.patience"] {
            let entry = |run: &str| header(&work, &format!("weights/{run}/{newest}"), key);
            assert_eq!(entry(&run), entry("whole"), "{run}: {key}");
        }
        assert_eq!(work.metrics_without_clock(&run), work.metrics_without_clock("whole"), "{run}");
    }
}

/// Makes the run what no flag makes it: one whose rate goes wrong late.
fn set_rate(work: &Workplace, run: &str, rate: f64, steps: u64) {
    let path = work.path(&format!("weights/{run}/config.json"));
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    (config["lr"], config["steps"]) = (rate.into(), steps.into());
    std::fs::write(path, config.to_string()).unwrap();
}

#[test]
fn a_run_that_collapses_late_keeps_its_early_best_and_ends() {
    let work = Workplace::new();
    train(&work, "run", "8", &["--keep-best", "frechet", "--patience", "4", "--no-ema"]);
    let before = header(&work, "weights/run/generator_best.safetensors", "gan.best");
    let best = bytes_of(&work.tensors("weights/run/generator_best.safetensors"));
    let patience = header(&work, "weights/run/step-00000008.safetensors", "gan.patience");
    let end = 8 + 2 * (4 - patience["evaluations"].as_u64().unwrap());
    set_rate(&work, "run", 3.0, 60);
    let resume = |flags: &[&str]| {
        let done = work.gan(&[&["train-gan", "--resume", "run"], flags].concat()).assert().success();
        String::from_utf8_lossy(&done.get_output().stderr).into_owned()
    };
    let said = resume(&[]);
    assert!(said.contains("4 evaluations without a new best") && said.contains("the run ends here"), "{said}");
    let newest = |step: u64| format!("weights/run/step-{step:08}.safetensors");
    assert!(work.path(&newest(end)).is_file() && !work.path(&newest(end + 1)).exists());
    assert_eq!(work.metrics("run").last().unwrap()["step"], end - 1);
    assert_eq!(header(&work, "weights/run/generator_best.safetensors", "gan.best"), before);
    assert!(bytes_of(&work.tensors("weights/run/generator_best.safetensors")) == best);
    assert!(bytes_of(&work.tensors("weights/run/generator.safetensors")) != best);
    assert!(work.path("samples/run/progress.gif").is_file(), "a normal end");

    // It is at its end, and nothing changes.
    let files = |work: &Workplace| {
        ["generator_best.safetensors", "metrics.jsonl", &format!("step-{end:08}.safetensors")]
            .map(|name| work.read(&format!("weights/run/{name}")))
    };
    let there = files(&work);
    let said = resume(&[]);
    assert!(said.contains("is finished") && said.contains("had ended early, at step"), "{said}");
    assert!(files(&work) == there);
    // More steps are more patience.
    let said = resume(&["--steps", "90"]);
    assert!(said.contains("counted anew") && said.contains("the run ends here"), "{said}");
    assert_eq!(work.metrics("run").last().unwrap()["step"], end + 8 - 1);
    let said = resume(&["--patience", "1"]);
    assert!(said.contains("counted anew"), "{said}");
    assert_eq!(work.metrics("run").last().unwrap()["step"], end + 10 - 1);
    assert!(bytes_of(&work.tensors("weights/run/generator_best.safetensors")) == best);
}

#[test]
fn a_run_that_goes_back_has_the_best_of_then() {
    let work = Workplace::new();
    let flags = ["--keep-best", "coverage", "--checkpoint-every", "1", "--keep", "99"];
    train(&work, "run", "7", &flags);
    let back = "weights/run/step-00000003.safetensors";
    let then = header(&work, back, "gan.best");
    assert_eq!(then["step"], 2);
    // Whatever the first line's best was, nothing of it is left.
    work.gan(&["train-gan", "--resume", back, "--steps", "4"]).assert().success();
    train(&work, "short", "4", &flags);
    let best = |run: &str| work.read(&format!("weights/{run}/generator_best.safetensors"));
    assert!(best("run") == best("short"));
    work.gan(&["train-gan", "--resume", "weights/run/step-00000001.safetensors", "--steps", "1"]).assert().success();
    assert!(!work.path("weights/run/generator_best.safetensors").exists(), "nothing was evaluated until then");
}

#[test]
fn the_best_encoder_is_kept_and_taken() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 8, 4);
    let simclr =
        ["pretrain-simclr", "--data", "pictures", "--batch-size", "8", "--epochs", "4", "--checkpoint-every", "2"];
    let simclr = [&simclr[..], &["--knn-every", "1", "--keep-best", "knn", "--log-every", "1"]].concat();
    work.gan(&[&simclr[..], &["--run", "whole"]].concat()).assert().success();
    let best = header(&work, "weights/whole/encoder_best.safetensors", "gan.best");
    let accuracies = work.metrics("whole").into_iter().filter_map(|record| record["knn_top1"].as_f64());
    assert_eq!(best["score"].as_f64().unwrap() as f32, accuracies.fold(0.0, f64::max) as f32);
    stop_after(&work, &[&simclr[..], &["--run", "stopped"]].concat(), 4, libc::SIGKILL);
    stop_after(&work, &["pretrain-simclr", "--resume", "stopped"], 2, libc::SIGTERM);
    work.gan(&["pretrain-simclr", "--resume", "stopped"]).assert().success();
    let bytes = |run: &str| work.read(&format!("weights/{run}/encoder_best.safetensors"));
    assert!(bytes("whole") == bytes("stopped"));
    assert_eq!(work.metrics_without_clock("whole"), work.metrics_without_clock("stopped"));
    let tune = ["finetune", "--weights", "whole", "--labels", "1.0", "--batch-size", "8", "--epochs", "1", "--cached"];
    let words = "whole/encoder_best.safetensors";
    work.gan(&tune).assert().success().stderr(predicate::str::contains(words));
    assert!(work.path("weights/whole-finetune").is_dir(), "called after the run");
    work.gan(&["evaluate", "--run", "whole", "--data", "pictures"])
        .assert()
        .success()
        .stderr(predicate::str::contains(words).and(predicate::str::contains("the best of its run: knn")));
}
