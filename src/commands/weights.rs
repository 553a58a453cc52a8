//! Which trained network a command means: by `--weights`, `--model` or `--encoder` and `--weights-dir`; what the flags leave
//! open, the newest run decides, else the network that comes with the program.

use std::path::{Path, PathBuf};

use anyhow::bail;
use candle_core::Device;

use crate::checkpoint::header::saved_text;
use crate::checkpoint::saved_runs::{CONFIG_FILE, saved_runs};
use crate::checkpoint::{Bundled, Weights};
use crate::error::Error;
use crate::models::{Architecture, EncoderArchitecture};
use crate::pretrained::{EncoderSource, TrainedClassifier, TrainedGenerator};

/// What `--weights` says to have the pretrained weights although there are runs; a file of that name is `./bundled`.
const BUNDLED: &str = "bundled";

/// What `--weights` means: a path, or the name of a run under the weights directory.
pub(super) fn located(weights: &Path, weights_dir: &Path) -> PathBuf {
    let (run, is_run) = (weights_dir.join(weights), |path: &Path| path.join(CONFIG_FILE).is_file());
    // A directory of that name may hold the pictures that the run was trained on.
    let is_meant = if weights.is_dir() { !is_run(weights) } else { !weights.exists() };
    if is_meant && is_run(&run) { run } else { weights.to_path_buf() }
}

/// The file or the directory that `--weights` means. [`Error::NoRun`] where there is nothing of what may be the name of a run.
fn found(weights: &Path, weights_dir: &Path) -> anyhow::Result<PathBuf> {
    let path = located(weights, weights_dir);
    if !path.exists() && path.extension().is_none() && path != Path::new(BUNDLED) && !is_bundled_encoder(&path) {
        bail!(Error::NoRun { path, known: saved_runs(weights_dir).into_iter().map(|run| run.name).collect() });
    }
    Ok(path)
}

/// Whether it is what a run of fine-tuning keeps as the path of the bundled encoder.
fn is_bundled_encoder(path: &Path) -> bool {
    path == Path::new(Bundled::Encoder.name()) && !path.exists()
}

/// Which generator is wanted.
#[derive(Clone, Copy, Debug)]
pub struct GeneratorChoice<'a> {
    /// Of whichever model, if none is named.
    pub model: Option<Architecture>,
    /// A file, the directory of a run, or `bundled`.
    pub weights: Option<&'a Path>,
    /// Where runs are looked for.
    pub weights_dir: &'a Path,
    /// As it was trained, not its average.
    pub raw: bool,
}

/// The generator: the named weights, else the newest run of the model under the weights directory, else the pretrained
/// weights that come with the program. [`Error::Input`] where it is something else.
pub fn generator(choice: &GeneratorChoice, device: &Device) -> anyhow::Result<TrainedGenerator> {
    let GeneratorChoice { model, weights, weights_dir, raw } = *choice;
    let path = match weights.map(|path| found(path, weights_dir)).transpose()? {
        Some(path) if path == Path::new(BUNDLED) => None,
        Some(path) if path.is_dir() => Some(TrainedGenerator::file_of(&path, raw)?),
        Some(path) => Some(path),
        None => newest(weights_dir, |run| {
            let found = saved_choice(run, "model")?;
            let is_wanted = model.is_none_or(|wanted| wanted.name() == found);
            TrainedGenerator::file_of(run, raw).ok().filter(|_| is_wanted)
        }),
    };
    let weights = match path {
        Some(path) => Weights::open(&path)?,
        None => TrainedGenerator::bundled_weights(model.unwrap_or(Architecture::Dcgan))?,
    };
    TrainedGenerator::load(&weights, model, raw, device)
}

/// The encoder: `weights` (a file, the directory of a run, or `bundled`), else the newest run under `weights_dir` that
/// has one, of `wanted` where that is given, else the pretrained one that comes with the program. [`Error::Input`] where
/// there is none or it is something else.
pub fn encoder(
    weights: Option<&Path>,
    wanted: Option<EncoderArchitecture>,
    weights_dir: &Path,
) -> anyhow::Result<EncoderSource> {
    let path = match weights.map(|path| found(path, weights_dir)).transpose()? {
        Some(path) if path == Path::new(BUNDLED) || is_bundled_encoder(&path) => None,
        Some(path) if path.is_dir() => Some(EncoderSource::file_of(&path)?),
        Some(path) => Some(path),
        None => newest(weights_dir, |run| {
            let found = saved_choice(run, "encoder");
            let is_wanted = wanted.is_none_or(|wanted| found.as_deref() == Some(wanted.name()));
            EncoderSource::file_of(run).ok().filter(|_| is_wanted)
        }),
    };
    if let Some(path) = path {
        return EncoderSource::load(&Weights::open(&path)?, wanted);
    }
    if wanted.is_none_or(|wanted| wanted == EncoderArchitecture::Resnet9) {
        return EncoderSource::load(&Weights::bundled(Bundled::Encoder)?, wanted);
    }
    let flag = wanted.map(|wanted| format!(" --encoder {}", wanted.name())).unwrap_or_default();
    bail!(Error::Input(format!(
        "no pretrained {}encoder under {}\npretrain one with `gan pretrain-simclr{flag}`, or name a file with --weights",
        wanted.map(|wanted| format!("{} ", wanted.name())).unwrap_or_default(),
        weights_dir.display(),
    )))
}

/// The classifier: `weights` (a file or the directory of a run), else that of the newest run under `weights_dir` that has
/// one. [`Error::Input`] where there is none or it is something else.
pub fn classifier(weights: Option<&Path>, weights_dir: &Path, device: &Device) -> anyhow::Result<TrainedClassifier> {
    let path = match weights {
        Some(path) => Some(found(path, weights_dir)?),
        None => newest(weights_dir, |run| TrainedClassifier::file_of(run).ok()),
    };
    match path {
        Some(path) => TrainedClassifier::open(&path, device),
        None => bail!(Error::Input(format!(
            "no classifier under {}\ntrain one with `gan finetune`, or name a file with --weights",
            weights_dir.display()
        ))),
    }
}

/// Where the named set of the run lay that the network in `file` is of, if that was said.
pub fn data_dir_of(file: &Path) -> Option<PathBuf> {
    saved_choice(file.parent()?, "data_dir").map(PathBuf::from)
}

/// What `file` finds in the newest run in which it finds something.
fn newest(weights_dir: &Path, file: impl Fn(&Path) -> Option<PathBuf>) -> Option<PathBuf> {
    saved_runs(weights_dir).into_iter().find_map(|run| file(&run.weights))
}

/// A text of the configuration that a run has saved.
fn saved_choice(run: &Path, field: &str) -> Option<String> {
    saved_text(&std::fs::read_to_string(run.join(CONFIG_FILE)).ok()?, field)
}
