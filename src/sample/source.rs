use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use candle_core::{Device, Tensor};

use crate::checkpoint::{self, Archive, Bundled};
use crate::error::Failure;
use crate::models::{Architecture, Generator};
use crate::params::Parameters;
use crate::train::run::{CONFIG, saved_text};

/// A generator ready to draw, and where it came from.
#[derive(Debug)]
pub struct Source {
    pub generator: Generator,
    pub latent_dim: usize,
    /// Its file; of bundled weights, their name.
    pub path: PathBuf,
    /// The data set that it was trained on, where the file says so.
    pub data: Option<String>,
    /// What the file is, in words for stderr.
    pub description: String,
}

/// Which generator is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Of whichever model, if none is named.
    pub model: Option<Architecture>,
    /// A file, the directory of a run, or [`BUNDLED`].
    pub weights: Option<&'a Path>,
    /// Where runs are looked for.
    pub weights_dir: &'a Path,
    /// As it was trained, not its average.
    pub raw: bool,
}

/// What `--weights` says to have the pretrained weights although there are runs; a file of that name is `./bundled`.
pub const BUNDLED: &str = "bundled";

/// Finds the generator: the named weights, else the newest run of the model under the weights directory, else the
/// pretrained weights that come with the program.
pub fn find(wanted: &Wanted, device: &Device) -> anyhow::Result<Source> {
    let (path, archive) = read(wanted)?;
    let data = archive.metadata.get(CONFIG).and_then(|config| saved_text(config, "data"));
    let tensors = generator_tensors(archive.tensors, wanted.raw);
    let (architecture, latent_dim) = recognise(&tensors, &path)?;
    if let Some(model) = wanted.model {
        let same_networks = matches!(architecture, Architecture::Dcgan) == matches!(model, Architecture::Dcgan);
        if !same_networks {
            bail!(Failure::reading(
                &path,
                format!("holds a {} generator; --model {} was asked for", family(architecture), model.name())
            ));
        }
    }
    let parameters = Parameters::undrawn("generator", device);
    Generator::new(architecture, latent_dim, parameters.builder())?;
    let what = format!("{}, a {} generator", path.display(), family(architecture));
    let tensors = checkpoint::conform(&tensors, &parameters.signature(), &what)?;
    parameters.load(&tensors).with_context(|| what.clone())?;
    // Frozen, so that drawing keeps no graph.
    let generator = Generator::new(architecture, latent_dim, parameters.frozen())?;
    Ok(Source { generator, latent_dim, description: what, path, data })
}

fn read(wanted: &Wanted) -> anyhow::Result<(PathBuf, Archive)> {
    let path = match wanted.weights {
        Some(path) if path == Path::new(BUNDLED) => None,
        Some(path) if path.is_dir() => Some(in_directory(path, wanted.raw).ok_or_else(|| {
            Failure::reading(path, "holds no generator; expected generator_ema.safetensors or generator.safetensors")
        })?),
        Some(path) => Some(path.to_path_buf()),
        None => newest_run(wanted),
    };
    if let Some(path) = path {
        let archive = checkpoint::read(&path)?;
        return Ok((path, archive));
    }
    let bundled = match wanted.model.unwrap_or(Architecture::Dcgan) {
        Architecture::Vanilla => Bundled::VanillaGenerator,
        Architecture::Lsgan => Bundled::LsganGenerator,
        Architecture::Dcgan => Bundled::DcganGenerator,
    };
    Ok((bundled.name().into(), bundled.read()?))
}

fn family(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Vanilla | Architecture::Lsgan => "fully connected (vanilla, lsgan)",
        Architecture::Dcgan => "convolutional (dcgan)",
    }
}

/// The generator's file in the directory of a run, best first.
fn in_directory(directory: &Path, raw: bool) -> Option<PathBuf> {
    let names: &[&str] =
        if raw { &["generator.safetensors"] } else { &["generator_ema.safetensors", "generator.safetensors"] };
    names.iter().map(|name| directory.join(name)).find(|path| path.is_file())
}

fn newest_run(wanted: &Wanted) -> Option<PathBuf> {
    checkpoint::runs(wanted.weights_dir).into_iter().find_map(|run| {
        let model = model_of(&run.weights)?;
        let fits = wanted.model.is_none_or(|wanted| wanted == model);
        in_directory(&run.weights, wanted.raw).filter(|_| fits)
    })
}

/// The model that a run's saved configuration names.
fn model_of(run: &Path) -> Option<Architecture> {
    #[derive(serde::Deserialize)]
    struct Saved {
        model: Architecture,
    }
    let text = std::fs::read(run.join("config.json")).ok()?;
    serde_json::from_slice::<Saved>(&text).ok().map(|saved| saved.model)
}

/// The generator's part of a file: all of it, or what a checkpoint holds under its names.
fn generator_tensors(tensors: BTreeMap<String, Tensor>, raw: bool) -> BTreeMap<String, Tensor> {
    let prefixes: &[&str] = if raw { &["generator."] } else { &["generator_ema.", "generator."] };
    for prefix in prefixes {
        if tensors.keys().any(|name| name.starts_with(prefix)) {
            let part = tensors.into_iter();
            return part.filter_map(|(name, t)| name.strip_prefix(prefix).map(|name| (name.to_string(), t))).collect();
        }
    }
    tensors
}

/// Which generator the tensors are of, told by their names and ranks.
fn recognise(tensors: &BTreeMap<String, Tensor>, path: &Path) -> anyhow::Result<(Architecture, usize)> {
    let dims = |name: &str| tensors.get(name).map(|tensor| tensor.dims().to_vec()).unwrap_or_default();
    let (first, last) = (dims("0.weight"), dims("10.weight"));
    match (first.as_slice(), last.len(), dims("4.weight").len()) {
        (&[1024, latent_dim], 4, _) => Ok((Architecture::Dcgan, latent_dim)),
        (&[1024, latent_dim], 0, 2) => Ok((Architecture::Vanilla, latent_dim)),
        _ => {
            let names: Vec<&str> = tensors.keys().take(3).map(String::as_str).collect();
            bail!(Failure::reading(
                path,
                format!(
                    "not a generator: it holds {} tensors ({}, …)\nexpected one of train-gan's generator files or \
                     checkpoints, or a state dict of the same layers",
                    tensors.len(),
                    names.join(", ")
                )
            ))
        }
    }
}
