//! `--precision` through the real binary: what is refused, what a run keeps of it, resumption to the bit.

use std::collections::BTreeMap;

use candle_core::{ModuleT, Tensor, Var};
use gan::autograd::{self, Precision};
use gan::checkpoint;
use gan::losses::gradient_penalty::{GradientPenalty, minimised};
use gan::models::{Architecture, Discriminator};
use gan::params::Parameters;

use crate::accelerator::{adversaries_with, random, values};
use crate::device::device;
use crate::support::{TINY, Workplace, bytes_of, write_pictures};

/// Runs what must be refused as wrong usage; returns what it says.
fn refused(work: &Workplace, arguments: &[&str]) -> String {
    let assert = work.gan(arguments).assert().code(2);
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

#[test]
fn a_precision_that_the_device_does_not_have_is_refused_by_every_command() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 8, 4);
    work.gan(&["pretrain-simclr", "--data", "pictures", "--batch-size", "8", "--steps", "1", "--run", "encoder"])
        .assert()
        .success();
    let finetune = ["finetune", "--weights", "weights/encoder", "--labels", "1.0", "--batch-size", "8"];
    let commands: [&[&str]; 3] =
        [&["train-gan", "--data", "data"], &["pretrain-simclr", "--data", "pictures"], &finetune];
    for command in commands {
        for precision in ["tf32", "bf16"] {
            let flags = ["--precision", precision, "--device", "cpu"];
            let stderr = refused(&work, &[command, &flags].concat());
            let says = format!("--precision {precision}: not on cpu");
            assert!(stderr.contains(&says) && stderr.contains("CUDA"), "{stderr}");
        }
        refused(&work, &[command, &["--precision", "f16"]].concat());
    }
    let left: Vec<_> =
        std::fs::read_dir(work.path("weights")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["encoder"], "a run that cannot begin leaves no trace");
}

#[test]
fn a_run_keeps_its_precision() {
    let work = Workplace::new();
    work.train("run", "3", &[]);
    let config = |run: &str| -> serde_json::Value {
        serde_json::from_slice(&work.read(&format!("weights/{run}/config.json"))).unwrap()
    };
    assert_eq!(config("run")["precision"], "f32");
    let stderr = refused(&work, &["train-gan", "--resume", "run", "--steps", "5", "--precision", "bf16"]);
    assert!(stderr.contains("--precision") && stderr.contains("begun with f32"), "{stderr}");

    // A configuration from before there was a choice.
    let mut old = config("run");
    old.as_object_mut().unwrap().remove("precision");
    std::fs::write(work.path("weights/run/config.json"), old.to_string()).unwrap();
    refused(&work, &["train-gan", "--resume", "run", "--steps", "5", "--precision", "bf16"]);
    work.gan(&["train-gan", "--resume", "run", "--steps", "5", "--precision", "f32"]).assert().success();
    work.train("whole", "5", &[]);
    assert_eq!(config("run"), config("whole"));
    let state = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/step-00000005.safetensors")));
    assert!(state("run") == state("whole"));
}

/// As older versions could begin it.
#[test]
fn a_run_begun_in_bf16_is_refused_on_a_cpu_and_stays_as_it_is() {
    let work = Workplace::new();
    work.train("run", "3", &["--device", "cpu"]);
    let path = "weights/run/config.json";
    let mut config: serde_json::Value = serde_json::from_slice(&work.read(path)).unwrap();
    config["precision"] = "bf16".into();
    std::fs::write(work.path(path), config.to_string()).unwrap();
    let before = work.read(path);
    let stderr = refused(&work, &["train-gan", "--resume", "run", "--steps", "5", "--device", "cpu"]);
    for says in ["--precision bf16: not on cpu", "slower", "9 to 17 %", "begun in bf16"] {
        assert!(stderr.contains(says), "{stderr}");
    }
    assert_eq!(stderr.lines().count(), 2, "{stderr}");
    assert!(work.read(path) == before);
    assert!(!work.path("weights/run/step-00000005.safetensors").exists());
}

/// Nothing is left to train, so that nothing is computed in bf16.
#[test]
fn a_finished_run_begun_in_bf16_is_finished_on_a_cpu_too() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 8, 4);
    work.train("gan", "3", &["--device", "cpu"]);
    let simclr = "pretrain-simclr --data pictures --batch-size 8 --epochs 1 --knn-every 0 --run simclr --device cpu";
    work.gan(&simclr.split(' ').collect::<Vec<_>>()).assert().success();
    for (command, run) in [("train-gan", "gan"), ("pretrain-simclr", "simclr")] {
        let config = format!("weights/{run}/config.json");
        let bf16 = |text: &str| text.replace("\"f32\"", "\"bf16\"");
        std::fs::write(work.path(&config), bf16(&String::from_utf8(work.read(&config)).unwrap())).unwrap();
        let path = work.path(&format!("weights/{run}/step-00000003.safetensors"));
        let mut archive = checkpoint::read(&path).unwrap();
        archive.metadata.get_mut("gan.config").map(|config| *config = bf16(config)).unwrap();
        checkpoint::write(&path, &archive).unwrap();
        let before = std::fs::read(&path).unwrap();
        let finished = work.gan(&[command, "--resume", run, "--device", "cpu"]).assert().success();
        let stderr = String::from_utf8_lossy(&finished.get_output().stderr).into_owned();
        assert!(stderr.contains(&format!("the run {run} is finished, at step 3")), "{stderr}");
        assert!(std::fs::read(&path).unwrap() == before);
        let stderr = refused(&work, &[command, "--resume", run, "--epochs", "2", "--device", "cpu"]);
        assert!(stderr.contains("--precision bf16: not on cpu"), "{stderr}");
    }
}

