//! A run stopped anywhere and resumed gives the same bytes as one never stopped.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::{TINY, Workplace, bytes_of};

const STEPS: &str = "17";

/// Starts the run with `--json`, waits for `lines` records, sends `signal`; returns the exit code.
pub fn stop_after(work: &Workplace, arguments: &[&str], lines: usize, signal: i32) -> Option<i32> {
    let mut child = work
        .spawn(&[arguments, &["--json", "-q"]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut records = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..lines {
        records.next();
    }
    // SAFETY: the child is ours and has not been waited for, so its number is not anyone else's.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
    for _ in records {} // keep the pipe open: a closed one would be another reason to stop
    child.wait().unwrap().code()
}

/// Everything that must not depend on the stops: tensors, metrics without the clock, pictures.
pub fn assert_same_run(work: &Workplace, run: &str, reference: &str) {
    let newest = format!("step-{:08}.safetensors", STEPS.parse::<u64>().unwrap());
    let state = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/{newest}")));
    assert!(state(run) == state(reference), "{run}: the final state differs");
    for file in ["generator", "generator_ema", "discriminator"] {
        let bytes = |run: &str| work.read(&format!("weights/{run}/{file}.safetensors"));
        assert!(bytes(run) == bytes(reference), "{run}: {file} differs");
    }
    assert_eq!(work.metrics_without_clock(run), work.metrics_without_clock(reference), "{run}");
    for picture in ["step-00000000.png", "step-00000015.png", "step-00000017.png", "losses.png", "progress.gif"] {
        let bytes = |run: &str| work.read(&format!("samples/{run}/{picture}"));
        assert!(bytes(run) == bytes(reference), "{run}: {picture} differs");
    }
}

#[test]
fn interrupted_runs_end_in_the_same_bytes() {
    let work = Workplace::new();
    work.train("whole", STEPS, &[]);
    let signals = [(libc::SIGINT, Some(130)), (libc::SIGTERM, Some(143)), (libc::SIGKILL, None)];
    let mut interrupted = [0; 3];
    for (index, (signal, code)) in signals.into_iter().cycle().take(9).enumerate() {
        let run = format!("run{index}");
        let begin = [TINY, &["--run", &run, "--steps", STEPS]].concat();
        let stopped = stop_after(&work, &begin, 1 + index, signal);
        // A run that had come to its end before the signal came is no failure of it.
        assert!(stopped == code || stopped == Some(0), "{run}: {stopped:?}");
        interrupted[index % 3] += usize::from(stopped == code);
        let threads = ["1", "2", "3"][index % 3];
        if index % 2 == 0 {
            // twice: stop the resumed run once more
            stop_after(&work, &["train-gan", "--resume", &run, "--threads", threads], 2, signal);
        }
        work.gan(&["train-gan", "--resume", &run, "--threads", threads]).assert().success();
        assert_same_run(&work, &run, "whole");
    }
    assert!(interrupted.iter().all(|runs| *runs > 0), "of three runs each, signals have stopped {interrupted:?}");
}

#[test]
fn dcgan_resumes_with_its_running_statistics() {
    let work = Workplace::new();
    let flags = |run: &'static str, steps: &'static str| {
        let flags = ["train-gan", "--model", "dcgan", "--data", "data", "--batch-size", "8", "--log-every", "1"];
        [&flags[..], &["--checkpoint-every", "2", "--run", run, "--steps", steps]].concat()
    };
    work.gan(&flags("whole", "5")).assert().success();
    work.gan(&flags("parts", "3")).assert().success();
    work.gan(&["train-gan", "--resume", "parts", "--steps", "5", "--threads", "3"]).assert().success();
    let state = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/step-00000005.safetensors")));
    assert!(state("whole") == state("parts"));
    let tracked =
        work.tensors("weights/parts/generator.safetensors")["2.num_batches_tracked"].to_scalar::<i64>().unwrap();
    assert_eq!(tracked, 10, "two forwards a step");
}

#[test]
fn runs_with_every_flag_against_a_discriminator_resume_too() {
    let work = Workplace::new();
    let flags = ["--schedule", "cosine", "--label-smoothing", "0.1", "--r1", "1", "--r1-every", "3"];
    let flags = [&flags[..], &["--diffaugment", "translation,cutout", "--discriminator-lr", "2e-4"]].concat();
    work.train("whole", STEPS, &flags);
    work.train("other", STEPS, &["--schedule", "cosine"]);
    let begin = [TINY, &["--run", "run", "--steps", STEPS], &flags].concat();
    stop_after(&work, &begin, 5, libc::SIGKILL);
    stop_after(&work, &["train-gan", "--resume", "run", "--threads", "1"], 3, libc::SIGINT);
    work.gan(&["train-gan", "--resume", "run", "--threads", "3"]).assert().success();
    assert_same_run(&work, "run", "whole");
    let generator = |run: &str| work.read(&format!("weights/{run}/generator.safetensors"));
    assert!(generator("other") != generator("whole"));
}

/// The newer losses with all that goes with them; the generator is updated in every other step of one.
#[test]
fn runs_with_the_newer_losses_resume_too() {
    let work = Workplace::new();
    for (run, flags) in [
        ("relativistic", &["--loss", "relativistic", "--r1", "1", "--r2", "1", "--r1-every", "2"][..]),
        ("wgan", &["--loss", "wgan-gp", "--discriminator-steps", "2", "--diffaugment", "translation"]),
        ("hinge", &["--loss", "hinge", "--spectral-norm", "--augment", "adaptive", "--r1", "1"]),
    ] {
        let (whole, parts) = (format!("{run}-whole"), format!("{run}-parts"));
        work.train(&whole, "7", flags);
        work.train(&parts, "3", flags);
        work.gan(&["train-gan", "--resume", &parts, "--steps", "7", "--threads", "1"]).assert().success();
        let state = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/step-00000007.safetensors")));
        assert!(state(&parts) == state(&whole), "{run}");
        let losses = |run: &str| -> Vec<_> {
            work.metrics(run).iter().map(|line| ["step", "d_loss", "g_loss"].map(|name| line[name].clone())).collect()
        };
        assert_eq!(losses(&parts), losses(&whole), "{run}");
    }
    let names = work.tensors("weights/hinge-whole/discriminator.safetensors").into_keys().collect::<Vec<_>>();
    assert!(names.contains(&"1.parametrizations.weight.0._u".to_string()), "{names:?}");
    // The discriminator of one is begun with by another of its kind alone.
    let begin = |flags: &[&str]| work.gan(&[TINY, &["--steps", "2", "--init", "hinge-whole"], flags].concat());
    begin(&["--run", "again", "--loss", "hinge", "--spectral-norm"]).assert().success();
    let refused = begin(&["--run", "plain"]).assert().code(3);
    assert!(String::from_utf8_lossy(&refused.get_output().stderr).contains("with spectral norm"));
}

/// Runs from before these flags have none of them in their configuration.
#[test]
fn older_runs_resume_without_the_newer_flags() {
    let work = Workplace::new();
    work.train("whole", "8", &[]);
    work.train("run", "4", &[]);
    let path = work.path("weights/run/config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let newer = ["augment", "ada_speed", "mirror", "init", "init_networks", "r2", "gradient_penalty"];
    let newer = newer.into_iter().chain(["discriminator_steps"]);
    for field in ["recipe", "schedule", "label_smoothing", "r1", "r1_every", "diffaugment"].into_iter().chain(newer) {
        assert!(config.as_object_mut().unwrap().remove(field).is_some(), "{field}");
    }
    std::fs::write(&path, config.to_string()).unwrap();
    work.gan(&["train-gan", "--resume", "run", "--steps", "8"]).assert().success();
    let bytes = |run: &str| work.read(&format!("weights/{run}/generator.safetensors"));
    assert!(bytes("run") == bytes("whole"));
    let refused = work.gan(&["train-gan", "--resume", "run", "--r1", "1"]).assert().code(2);
    assert!(String::from_utf8_lossy(&refused.get_output().stderr).contains("--r1 1"));
}

/// The rates follow the length that the run has while they are used: a run that was raised half-way has had the shorter
/// one's until then, and goes on with the longer one's.
#[test]
fn a_schedule_follows_a_raised_limit() {
    let work = Workplace::new();
    let flags = ["--schedule", "linear", "--checkpoint-every", "4"];
    work.train("whole", "8", &flags);
    work.train("raised", "4", &flags);
    work.gan(&["train-gan", "--resume", "raised", "--steps", "8"]).assert().success();
    let losses = |run: &str| work.metrics(run).iter().map(|record| record["d_loss"].to_string()).collect::<Vec<_>>();
    let (whole, raised) = (losses("whole"), losses("raised"));
    assert_eq!(whole.len(), raised.len());
    // The first step's loss is from before any rate was used; from the third on the shorter run went another way.
    assert_eq!(whole[0], raised[0]);
    assert_ne!(whole[3..], raised[3..]);
}

#[test]
fn a_raised_limit_goes_on_as_if_it_had_always_been_there() {
    let work = Workplace::new();
    work.train("whole", STEPS, &["--log-every", "5"]);
    work.train("raised", "8", &["--log-every", "5"]);
    let resumed = work.gan(&["train-gan", "--resume", "raised", "--steps", STEPS]).assert().success();
    // The model is the run's, not the default of the flag.
    assert!(String::from_utf8_lossy(&resumed.get_output().stderr).contains("training vanilla on data"));
    let steps = |run: &str| work.metrics(run).iter().map(|record| record["step"].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(steps("whole"), [0, 5, 10, 15, 16]);
    assert_eq!(steps("raised"), steps("whole"));
}

#[test]
fn a_checkpoint_can_be_named() {
    let work = Workplace::new();
    work.train("whole", STEPS, &["--keep", "9"]);
    work.train("run", STEPS, &["--keep", "9"]);
    work.gan(&["train-gan", "--resume", "weights/run/step-00000008.safetensors"]).assert().success();
    assert_same_run(&work, "run", "whole");
}

#[test]
fn a_saved_configuration_holds() {
    let work = Workplace::new();
    work.train("run", "4", &[]);
    let assert = work.gan(&["train-gan", "--resume", "run", "--steps", "8", "--lr", "0.01"]).assert().code(2);
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(stderr.contains("--lr 0.01") && stderr.contains("0.001"), "{stderr}");
    let assert = work.gan(&["train-gan", "--resume", "run", "--steps", "8", "--loss", "ls"]).assert().code(2);
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(stderr.contains("--loss ls: run run was begun without it"), "{stderr}");
    // what agrees with it may be said again
    work.gan(&["train-gan", "--resume", "run", "--steps", "8", "--lr", "0.001", "--batch-size", "16"])
        .assert()
        .success();
    let assert = work.gan(&["train-gan", "--resume", "run", "--steps", "5"]).assert().code(2);
    assert!(String::from_utf8_lossy(&assert.get_output().stderr).contains("step 8"));
}

#[test]
fn a_run_killed_before_its_first_checkpoint_begins_again() {
    let work = Workplace::new();
    work.train("run", "3", &[]);
    for file in ["step-00000003", "generator", "generator_ema", "discriminator"] {
        std::fs::remove_file(work.path(&format!("weights/run/{file}.safetensors"))).unwrap();
    }
    work.gan(&["train-gan", "--resume", "run"]).assert().success();
    assert_eq!(work.metrics("run").len(), 3);
}

#[test]
fn a_closed_pipe_stops_quietly_and_loses_nothing() {
    let work = Workplace::new();
    let begin = [TINY, &["--run", "run", "--steps", "2000", "--json", "--keep", "9"]].concat();
    let mut child = work.spawn(&begin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("error"), "{}", String::from_utf8_lossy(&output.stderr));
    // It goes on from the very step it had come to.
    let (mut steps, weights) = (Vec::new(), work.path("weights/run"));
    for entry in std::fs::read_dir(weights).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        steps.extend(name.strip_prefix("step-").and_then(|rest| rest[..8].parse::<u64>().ok()));
    }
    let raised = (steps.iter().max().unwrap() + 3).to_string();
    work.gan(&["train-gan", "--resume", "run", "--steps", &raised]).assert().success();
    work.train("whole", &raised, &["--keep", "9"]);
    let state = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/generator.safetensors")));
    assert!(state("run") == state("whole"));
}

#[test]
fn resuming_a_finished_run_changes_nothing() {
    let work = Workplace::new();
    work.train("run", "8", &["--log-every", "5"]);
    let (metrics, generator) = (work.read("weights/run/metrics.jsonl"), work.read("weights/run/generator.safetensors"));
    work.gan(&["train-gan", "--resume", "run"]).assert().success();
    assert_eq!(work.read("weights/run/metrics.jsonl"), metrics);
    assert_eq!(work.read("weights/run/generator.safetensors"), generator);
}

/// It says so, writes no file that is there and right, and makes what is missing or, as after a kill between a checkpoint
/// and its networks, of an earlier step.
#[test]
fn a_finished_run_says_so_and_draws_what_is_missing() {
    let work = Workplace::new();
    work.train("run", "8", &[]);
    let files =
        ["weights/run/step-00000008.safetensors", "weights/run/generator.safetensors", "samples/run/losses.png"];
    let modified = || files.map(|file| std::fs::metadata(work.path(file)).unwrap().modified().unwrap());
    let (before, film) = (modified(), work.read("samples/run/progress.gif"));
    let discriminator = work.read("weights/run/discriminator.safetensors");
    std::fs::remove_file(work.path("samples/run/progress.gif")).unwrap();
    std::fs::remove_file(work.path("weights/run/discriminator.safetensors")).unwrap();
    let average = work.read("weights/run/generator_ema.safetensors");
    std::fs::copy(work.path("weights/run/generator.safetensors"), work.path("weights/run/generator_ema.safetensors"))
        .unwrap();
    let again = work.gan(&["train-gan", "--resume", "run"]).assert().success();
    let stderr = String::from_utf8_lossy(&again.get_output().stderr).into_owned();
    assert!(stderr.contains("the run run is finished, at step 8") && !stderr.contains("steps 8 to 8"), "{stderr}");
    assert_eq!(modified(), before);
    assert_eq!(work.read("samples/run/progress.gif"), film);
    assert_eq!(work.read("weights/run/discriminator.safetensors"), discriminator);
    assert_eq!(work.read("weights/run/generator_ema.safetensors"), average);
}
