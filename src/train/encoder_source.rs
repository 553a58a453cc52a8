//! Where a pretrained encoder comes from: our files and checkpoints, PyTorch's, torchvision's names.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use candle_core::Device;

use super::run::{CONFIG, saved_text};
use super::state::Tensors;
use crate::checkpoint::{self, Archive, Bundled, Signature};
use crate::error::Failure;
use crate::models::{Encoder, EncoderArchitecture};
use crate::params::Parameters;
use crate::sample::BUNDLED;

/// The file of a run that holds its encoder.
pub const ENCODER: &str = "encoder.safetensors";

/// Counters that the profiler thop leaves in state dicts, the course's pretrained one among them.
const PROFILED: [&str; 2] = ["total_ops", "total_params"];

/// A pretrained encoder.
pub struct EncoderSource {
    pub architecture: EncoderArchitecture,
    pub path: PathBuf,
    /// The name of the run that the file lies in, or of the file.
    pub name: String,
    /// `f.*`, exactly those of the architecture.
    pub tensors: Tensors,
    /// The data set it was pretrained on, where the file says so.
    pub data: Option<String>,
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
    let (path, archive) = read(weights, wanted, weights_dir)?;
    let tensors = encoder_tensors(archive.tensors);
    let architecture = recognise(&tensors, wanted, &path)?;
    let signature = signature(architecture)?;
    let what = format!("{}: the {} encoder", path.display(), architecture.name());
    let tensors = checkpoint::conform(&tensors, &signature, &what)?;
    let data = archive.metadata.get(CONFIG).and_then(|config| saved_text(config, "data"));
    Ok(EncoderSource { architecture, name: name_of(&path), path, tensors, data })
}

fn read(
    weights: Option<&Path>,
    wanted: Option<EncoderArchitecture>,
    weights_dir: &Path,
) -> anyhow::Result<(PathBuf, Archive)> {
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
        let archive = checkpoint::read(&path)?;
        return Ok((path, archive));
    }
    let is_bundled = wanted.is_none_or(|wanted| wanted == EncoderArchitecture::Resnet9);
    if is_bundled {
        return Ok((BUNDLED.into(), Bundled::Encoder.read()?));
    }
    let flag = wanted.map(|wanted| format!(" --encoder {}", wanted.name())).unwrap_or_default();
    bail!(Failure::Input(format!(
        "no pretrained {}encoder under {}\npretrain one with `gan pretrain-simclr{flag}`, or name a file with --weights",
        wanted.map(|wanted| format!("{} ", wanted.name())).unwrap_or_default(),
        weights_dir.display(),
    )))
}

fn newest_run(wanted: Option<EncoderArchitecture>, weights_dir: &Path) -> Option<PathBuf> {
    checkpoint::runs(weights_dir).into_iter().map(|run| run.weights).find_map(|weights| {
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

/// The encoder's part of a file, under our names: `f.*` of it, or what torchvision's ResNets call by their own.
fn encoder_tensors(tensors: Tensors) -> Tensors {
    let tensors = tensors.into_iter().filter(|(name, _)| !PROFILED.iter().any(|counter| name.ends_with(counter)));
    // nn.DataParallel puts a prefix before every name.
    let tensors: Tensors =
        tensors.map(|(name, tensor)| (name.strip_prefix("module.").unwrap_or(&name).to_string(), tensor)).collect();
    if tensors.keys().any(|name| name.starts_with("f.")) {
        return tensors.into_iter().filter(|(name, _)| name.starts_with("f.")).collect();
    }
    let is_torchvision = tensors.contains_key("conv1.weight") && tensors.contains_key("bn1.weight");
    if !is_torchvision {
        return tensors;
    }
    tensors.into_iter().filter_map(|(name, tensor)| Some((from_torchvision(&name)?, tensor))).collect()
}

/// Our name of a tensor of torchvision's ResNets; none for its last linear layer.
fn from_torchvision(name: &str) -> Option<String> {
    let (part, rest) = name.split_once('.')?;
    let index = match part {
        "conv1" => "0",
        "bn1" => "1",
        "layer1" => "3",
        "layer2" => "4",
        "layer3" => "5",
        "layer4" => "6",
        "fc" => return None,
        _ => return Some(name.to_string()), // for the error that names it
    };
    Some(format!("f.{index}.{rest}"))
}

fn signature(architecture: EncoderArchitecture) -> anyhow::Result<Signature> {
    let parameters = Parameters::undrawn("encoder", &Device::Cpu);
    Encoder::new(architecture, parameters.builder().pp("f"))?;
    Ok(parameters.signature())
}

/// Which encoder the tensors are of: the one whose names they have.
fn recognise(
    tensors: &Tensors,
    wanted: Option<EncoderArchitecture>,
    path: &Path,
) -> anyhow::Result<EncoderArchitecture> {
    let dims = |name: &str| tensors.get(name).map(|tensor| tensor.dims().to_vec()).unwrap_or_default();
    if dims("f.0.weight").len() != 4 || !tensors.contains_key("f.3.0.conv1.weight") {
        let names: Vec<&str> = tensors.keys().take(3).map(String::as_str).collect();
        bail!(Failure::reading(
            path,
            format!(
                "not an encoder: it holds {} tensors ({}, …)\nexpected {ENCODER} of pretrain-simclr, one of its \
                 checkpoints, or a state dict of the same ResNet",
                tensors.len(),
                names.join(", ")
            )
        ));
    }
    let found = if tensors.contains_key("f.3.0.conv3.weight") {
        EncoderArchitecture::Resnet50
    } else if tensors.contains_key("f.3.1.conv1.weight") {
        EncoderArchitecture::Resnet18
    } else {
        EncoderArchitecture::Resnet9
    };
    if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
        bail!(Failure::reading(
            path,
            format!("holds a {} encoder; --encoder {} was asked for", found.name(), wanted.name())
        ));
    }
    if let [_, _, 7, 7] = dims("f.0.weight")[..] {
        bail!(Failure::reading(
            path,
            "its stem is 7x7, for pictures of 224x224; expected the 3x3 stem of an encoder for 32x32".to_string()
        ));
    }
    Ok(found)
}

impl EncoderSource {
    /// The encoder's parameters, loaded.
    pub fn parameters(&self, device: &Device) -> anyhow::Result<Parameters> {
        let parameters = fresh(self.architecture, 0, device)?;
        parameters.load(&self.tensors).with_context(|| self.path.display().to_string())?;
        Ok(parameters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torchvisions_names_become_ours() {
        for (theirs, ours) in [
            ("conv1.weight", Some("f.0.weight")),
            ("bn1.running_mean", Some("f.1.running_mean")),
            ("layer1.0.conv1.weight", Some("f.3.0.conv1.weight")),
            ("layer4.2.downsample.1.num_batches_tracked", Some("f.6.2.downsample.1.num_batches_tracked")),
            ("fc.weight", None),
            ("extra.weight", Some("extra.weight")),
        ] {
            assert_eq!(from_torchvision(theirs).as_deref(), ours, "{theirs}");
        }
    }
}
