//! Where a pretrained encoder comes from: our files and checkpoints, PyTorch's, torchvision's names.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use candle_core::Device;

use super::BUNDLED;
use crate::checkpoint::{self, Bundled, Weights};
use crate::error::Failure;
use crate::image_shape::ImageShape;
use crate::models::{Encoder, EncoderArchitecture};
use crate::params::Parameters;
use crate::pretrained::encoder_names::Encoders;
use crate::pretrained::trained_on::TrainedOn;
use crate::run;
use crate::run::life::{CONFIG, saved_text};
use crate::run::state::Tensors;

/// The file of a run that holds its encoder.
pub const ENCODER: &str = "encoder.safetensors";

/// A pretrained encoder.
pub struct EncoderSource {
    pub architecture: EncoderArchitecture,
    /// The pictures that it was pretrained on.
    pub image_shape: ImageShape,
    pub path: PathBuf,
    /// The name of the run that the file lies in, or of the file.
    pub name: String,
    /// Its file, where in it, and what it is, in words for stderr.
    pub description: String,
    /// `f.*`, exactly those of the architecture, all finite.
    pub tensors: Tensors,
    /// The data set it was pretrained on, where the file says so.
    pub data: Option<String>,
    /// Which of its images, where the file says so.
    pub trained_on: Option<TrainedOn>,
}

/// An encoder of `architecture` with fresh weights under `seed`, as pretraining begins with.
pub fn fresh(architecture: EncoderArchitecture, seed: u64, device: &Device) -> candle_core::Result<Parameters> {
    let parameters = Parameters::new(seed, "encoder", device);
    Encoder::new(architecture, parameters.builder().pp("f"))?;
    Ok(parameters)
}

/// Finds the encoder: `weights` (a file, the directory of a run, or [`BUNDLED`]), else the newest run under `weights_dir`
/// that has one, of `wanted` where that is given, else the pretrained one that comes with the program.
/// [`Failure::Input`] where there is none or it is something else.
pub fn find(
    weights: Option<&Path>,
    wanted: Option<EncoderArchitecture>,
    weights_dir: &Path,
) -> anyhow::Result<EncoderSource> {
    let weights = open(weights, wanted, weights_dir)?;
    let Some(found) = checkpoint::find(&weights, &Encoders { wanted })? else {
        bail!(Failure::reading(
            &weights.path,
            format!(
                "not an encoder: {}\nexpected {ENCODER} of pretrain-simclr, one of its checkpoints, or a PyTorch file of the \
                 same ResNet",
                weights.contents()
            )
        ))
    };
    let data = weights.metadata.get(CONFIG).and_then(|config| saved_text(config, "data"));
    let trained_on = TrainedOn::of(&weights.metadata);
    Ok(EncoderSource {
        architecture: found.kind.architecture,
        image_shape: found.kind.architecture.image_shape(),
        name: name_of(&weights.path),
        path: weights.path,
        description: found.description,
        tensors: found.tensors,
        data,
        trained_on,
    })
}

fn open(weights: Option<&Path>, wanted: Option<EncoderArchitecture>, weights_dir: &Path) -> anyhow::Result<Weights> {
    let path = match weights {
        Some(path) if path == Path::new(BUNDLED) => None,
        Some(path) if path.is_dir() => Some(
            Some(path.join(ENCODER))
                .filter(|file| file.is_file())
                .ok_or_else(|| Failure::reading(path, format!("holds no encoder; expected {ENCODER}")))?,
        ),
        Some(path) => Some(path.to_path_buf()),
        None => newest_run(wanted, weights_dir),
    };
    if let Some(path) = path {
        return Weights::open(&path);
    }
    let is_bundled = wanted.is_none_or(|wanted| wanted == EncoderArchitecture::Resnet9);
    if is_bundled {
        return Weights::bundled(Bundled::Encoder);
    }
    let flag = wanted.map(|wanted| format!(" --encoder {}", wanted.name())).unwrap_or_default();
    bail!(Failure::Input(format!(
        "no pretrained {}encoder under {}\npretrain one with `gan pretrain-simclr{flag}`, or name a file with --weights",
        wanted.map(|wanted| format!("{} ", wanted.name())).unwrap_or_default(),
        weights_dir.display(),
    )))
}

fn newest_run(wanted: Option<EncoderArchitecture>, weights_dir: &Path) -> Option<PathBuf> {
    run::runs(weights_dir).into_iter().map(|run| run.weights).find_map(|weights| {
        let config = std::fs::read_to_string(weights.join("config.json")).unwrap_or_default();
        let is_wanted = wanted.is_none_or(|wanted| saved_text(&config, "encoder").as_deref() == Some(wanted.name()));
        Some(weights.join(ENCODER)).filter(|file| is_wanted && file.is_file())
    })
}

/// `weights/NAME/encoder.safetensors` is of the run NAME; any other file is called after itself.
fn name_of(path: &Path) -> String {
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let of_run = path.file_name().is_some_and(|name| name == ENCODER || name.to_string_lossy().starts_with("step-"));
    let parent = path.canonicalize().ok().and_then(|path| path.parent().map(Path::to_path_buf));
    let run = parent.and_then(|run| run.file_name().map(|name| name.to_string_lossy().into_owned()));
    run.filter(|_| of_run).or_else(|| stem(path)).unwrap_or_else(|| "encoder".into())
}

impl EncoderSource {
    /// The encoder's parameters, loaded.
    pub fn parameters(&self, device: &Device) -> anyhow::Result<Parameters> {
        let parameters = fresh(self.architecture, 0, device)?;
        parameters.load(&self.tensors).with_context(|| self.path.display().to_string())?;
        Ok(parameters)
    }
}
