//! Runs at their smallest, and when two are the same.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::end_of;
use crate::support::{Workplace, bytes_of, write_pictures};

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Vanilla,
    Lsgan,
    Dcgan,
    /// SimCLR's small encoder, with a measurement every epoch.
    Simclr,
    /// A linear probe and the whole encoder, fine-tuned.
    Linear,
    Full,
}

impl Kind {
    pub const ALL: [Self; 6] = [Self::Vanilla, Self::Lsgan, Self::Dcgan, Self::Simclr, Self::Linear, Self::Full];

    pub fn command(self) -> &'static str {
        match self {
            Self::Vanilla | Self::Lsgan | Self::Dcgan => "train-gan",
            Self::Simclr => "pretrain-simclr",
            Self::Linear | Self::Full => "finetune",
        }
    }

    /// Flags of a run of some ten steps over two or three epochs that saves after each step.
    fn flags(self) -> &'static [&'static str] {
        const GAN: [&str; 12] = [
            "--data",
            "data",
            "--train-images",
            "40",
            "--batch-size",
            "8",
            "--latent-dim",
            "8",
            "--log-every",
            "1",
            "--sample-every",
            "3",
        ];
        match self {
            Self::Vanilla => const { &joined(&["--model", "vanilla", "--steps", "12"], &GAN) },
            Self::Lsgan => const { &joined(&["--model", "lsgan", "--steps", "12"], &GAN) },
            Self::Dcgan => const { &joined(&["--model", "dcgan", "--steps", "6"], &GAN) },
            Self::Simclr => &[
                "--data",
                "pictures",
                "--encoder",
                "resnet9",
                "--batch-size",
                "6",
                "--steps",
                "7",
                "--log-every",
                "1",
                "--knn-every",
                "1",
                "--keep-best",
                "knn",
            ],
            Self::Linear | Self::Full => &[
                "--data",
                "pictures",
                "--weights",
                "weights/encoder/encoder.safetensors",
                "--labels",
                "1.0",
                "--batch-size",
                "6",
                "--epochs",
                "2",
                "--baseline",
            ],
        }
    }
}

const fn joined(first: &[&'static str; 4], second: &[&'static str; 12]) -> [&'static str; 16] {
    let mut all = [""; 16];
    let mut at = 0;
    while at < 16 {
        all[at] = if at < 4 { first[at] } else { second[at - 4] };
        at += 1;
    }
    all
}

/// A place with what every kind of run needs.
pub struct Place {
    pub work: Workplace,
}

impl Place {
    pub fn new() -> Self {
        let place = Self { work: Workplace::new() };
        write_pictures(&place.work.path("pictures"), 6, 2);
        place
    }

    /// The encoder that fine-tuning begins with.
    pub fn with_encoder(self) -> Self {
        let flags = ["--data", "pictures", "--encoder", "resnet9", "--batch-size", "6", "--steps", "2"];
        let rest = ["--knn-every", "0", "--run", "encoder"];
        end_of(&mut self.gan(&[&["pretrain-simclr"], &flags[..], &rest].concat())).expect(0, "the encoder");
        self
    }

    pub fn gan(&self, arguments: &[&str]) -> Command {
        self.work.spawn(arguments)
    }

    /// A new run called `run`, which saves after each step, with further flags, of which the last of a name counts.
    pub fn begin(&self, kind: Kind, run: &str, more: &[&str]) -> Command {
        let full: &[&str] = if kind == Kind::Full { &["--mode", "full"] } else { &[] };
        let own = ["--run", run, "--checkpoint-every", "1"];
        self.gan(&[&[kind.command()], kind.flags(), full, &own, more].concat())
    }

    pub fn resume(&self, kind: Kind, target: &str, more: &[&str]) -> Command {
        self.gan(&[&[kind.command(), "--resume", target], more].concat())
    }

    /// Goes on with `run`, or begins it where it had written nothing yet.
    pub fn go_on(&self, kind: Kind, run: &str, begin: &[&str], more: &[&str]) -> Command {
        match self.weights(run).join("config.json").exists() {
            true => self.resume(kind, run, more),
            false => self.begin(kind, run, &[begin, more].concat()),
        }
    }

    pub fn weights(&self, run: &str) -> PathBuf {
        self.work.path("weights").join(run)
    }

    pub fn remove(&self, run: &str) {
        let _ = fs::remove_dir_all(self.weights(run));
        let _ = fs::remove_dir_all(self.work.path("samples").join(run));
    }

    /// The temporary files that a killed process has left.
    pub fn temporaries(&self, run: &str) -> Vec<String> {
        let mut names = listing(&self.weights(run));
        names.extend(listing(&self.work.path("samples").join(run)));
        names.retain(|name| name.contains(".tmp"));
        names
    }

    pub fn checkpoints(&self, run: &str) -> Vec<PathBuf> {
        let mut names = listing(&self.weights(run));
        names.retain(|name| name.starts_with("step-") && name.ends_with(".safetensors"));
        names.into_iter().map(|name| self.weights(run).join(name)).collect()
    }

    /// Every checkpoint can be read, as whole as it was written.
    pub fn assert_whole(&self, run: &str) {
        for path in self.checkpoints(run) {
            gan::checkpoint::read(&path).unwrap_or_else(|error| panic!("{run}: {error:#}"));
        }
    }

    /// What a run has left, file by file, but for the clock.
    pub fn left(&self, run: &str) -> BTreeMap<String, u64> {
        let mut left = BTreeMap::new();
        for directory in [self.weights(run), self.work.path("samples").join(run)] {
            for name in listing(&directory).into_iter().filter(|name| name != ".lock") {
                left.insert(name.clone(), content(&directory.join(name)));
            }
        }
        left
    }

    pub fn assert_same(&self, run: &str, left: &BTreeMap<String, u64>) {
        let found = self.left(run);
        let names = left.keys().chain(found.keys());
        let different: Vec<_> = names.filter(|name| left.get(*name) != found.get(*name)).collect();
        assert!(different.is_empty(), "{run}: not as uninterrupted: {different:?}");
    }
}

pub fn listing(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A hash of what a file says: of tensors their names and bits, of records all but the clock, else every byte.
pub fn content(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    let bytes = fs::read(path).unwrap();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("safetensors") => bytes_of(&gan::checkpoint::read(path).unwrap().tensors).hash(&mut hasher),
        Some("jsonl") => {
            for line in String::from_utf8(bytes).unwrap().lines() {
                let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
                // The last two are in logs of several processes alone.
                for name in ["seconds", "images_per_second", "evaluate_seconds", "bytes_sent", "seconds_waiting"] {
                    record.as_object_mut().unwrap().remove(name);
                }
                record.to_string().hash(&mut hasher);
            }
        }
        _ => bytes.hash(&mut hasher),
    }
    hasher.finish()
}

/// How long something takes, for pauses that fall within it.
pub fn time_of(command: &mut Command, what: &str) -> Duration {
    let began = std::time::Instant::now();
    end_of(command).expect(0, what);
    began.elapsed()
}
