//! What makes little data go further: mirrored images, augmentation, and a start from trained networks.

use crate::resume::{assert_same_run, stop_after};
use crate::support::{TINY, Workplace};

/// As long as `resume` has its runs.
const STEPS: &str = "17";

/// p changes every fourth step by 16 * 4 / 200.
const ADAPTIVE: [&str; 4] = ["--augment", "adaptive", "--ada-speed", "0.2"];

#[test]
fn adaptive_augmentation_resumes_anywhere_to_the_bit() {
    let work = Workplace::new();
    let flags = [&ADAPTIVE[..], &["--mirror", "--discriminator-lr", "2e-3"]].concat();
    work.train("whole", STEPS, &flags);
    let begin = [TINY, &["--run", "run", "--steps", STEPS], &flags].concat();
    // Between two changes of p, and at one.
    stop_after(&work, &begin, 6, libc::SIGKILL);
    stop_after(&work, &["train-gan", "--resume", "run", "--threads", "1"], 3, libc::SIGINT);
    work.gan(&["train-gan", "--resume", "run", "--threads", "3"]).assert().success();
    assert_same_run(&work, "run", "whole");
    let p: Vec<f64> = work.metrics("whole").iter().map(|record| record["augment_p"].as_f64().unwrap()).collect();
    assert!(p[..3] == [0.0; 3] && p.iter().any(|p| *p > 0.0), "{p:?}");
    assert!(p.iter().all(|p| (0.0..=1.0).contains(p)), "{p:?}");
    assert!(p.chunks(4).all(|steps| steps[..steps.len().min(3)].iter().all(|p| *p == steps[0])), "{p:?}");
}

#[test]
fn what_is_not_asked_for_is_not_there() {
    let work = Workplace::new();
    work.train("plain", "6", &[]);
    assert!(work.metrics("plain").iter().all(|record| record.get("augment_p").is_none()));
    let generator = |run: &str| work.read(&format!("weights/{run}/generator.safetensors"));
    let cases: [(&str, &[&str]); 3] = [
        ("mirror", &["--mirror"]),
        ("color", &["--diffaugment", "color"]),
        ("adaptive", &["--augment", "adaptive", "--ada-speed", "0.01"]),
    ];
    for (run, flags) in cases {
        work.train(run, "6", flags);
        assert!(generator(run) != generator("plain"), "{run}");
        let state = gan::checkpoint::read(&work.path(&format!("weights/{run}/step-00000006.safetensors"))).unwrap();
        let streams: serde_json::Value = serde_json::from_str(&state.metadata["gan.state"]).unwrap();
        let stream = ["mirror", "diffaugment.color", "augment"].into_iter().find(|name| name.contains(run));
        let stream = stream.unwrap_or("augment");
        assert_eq!(streams["streams"][stream], 6, "{run}: {streams}");
    }
}

#[test]
fn a_run_starts_from_trained_networks() {
    let work = Workplace::new();
    work.train("first", "6", &[]);
    let network = |run: &str, name: &str| work.read(&format!("weights/{run}/{name}.safetensors"));
    let files = "weights/first/generator.safetensors,weights/first/discriminator.safetensors";
    let checkpoint = "weights/first/step-00000006.safetensors";
    for (run, init) in
        [("named", "first"), ("directory", "weights/first"), ("checkpoint", checkpoint), ("files", files)]
    {
        // At a rate of 0 the weights stay what they were.
        work.train(run, "1", &["--init", init, "--lr", "0", "--seed", "5"]);
        for name in ["generator", "discriminator"] {
            let tensors =
                |run: &str| crate::support::bytes_of(&work.tensors(&format!("weights/{run}/{name}.safetensors")));
            assert!(tensors(run) == tensors("first"), "{run}: {name}");
        }
        let config: serde_json::Value =
            serde_json::from_slice(&work.read(&format!("weights/{run}/config.json"))).unwrap();
        let found = config["init_networks"].as_array().unwrap();
        let names: Vec<_> = found.iter().map(|found| found["network"].as_str().unwrap()).collect();
        assert_eq!(names, ["generator", "discriminator"], "{run}");
        assert!(found.iter().all(|found| found["sha256"].as_str().unwrap().len() == 64), "{found:?}");
        let path = found[0]["path"].as_str().unwrap();
        assert!(work.path(path).is_file(), "{path}");
    }
    // A generator alone leaves the discriminator as the seed draws it.
    work.train("drawn", "1", &["--lr", "0", "--seed", "5"]);
    work.train("half", "1", &["--init", "weights/first/generator.safetensors", "--lr", "0", "--seed", "5"]);
    let discriminator =
        |run: &str| crate::support::bytes_of(&work.tensors(&format!("weights/{run}/discriminator.safetensors")));
    assert!(discriminator("half") == discriminator("drawn"));
    assert!(network("half", "generator") != network("drawn", "generator"));
}

#[test]
fn a_run_from_trained_networks_resumes_without_them() {
    let work = Workplace::new();
    work.train("first", "6", &[]);
    work.train("whole", STEPS, &["--init", "first"]);
    let begin = [TINY, &["--run", "run", "--steps", STEPS, "--init", "first"]].concat();
    stop_after(&work, &begin, 6, libc::SIGINT);
    std::fs::remove_dir_all(work.path("weights/first")).unwrap();
    work.gan(&["train-gan", "--resume", "run", "--init", "first"]).assert().success();
    assert_same_run(&work, "run", "whole");
    let refused = work.gan(&["train-gan", "--resume", "run", "--init", "other"]).assert().code(2);
    assert!(String::from_utf8_lossy(&refused.get_output().stderr).contains("--init"));
}
