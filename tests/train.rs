//! `gan train-gan` through the real binary: files, streams, names in use, divergence, and what goes wrong with GANs.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::{TINY, Workplace};

#[test]
fn every_model_trains_and_leaves_its_files() {
    let work = Workplace::new();
    for model in ["vanilla", "lsgan", "dcgan"] {
        let flags = ["train-gan", "--model", model, "--data", "data", "--batch-size", "16", "--steps", "3"];
        let output =
            work.gan(&[&flags[..], &["--sample-every", "2", "--log-every", "1", "-q"]].concat()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("weights/{model}\n"));
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        for file in ["generator", "discriminator", "generator_ema", "step-00000003"] {
            assert!(work.path(&format!("weights/{model}/{file}.safetensors")).is_file(), "{model}: {file}");
        }
        for file in ["step-00000000.png", "step-00000002.png", "step-00000003.png", "losses.png", "progress.gif"] {
            assert!(work.path(&format!("samples/{model}/{file}")).is_file(), "{model}: {file}");
        }
        let metrics = work.metrics(model);
        assert_eq!(metrics.len(), 3);
        for key in ["step", "epoch", "seconds", "images_per_second", "d_loss", "g_loss", "real_score", "fake_score"] {
            assert!(metrics[0][key].is_number(), "{model}: {key} in {}", metrics[0]);
        }
    }
    let config: serde_json::Value = serde_json::from_slice(&work.read("weights/dcgan/config.json")).unwrap();
    assert_eq!((config["model"].as_str(), config["latent_dim"].as_u64()), (Some("dcgan"), Some(96)));
}

/// The same networks and images, so the same scores at first: of some tenths, which a sigmoid takes to a half.
#[test]
fn logged_scores_have_the_scale_of_the_losses_targets() {
    let work = Workplace::new();
    let scores = |loss: &str| {
        work.train(loss, "1", &["--loss", loss]);
        ["real_score", "fake_score"].map(|key| work.metrics(loss)[0][key].as_f64().unwrap())
    };
    for (bce, ls) in scores("bce").into_iter().zip(scores("ls")) {
        assert!(ls.abs() < 0.3 && (bce - 0.5).abs() < 0.1, "at first D answers 0, a belief of a half: {ls}, {bce}");
        // The sigmoid is nearly linear there.
        assert!((bce - (0.5 + ls / 4.0)).abs() < 0.01, "{bce} is not the sigmoid of {ls}");
    }
}

#[test]
fn json_streams_the_records_and_nothing_else() {
    let work = Workplace::new();
    let output = work.train("run", "5", &["--json"]).get_output().stdout.clone();
    assert_eq!(output, work.read("weights/run/metrics.jsonl"));
    assert_eq!(String::from_utf8(output).unwrap().lines().count(), 5);
}

#[test]
fn no_ema_keeps_no_average() {
    let work = Workplace::new();
    work.train("raw", "2", &["--no-ema"]);
    assert!(!work.path("weights/raw/generator_ema.safetensors").exists());
    assert!(
        work.tensors("weights/raw/step-00000002.safetensors").keys().all(|name| !name.starts_with("generator_ema"))
    );
}

#[test]
fn a_name_in_use_needs_resume_or_force() {
    let work = Workplace::new();
    work.train("run", "2", &[]);
    let before = work.read("weights/run/generator.safetensors");
    let refused = work.gan(&[TINY, &["--run", "run", "--steps", "3"]].concat()).assert().code(2);
    let stderr = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(stderr.contains("--resume run") && stderr.contains("--force"), "{stderr}");
    assert_eq!(work.read("weights/run/generator.safetensors"), before);
    work.train("run", "3", &["--force"]);
    assert_ne!(work.read("weights/run/generator.safetensors"), before);
    assert!(!work.path("weights/run/step-00000002.safetensors").exists(), "force left a checkpoint of the old run");
}

