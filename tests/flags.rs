//! Flags that cannot be meant: every number of every command, and directories that are not there.

use std::collections::BTreeSet;

use crate::support::{Workplace, write_pictures};

const COMMANDS: [&str; 5] = ["train-gan", "pretrain-simclr", "finetune", "sample", "evaluate"];

/// What `--help` calls the value of a flag that takes no number.
const NO_NUMBERS: [&str; 18] = [
    "DEVICE",
    "DIR",
    "FILE",
    "FILE|RUN|bundled",
    "PROGRAM",
    "FILE.npy",
    "DIR|FILE.npy",
    "DIR|none",
    "FILE|DIR|bundled",
    "NAME",
    "NAME|DIR",
    "NAME|DIR|FILE",
    "NAME|DIR|CHECKPOINT",
    "RUN|FILE,...",
    "WHAT",
    "FORMAT",
    "frechet|coverage",
    "knn",
];

/// Each flag of a command that takes a number, with what its help calls the number.
fn numeric_flags(work: &Workplace, command: &str) -> BTreeSet<String> {
    let help = work.gan(&[command, "--help"]).output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let mut flags = BTreeSet::new();
    for line in help.lines().map(str::trim_start).filter(|line| line.starts_with('-')) {
        let Some((names, value)) = line.split_once(" <") else { continue };
        let value = value.split('>').next().unwrap();
        // The name of an enumeration is that of its flag, in capitals.
        let flag = names.rsplit(' ').next().unwrap();
        let is_enumeration = flag.trim_start_matches('-').replace('-', "_").to_uppercase() == value;
        if !is_enumeration && !NO_NUMBERS.contains(&value) {
            flags.insert(flag.to_string());
            flags.extend(names.split_once(", ").map(|(short, _)| short.to_string()));
        }
    }
    flags
}

#[test]
fn a_number_that_cannot_be_meant_is_told_so_by_every_flag_that_takes_one() {
    let work = Workplace::new();
    let mut tried = 0;
    for command in COMMANDS {
        let flags = numeric_flags(&work, command);
        assert!(flags.contains("--seed") && flags.contains("--threads"), "{command}: {flags:?}");
        for flag in flags {
            // `--steps` and its like want the flag they belong to.
            let trains = command == "evaluate" && ["--steps", "--batch-size", "--lr"].contains(&flag.as_str());
            let more: &[&str] = if trains { &["--train-classifier", "-o", "x.safetensors"] } else { &[] };
            for value in ["-1", "-many"] {
                let arguments = [&[command, &flag, value], more].concat();
                let output = work.gan(&arguments).output().unwrap();
                let stderr = String::from_utf8(output.stderr).unwrap();
                assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
                let long = if flag == "-n" { "--n" } else { &flag };
                let says = stderr.contains(long) && !stderr.contains("unexpected argument");
                let expected = ["expected", "must be", "or more", "above"].iter().any(|word| stderr.contains(word));
                assert!(says && expected, "{arguments:?}: {stderr}");
                tried += 1;
            }
        }
    }
    assert!(tried > 130, "{tried}");
    assert_eq!(std::fs::read_dir(work.directory.path()).unwrap().count(), 1, "nothing but the data is there");
}

#[test]
fn errors_name_the_number_and_what_it_must_be() {
    let work = Workplace::new();
    for (arguments, words) in [
        (["train-gan", "--seed", "-1"], "'-1' for '--seed <N>': must be 0 or more"),
        (["sample", "-n", "-5"], "'-5' for '--n <N>': must be 0 or more"),
        (["sample", "--n=-5", "-q"], "'-5' for '--n <N>': must be 0 or more"),
        (["evaluate", "--seeds", "1e3"], "expected a whole number, 0 or more"),
        (["train-gan", "--batch-size", "99999999999999999999"], "must be below 2^64"),
        (["train-gan", "--lr", "-1e-3"], "--lr -0.001: expected"),
        (["pretrain-simclr", "--hue", "-.1"], "--hue -0.1: expected"),
        (["finetune", "--labels", "-1"], "'--labels <PART|N>': expected a part of the images"),
        (["evaluate", "--reference", "-5..3"], "'-5..3' for '--reference <test|validation|A..B>': expected `test`"),
        (["train-gan", "--threads", "-1"], "'--threads <N>': expected 1 to 1024"),
    ] {
        let output = work.gan(&arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_weights_directory_that_was_typed_and_is_not_there_is_an_error() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 4, 2);
    let refused = |arguments: &[&str], words: &str| {
        let output = work.gan(arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
    };
    let missing = "--weights-dir wieghts: no such directory";
    refused(&["sample", "--weights-dir", "wieghts"], missing);
    refused(&["sample", "--weights-dir", "wieghts", "--model", "vanilla"], missing);
    refused(&["evaluate", "--weights-dir", "wieghts", "--data", "data"], missing);
    refused(&["evaluate", "--weights-dir", "wieghts", "--run", "vanilla"], missing);
    refused(&["finetune", "--weights-dir", "wieghts", "--data", "pictures"], missing);
    refused(&["train-gan", "--weights-dir", "wieghts", "--resume", "vanilla"], "wieghts/vanilla: no run is there");
    std::fs::write(work.path("file"), b"").unwrap();
    refused(&["sample", "--weights-dir", "file"], "--weights-dir file: not a directory");
    refused(&["sample", "--latents", "none.npy"], "none.npy");
    refused(&["evaluate", "--images", "none.npy"], "none.npy");
    refused(&["evaluate", "--run", "none"], "weights/none: no run is there; runs: none yet");
    assert!(!work.path("wieghts").exists() && !work.path("sample.png").exists());

    // The default need not be there, and what trains makes the directory that it is given.
    work.gan(&["sample", "-n", "1"]).assert().success();
    work.train("vanilla", "1", &["--weights-dir", "new"]);
    work.gan(&["sample", "-n", "1", "--weights-dir", "new", "-o", "one.png"]).assert().success();
    let flags = ["--data", "pictures", "--labels", "1.0", "--batch-size", "4", "--epochs", "1", "--cached"];
    work.gan(&[&["finetune", "--weights", "bundled", "--weights-dir", "fresh"], &flags[..]].concat())
        .assert()
        .success();
    assert!(work.path("fresh").is_dir());
    let output = work.gan(&["evaluate", "--weights-dir", "new", "--run", "none"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("runs: vanilla"));
}