#[test]
#[cfg_attr(not(feature = "cuda"), ignore = "bf16 is of CUDA devices")]
fn runs_in_bf16_resume_to_the_bit_on_any_number_of_threads() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 8, 4);
    let gan = ["train-gan", "--model", "dcgan", "--data", "data", "--batch-size", "8"];
    let simclr =
        ["pretrain-simclr", "--data", "pictures", "--batch-size", "8", "--warmup-steps", "2", "--knn-every", "0"];
    for (command, kind) in [(&gan[..], "gan"), (&simclr[..], "simclr")] {
        let name = |part: &str| format!("{kind}-{part}");
        let begin = |run: &str, steps: &str, precision: &str| {
            let flags = ["--run", run, "--steps", steps, "--precision", precision, "--checkpoint-every", "2"];
            work.gan(&[command, &flags].concat()).assert().success();
        };
        let state = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/step-00000005.safetensors")));
        let [whole, parts, single] = ["whole", "parts", "single"].map(name);
        begin(&whole, "5", "bf16");
        begin(&parts, "3", "bf16");
        begin(&single, "5", "f32");
        work.gan(&[command[0], "--resume", &parts, "--steps", "5", "--threads", "3"]).assert().success();
        assert!(state(&whole) == state(&parts), "{kind}");
        assert!(state(&whole) != state(&single), "{kind}: bf16 made no difference");
    }
    work.train("vanilla", "3", &["--precision", "bf16", "--r1", "10", "--r1-every", "2"]);
    let finetune = ["finetune", "--weights", "weights/simclr-whole", "--labels", "1.0", "--batch-size", "8"];
    work.gan(&[&finetune[..], &["--mode", "both", "--epochs", "2", "--precision", "bf16"]].concat()).assert().success();
    let stderr = refused(&work, &[TINY, &["--resume", "vanilla", "--steps", "4", "--precision", "f32"]].concat());
    assert!(stderr.contains("bf16"), "{stderr}");
}

/// The gradient of R1 with weight `gamma` in D's parameters, in f32. Those that it does not depend on have zeros.
fn penalty_gradient(model: Architecture, images: &Tensor, gamma: f64) -> Vec<Vec<f64>> {
    let parameters = Parameters::new(0, "discriminator", images.device());
    let discriminator = Discriminator::new(model, model.image_shape(), parameters.builder()).unwrap();
    let images = Var::from_tensor(images).unwrap();
    let scores = || discriminator.forward_t(&images, true).unwrap();
    let slopes = autograd::training_step(Precision::F32, || autograd::backward(&scores()).unwrap());
    let direction = GradientPenalty::ZeroCentred { gamma }.direction(slopes.get(&images).unwrap()).unwrap();
    let gradients = autograd::training_step(Precision::F32, || {
        let along = autograd::tangent(&scores(), &images, &direction).unwrap();
        autograd::backward(&minimised(&along).unwrap()).unwrap()
    });
    let gradient = |parameter: &Var| match gradients.get(parameter) {
        Some(gradient) => values(gradient),
        None => vec![0.0; parameter.elem_count()],
    };
    parameters.trainable().iter().map(|(_, parameter)| gradient(parameter)).collect()
}

/// The same as a step has it: what the first moments differ by from those without the penalty.
fn penalty_gradient_of_a_step(model: Architecture, images: &Tensor, gamma: &str, precision: &str) -> Vec<Vec<f64>> {
    let moments = |gamma: &str| -> BTreeMap<String, Tensor> {
        let mut adversaries =
            adversaries_with(model, &["--lr", "0", "--precision", precision, "--r1", gamma], images.device());
        let latents = |of| random(of, &[images.dim(0).unwrap(), 96], images.device());
        adversaries.step(images, &latents("discriminator"), &latents("generator")).unwrap();
        let mut state = adversaries.state();
        state.retain(|name, _| name.starts_with("adam.discriminator.") && name.ends_with(".exp_avg"));
        state
    };
    let (with, without) = (moments(gamma), moments("0"));
    let gradient = |(with, without): (&Tensor, &Tensor)| values(&((with - without).unwrap() / 0.5).unwrap());
    with.values().zip(without.values()).map(gradient).collect()
}

/// How far one gradient is from another, of its size.
fn error_of(found: &[Vec<f64>], expected: &[Vec<f64>]) -> f64 {
    let (found, expected) = (found.concat(), expected.concat());
    assert_eq!(found.len(), expected.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    norm(&mut found.iter().zip(&expected).map(|(found, expected)| found - expected))
        / norm(&mut expected.iter().copied())
}

/// What is penalised goes through D in f32, as its gradients do.
#[test]
#[cfg_attr(not(feature = "cuda"), ignore = "bf16 is of CUDA devices")]
fn the_penalty_r1_is_in_f32_in_every_precision() {
    let images = random("real", &[32, 28, 28, 1], &device());
    for model in [Architecture::Vanilla, Architecture::Dcgan] {
        let expected = penalty_gradient(model, &images, 1000.0);
        // The loss that the penalty is added to has the rounding of the step's precision.
        for (precision, tolerance) in [("f32", 1e-3), ("bf16", 1e-2)] {
            let found = error_of(&penalty_gradient_of_a_step(model, &images, "1000", precision), &expected);
            assert!(found < tolerance, "{} in {precision}: {found}", model.name());
        }
    }
}
