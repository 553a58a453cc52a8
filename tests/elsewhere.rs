//! Runs that go on from another directory than they were begun in, or that have moved with their data.

use gan::checkpoint;
use serde_json::{Value, json};

use crate::support::{Workplace, bytes_of, write_pictures};

fn config(work: &Workplace, run: &str) -> Value {
    serde_json::from_slice(&work.read(&format!("weights/{run}/config.json"))).unwrap()
}

/// The program in another directory than the run was begun in.
fn elsewhere(work: &Workplace, arguments: &[&str]) -> std::process::Output {
    std::fs::create_dir_all(work.path("elsewhere")).unwrap();
    work.gan(arguments).current_dir(work.path("elsewhere")).output().unwrap()
}

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A run that was begun with relative paths goes on from any directory; its checkpoints say the paths as they were typed.
#[test]
fn a_run_goes_on_from_another_directory() {
    let work = Workplace::new();
    let here = work.path("").canonicalize().unwrap();
    let places = ["--weights-dir", "../weights", "--samples-dir", "../samples"];
    work.train("run", "4", &[]);
    work.train("whole", "8", &[]);
    assert_eq!(config(&work, "run")["places"], json!({ "data": here.join("data") }));
    assert_eq!(config(&work, "run")["data"], "data");
    let resume = ["train-gan", "--resume", "run", "--steps", "8"];
    let output = elsewhere(&work, &[&resume[..], &places].concat());
    assert!(output.status.success(), "{}", said(&output));
    let state = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/step-00000008.safetensors")));
    assert!(state("run") == state("whole"));
    let header = |run: &str| {
        let checkpoint = checkpoint::read(&work.path(&format!("weights/{run}/step-00000008.safetensors"))).unwrap();
        serde_json::from_str::<Value>(&checkpoint.metadata["gan.config"]).unwrap()
    };
    assert_eq!(header("run"), header("whole"));
    let output = elsewhere(&work, &["evaluate", "--weights", "../weights/run", "--n", "20", "--reference", "0..40"]);
    assert!(output.status.success(), "{}", said(&output));

    // Moved with its data, which are found where it goes on; and where they are nowhere, it says what to do.
    std::fs::create_dir(work.path("moved")).unwrap();
    for name in ["weights", "samples", "data"] {
        std::fs::rename(work.path(name), work.path("moved").join(name)).unwrap();
    }
    let moved = |steps| {
        let resume = ["train-gan", "--resume", "run", "--steps", steps];
        work.gan(&resume).current_dir(work.path("moved")).output().unwrap()
    };
    assert!(moved("9").status.success(), "{}", said(&moved("9")));
    let config: Value = serde_json::from_slice(&work.read("moved/weights/run/config.json")).unwrap();
    assert_eq!(config["places"], json!({ "data": here.join("moved/data") }));
    std::fs::rename(work.path("moved/data"), work.path("moved/images")).unwrap();
    let output = moved("10");
    assert!(output.status.code() == Some(3) && said(&output).contains("give their new place"), "{}", said(&output));
    let resume = ["train-gan", "--resume", "run", "--steps", "10", "--data", "images"];
    assert!(work.gan(&resume).current_dir(work.path("moved")).output().unwrap().status.success());
}

/// So does fine-tuning, on the encoder and the images that it was begun with.
#[test]
fn fine_tuning_goes_on_from_another_directory() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 8, 4);
    let flags = ["pretrain-simclr", "--data", "pictures", "--batch-size", "8", "--steps", "1", "--knn-every", "0"];
    work.gan(&flags).assert().success();
    let tuning = ["finetune", "--labels", "1.0", "--batch-size", "8", "--epochs", "1", "--checkpoint-every", "1"];
    let begin = [&tuning[..], &["--keep", "9"]].concat();
    work.gan(&[&begin[..], &["--weights", "weights/resnet9", "--run", "own"]].concat()).assert().success();
    // The images are those of the encoder's run, and where that says.
    let own = ["--weights", "../weights/resnet9", "--weights-dir", "../weights", "--samples-dir", "../samples"];
    let output = elsewhere(&work, &[&tuning[..], &own, &["--run", "other"]].concat());
    assert!(output.status.success(), "{}", said(&output));
    let bundled = ["--data", "pictures", "--weights", "bundled", "--run", "bundled"];
    work.gan(&[&begin[..], &bundled].concat()).assert().success();
    let table = |run: &str| work.metrics(run).into_iter().map(|row| row["top1"].clone()).collect::<Vec<_>>();
    assert_eq!(table("own"), table("other"));
    for run in ["own", "bundled"] {
        let (before, checkpoint) = (table(run), format!("../weights/{run}/step-00000002.safetensors"));
        let output = elsewhere(&work, &["finetune", "--resume", &checkpoint, "--samples-dir", "../samples"]);
        assert!(output.status.success(), "{run}: {}", said(&output));
        assert_eq!(table(run), before, "{run}");
    }
}