/// The saved configuration has the values, so that what a later program calls best changes nothing; what was typed wins.
#[test]
fn a_recipe_is_saved_as_its_values() {
    let work = Workplace::new();
    let config = |run: &str, flags: &[&str]| -> serde_json::Value {
        work.train(run, "2", flags);
        serde_json::from_slice(&work.read(&format!("weights/{run}/config.json"))).unwrap()
    };
    let (course, best) = (config("course", &[]), config("best", &["--recipe", "best"]));
    let typed = config("typed", &["--recipe", "best", "--lr", "0.001", "--ema-decay", "0.5", "--schedule", "constant"]);
    assert_eq!((course["recipe"].as_str(), best["recipe"].as_str()), (Some("course"), Some("best")));
    for (name, value) in course.as_object().unwrap() {
        let is_of_a_recipe = ["recipe", "lr", "discriminator_lr", "beta1", "beta2", "schedule", "ema_decay"]
            .into_iter()
            .chain(["label_smoothing", "r1", "r1_every", "diffaugment"])
            .any(|field| field == name);
        assert!(is_of_a_recipe || best[name] == *value, "{name}");
    }
    assert_ne!(best["discriminator_lr"], course["discriminator_lr"]);
    assert_eq!(
        (&typed["lr"], &typed["ema_decay"], &typed["schedule"]),
        (&0.001.into(), &0.5.into(), &"constant".into())
    );
    assert_eq!(typed["discriminator_lr"], best["discriminator_lr"]);

    work.gan(&["train-gan", "--resume", "best", "--recipe", "best", "--steps", "4"]).assert().success();
    assert_eq!(work.metrics("best").len(), 4);
    let refused = work.gan(&["train-gan", "--resume", "best", "--recipe", "course"]).assert().code(2);
    assert!(String::from_utf8_lossy(&refused.get_output().stderr).contains("--recipe"));
}

#[test]
fn flags_that_cannot_be_meant_are_refused() {
    let work = Workplace::new();
    for (flag, value) in [
        ("--label-smoothing", "1"),
        ("--label-smoothing", "-0.1"),
        ("--r1", "-1"),
        ("--r1", "nan"),
        ("--r1-every", "0"),
        ("--diffaugment", "colour"),
        ("--diffaugment", "none,cutout"),
        ("--augment", "strong"),
        ("--ada-speed", "0"),
        ("--ada-speed", "nan"),
        ("--schedule", "steps"),
    ] {
        let refused = work.gan(&[TINY, &[&format!("{flag}={value}")]].concat()).assert().code(2);
        let stderr = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
        assert!(stderr.contains(flag), "{stderr}");
    }
    assert!(!work.path("weights").exists());
}

#[test]
fn a_run_that_cannot_begin_leaves_no_trace() {
    let work = Workplace::new();
    work.gan(&["train-gan", "--data", "nowhere"]).assert().code(3);
    work.gan(&["train-gan", "--data", "data", "--batch-size", "97"]).assert().code(3);
    assert!(!work.path("weights").exists() && !work.path("samples").exists());
}

#[test]
fn only_the_newest_checkpoints_stay() {
    let work = Workplace::new();
    work.train("run", "21", &["--keep", "2"]);
    let mut names: Vec<String> = std::fs::read_dir(work.path("weights/run"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("step-"))
        .collect();
    names.sort();
    assert_eq!(names, ["step-00000020.safetensors", "step-00000021.safetensors"]);
}

/// The same seed gives the same bytes on any number of threads; another seed gives others.
#[test]
fn a_seed_decides_every_byte() {
    let work = Workplace::new();
    for (run, flags) in [
        ("one", ["--threads", "1", "--seed", "3"]),
        ("many", ["--threads", "5", "--seed", "3"]),
        ("other", ["--threads", "1", "--seed", "4"]),
    ] {
        work.train(run, "6", &flags);
    }
    for file in ["generator", "discriminator", "generator_ema"] {
        let bytes = |run: &str| work.read(&format!("weights/{run}/{file}.safetensors"));
        // the header holds the configuration, which is the same but for nothing
        assert!(bytes("one") == bytes("many"), "{file} depends on the threads");
        assert!(bytes("one") != bytes("other"), "{file} does not depend on the seed");
    }
    assert_eq!(work.read("samples/one/step-00000006.png"), work.read("samples/many/step-00000006.png"));
}

#[test]
fn divergence_leaves_with_4_and_names_the_last_good_checkpoint() {
    let work = Workplace::new();
    let flags = ["--run", "run", "--steps", "400", "--lr", "1e30", "--checkpoint-every", "1"];
    let failed = work.gan(&[TINY, &flags].concat()).assert().code(4);
    let stderr = String::from_utf8_lossy(&failed.get_output().stderr).into_owned();
    assert!(stderr.contains("diverged at step"), "{stderr}");
    // Whatever was kept is finite.
    for entry in std::fs::read_dir(work.path("weights/run")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            for (name, tensor) in gan::checkpoint::read(&path).unwrap().tensors {
                if tensor.dtype() == candle_core::DType::F32 {
                    let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                    assert!(values.iter().all(|value| value.is_finite()), "{}: {name}", path.display());
                }
            }
        }
    }
}

