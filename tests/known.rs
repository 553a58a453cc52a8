//! What a run knows of what it stands on: its images, its encoder, its health so far. And how a run can be named.

use std::path::Path;

use gan::checkpoint::{self, Archive};

use crate::support::{TINY, Workplace, bytes_of, write_idx, write_pictures};

/// Changes a checkpoint in place.
fn edit(work: &Workplace, name: &str, change: impl Fn(&mut Archive)) {
    let path = work.path(name);
    let mut archive = checkpoint::read(&path).unwrap();
    change(&mut archive);
    checkpoint::write(&path, &archive).unwrap();
}

/// Runs; returns stderr.
#[track_caller]
fn ends(work: &Workplace, arguments: &[&str], code: i32) -> String {
    let output = work.gan(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    stderr
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let place = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &place)
        } else {
            let _ = std::fs::copy(&path, &place).unwrap();
        }
    }
}

fn config(work: &Workplace, run: &str) -> serde_json::Value {
    serde_json::from_slice(&work.read(&format!("weights/{run}/config.json"))).unwrap()
}

#[test]
fn other_images_are_refused_and_moved_ones_taken() {
    let work = Workplace::new();
    work.train("run", "4", &[]);
    work.train("whole", "8", &[]);
    let resume = ["train-gan", "--resume", "run", "--steps", "8"];
    copy(&work.path("data"), &work.path("elsewhere"));

    write_idx(&work.path("data"), 95);
    let refused = ends(&work, &resume, 3);
    for part in ["training images: 96 of sha256 ", "95 of sha256 ", "--changed-data"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    assert!(!refused.contains("test images"), "{refused}");
    for file in ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"] {
        copy(&work.path("elsewhere"), &work.path("data"));
        let mut bytes = work.read(&format!("data/{file}"));
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(work.path(&format!("data/{file}")), bytes).unwrap();
        assert!(ends(&work, &resume, 3).contains("96 of sha256 "), "{file}");
    }
    ends(&work, &[&resume[..], &["--data", "nowhere"]].concat(), 3);
    assert_eq!(config(&work, "run")["data"], "data", "refused commands change nothing");
    copy(&work.path("weights/run"), &work.path("weights/other"));

    let moved = ends(&work, &[&resume[..], &["--data", "elsewhere"]].concat(), 0);
    assert!(!moved.contains("warning"), "{moved}");
    assert_eq!(config(&work, "run")["data"], "elsewhere");
    let generator = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/generator.safetensors")));
    assert!(generator("run") == generator("whole"));

    let resume = ["train-gan", "--resume", "other", "--steps"];
    let changed = ends(&work, &[&resume[..], &["8", "--changed-data"]].concat(), 0);
    assert!(changed.contains("warning: going on with other images"), "{changed}");
    // From then on these are the run's.
    assert!(!ends(&work, &[&resume[..], &["9"]].concat(), 0).contains("warning"));
    ends(&work, &[&resume[..], &["10", "--data", "elsewhere"]].concat(), 3);
    assert!(ends(&work, &[TINY, &["--changed-data", "--run", "new"]].concat(), 2).contains("--resume"));
}

#[test]
fn checkpoints_from_before_resume_with_a_notice() {
    let work = Workplace::new();
    work.train("whole", "8", &[]);
    work.train("run", "4", &[]);
    edit(&work, "weights/run/step-00000004.safetensors", |archive| {
        for key in ["gan.data", "gan.health"] {
            assert!(archive.metadata.remove(key).is_some(), "{key}");
        }
    });
    copy(&work.path("data"), &work.path("elsewhere"));
    let resume = ["train-gan", "--resume", "run", "--steps", "8"];
    ends(&work, &[&resume[..], &["--data", "elsewhere"]].concat(), 2);
    let notice = ends(&work, &resume, 0);
    assert_eq!(notice.matches("does not say which images").count(), 1, "{notice}");
    let generator = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/generator.safetensors")));
    assert!(generator("run") == generator("whole"));
    ends(&work, &["train-gan", "--resume", "run", "--steps", "9", "--data", "elsewhere"], 0);

    edit(&work, "weights/run/step-00000009.safetensors", |archive| {
        archive.metadata.insert("gan.data".into(), "{}".into());
    });
    assert!(ends(&work, &["train-gan", "--resume", "run", "--steps", "10"], 3).contains("gan.data"));
}

#[test]
fn a_class_that_went_is_noticed_by_every_command() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 8, 4);
    let simclr = ["pretrain-simclr", "--data", "pictures", "--batch-size", "8", "--knn-every", "0", "--steps", "2"];
    ends(&work, &simclr, 0);
    let flags = ["finetune", "--labels", "1.0", "--batch-size", "8", "--epochs", "2", "--checkpoint-every", "2"];
    ends(&work, &flags, 0);
    std::fs::remove_file(work.path("weights/resnet9-finetune/step-00000006.safetensors")).unwrap();
    std::fs::remove_dir_all(work.path("pictures/test/disc")).unwrap();
    std::fs::remove_dir_all(work.path("pictures/train/disc")).unwrap();
    for command in [["pretrain-simclr", "resnet9", "--steps=4"], ["finetune", "resnet9-finetune", "--quiet"]] {
        let [command, run, more] = command;
        let refused = ends(&work, &[command, "--resume", run, more], 3);
        for part in ["training images: 24 of sha256 ", "16 of sha256 ", "test images: 12 of", "8 of"] {
            assert!(refused.contains(part), "{command}: {part}: {refused}");
        }
    }
    ends(&work, &["pretrain-simclr", "--resume", "resnet9", "--steps", "4", "--changed-data"], 0);
}