#[test]
fn divergence_after_a_good_checkpoint_keeps_it() {
    let work = Workplace::new();
    work.train("run", "4", &[]);
    let good = work.read("weights/run/step-00000004.safetensors");
    // The same run with a loss that cannot be finite: its weights are made huge behind its back.
    let mut archive = gan::checkpoint::read(&work.path("weights/run/step-00000004.safetensors")).unwrap();
    let huge = (archive.tensors["generator.4.weight"].ones_like().unwrap() * 3e38).unwrap();
    archive
        .tensors
        .insert("discriminator.5.weight".into(), archive.tensors["discriminator.5.weight"].affine(0.0, 3e38).unwrap());
    archive.tensors.insert("generator.4.weight".into(), huge);
    gan::checkpoint::write(&work.path("weights/run/step-00000004.safetensors"), &archive).unwrap();
    std::fs::write(work.path("weights/run/step-00000003.safetensors"), good).unwrap();
    let failed = work.gan(&["train-gan", "--resume", "run", "--steps", "9"]).assert().code(4);
    let stderr = String::from_utf8_lossy(&failed.get_output().stderr).into_owned();
    assert!(stderr.contains("step-00000004.safetensors"), "{stderr}");
}

fn warnings(work: &Workplace, run: &str, flags: &[&str]) -> String {
    let assert = work.gan(&[TINY, &["--run", run], flags].concat()).assert().success();
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

/// Question 6 of the assignment: D's loss high from the start, G's falling. A discriminator that does not learn.
#[test]
fn a_blind_discriminator_is_named() {
    let stderr = warnings(&Workplace::new(), "blind", &["--steps", "80", "--discriminator-lr", "0"]);
    assert!(stderr.contains("D cannot tell real from fake"), "{stderr}");
}

#[test]
fn a_discriminator_that_wins_is_named() {
    let flags = ["--steps", "200", "--loss", "minimax", "--lr", "0", "--discriminator-lr", "1e-3"];
    let stderr = warnings(&Workplace::new(), "won", &flags);
    assert!(stderr.contains("D wins outright"), "{stderr}");
}

/// Against a discriminator that stands still, the best generator draws one image.
#[test]
fn a_collapse_is_named() {
    let flags = ["--steps", "200", "--model", "vanilla", "--discriminator-lr", "1e-6", "--lr", "1e-2"];
    let work = Workplace::new();
    let assert = work
        .gan(
            &[&["train-gan", "--data", "data", "--batch-size", "16", "--log-every", "1", "--run", "same"], &flags[..]]
                .concat(),
        )
        .assert()
        .success();
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(stderr.contains("the generator has collapsed"), "{stderr}");
}

/// candle's own threads, which wait in a busy loop, are there only for those who ask for them.
#[test]
#[cfg(target_os = "linux")]
fn the_program_has_none_of_candles_threads() {
    let work = Workplace::new();
    let flags =
        ["train-gan", "--model", "vanilla", "--data", "data", "--log-every", "1", "--steps", "100000", "--json", "-q"];
    // Large enough for an elementwise op of candle's to be shared.
    let flags = [&flags[..], &["--device", "cpu", "--batch-size", "90", "--loss", "wgan-gp"]].concat();
    let candles_threads = |asked: Option<&str>| {
        let mut program = work.spawn(&[&flags[..], &["--run", asked.unwrap_or("none")]].concat());
        match asked {
            Some(count) => program.env("CANDLE_NUM_THREADS", count),
            None => program.env_remove("CANDLE_NUM_THREADS"),
        };
        let mut child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap(); // a step is done
        let threads = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
        let names = threads.filter_map(|thread| std::fs::read_to_string(thread.unwrap().path().join("comm")).ok());
        let count = names.filter(|name| name.starts_with("candle-")).count();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!line.is_empty());
        count
    };
    assert_eq!((candles_threads(None), candles_threads(Some("3"))), (0, 2));
}