/// A warning comes once and at the step where it would have come, wherever the run was stopped.
#[test]
fn the_health_watch_goes_on_where_it_was() {
    let work = Workplace::new();
    let begin = |run: &str, steps: &str| {
        let flags = ["--run", run, "--steps", steps, "--discriminator-lr", "0", "--checkpoint-every", "30"];
        ends(&work, &[TINY, &flags].concat(), 0)
    };
    let warnings = |stderr: &str| -> Vec<String> {
        stderr.lines().filter(|line| line.contains("warning")).map(str::to_string).collect()
    };
    let whole = warnings(&begin("whole", "80"));
    assert!(whole[0].contains("since the start"), "{whole:?}");
    for first in ["31", "60"] {
        let before = begin(first, first);
        let after = ends(&work, &["train-gan", "--resume", first, "--steps", "80"], 0);
        assert_eq!(warnings(&(before + &after)), whole, "stopped at {first}");
    }
    // Who does not know the start does not speak of it.
    begin("old", "30");
    edit(&work, "weights/old/step-00000030.safetensors", |archive| drop(archive.metadata.remove("gan.health")));
    let after = ends(&work, &["train-gan", "--resume", "old", "--steps", "90"], 0);
    assert!(!after.contains("since the start"), "{after}");
}

#[test]
fn a_run_is_named_by_its_directory_too() {
    let work = Workplace::new();
    let printed = work.train("run", "2", &["-q"]).get_output().stdout.clone();
    let printed = String::from_utf8(printed).unwrap().trim().to_string();
    let absolute = work.path("weights/run").display().to_string();
    for (index, target) in [&printed, "weights/run/", &absolute, "./weights/run"].into_iter().enumerate() {
        let steps = (3 + index).to_string();
        ends(&work, &["train-gan", "--resume", target, "--steps", &steps], 0);
        assert_eq!(work.metrics("run").len(), 3 + index, "{target}");
    }
    // The directory says where the weights lie, whatever the default is.
    work.gan(&[TINY, &["--run", "far", "--steps", "2", "--weights-dir", "away"]].concat()).assert().success();
    ends(&work, &["train-gan", "--resume", "away/far", "--steps", "3"], 0);
    assert!(work.path("away/far/step-00000003.safetensors").is_file() && !work.path("weights/far").exists());
    // From within it, and a linked run by its own name, also where one of its checkpoints is named.
    let inside = |arguments: &[&str]| work.spawn(arguments).current_dir(work.path("weights/run")).output().unwrap();
    let data = work.path("data").display().to_string();
    let output = inside(&["train-gan", "--resume", ".", "--steps", "8", "--data", &data]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(work.metrics("run").len(), 8);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(work.path("weights/run"), work.path("weights/link")).unwrap();
        let linked = ["train-gan", "--resume", "weights/link/step-00000008.safetensors", "--steps", "9"];
        let stderr = ends(&work, &[&linked[..], &["--data", "data"]].concat(), 0);
        assert!(stderr.contains("weights/link") && work.path("samples/link/losses.png").is_file(), "{stderr}");
    }
    for nowhere in ["weights/nobody", "nobody/", "/", "data/"] {
        ends(&work, &["train-gan", "--resume", nowhere], 3);
    }
    ends(&work, &["pretrain-simclr", "--resume", "weights/run"], 3);
}

#[test]
fn a_checkpoint_alone_is_enough() {
    let work = Workplace::new();
    work.train("whole", "8", &[]);
    work.train("run", "4", &[]);
    for name in ["step-00000004.safetensors", "from-a-friend.safetensors"] {
        let place = work.path(&format!("got/{}", &name[..4]));
        std::fs::create_dir_all(&place).unwrap();
        std::fs::copy(work.path("weights/run/step-00000004.safetensors"), place.join(name)).unwrap();
        let file = format!("got/{}/{name}", &name[..4]);
        ends(&work, &["train-gan", "--resume", &file, "--steps", "3"], 2);
        assert_eq!(std::fs::read_dir(&place).unwrap().count(), 1, "refused, it leaves nothing");
        ends(&work, &["train-gan", "--resume", &file, "--steps", "8"], 0);
        let generator = |file: &str| bytes_of(&work.tensors(file));
        let newest = format!("got/{}/generator.safetensors", &name[..4]);
        assert!(generator(&newest) == generator("weights/whole/generator.safetensors"));
    }
    // And of a directory without its configuration.
    std::fs::remove_file(work.path("weights/run/config.json")).unwrap();
    ends(&work, &["train-gan", "--resume", "run", "--steps", "5"], 0);
    assert_eq!(config(&work, "run")["batch_size"], 16);
    std::fs::remove_file(work.path("weights/run/config.json")).unwrap();
    for step in [4, 5] {
        std::fs::remove_file(work.path(&format!("weights/run/step-{step:08}.safetensors"))).unwrap();
    }
    assert!(ends(&work, &["train-gan", "--resume", "run"], 3).contains("config.json"));
}

#[test]
fn a_run_that_is_not_there_is_told_from_those_that_are() {
    let work = Workplace::new();
    work.train("one", "1", &[]);
    for command in [&["sample"][..], &["evaluate"], &["predict", "pictures"], &["embed", "pictures", "-o", "h.npy"]] {
        let refused = ends(&work, &[command, &["--weights", "nobody"]].concat(), 3);
        assert!(refused.contains("nobody: no run is there; runs: one"), "{command:?}: {refused}");
    }
    assert!(!ends(&work, &["sample", "--weights", "gone.safetensors"], 3).contains("runs:"));
}
