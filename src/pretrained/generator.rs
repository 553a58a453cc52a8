use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use candle_core::Device;

use crate::checkpoint::network::is_layer;
use crate::checkpoint::{self, Bundled, Part, Recogniser, Signature, Weights};
use crate::error::Failure;
use crate::image_shape::ImageShape;
use crate::models::{Architecture, Generator};
use crate::params::Parameters;
use crate::pretrained::trained_on::TrainedOn;
use crate::run;
use crate::run::life::{CONFIG, saved_text};

/// A generator ready to draw, and where it came from.
#[derive(Debug)]
pub struct Source {
    pub generator: Generator,
    pub latent_dim: usize,
    /// Of the images that it draws.
    pub image_shape: ImageShape,
    /// Its file; of bundled weights, their name.
    pub path: PathBuf,
    /// The data set that it was trained on, where the file says so.
    pub data: Option<String>,
    /// Which of its images, where the file says so.
    pub trained_on: Option<TrainedOn>,
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
    let weights = open(wanted)?;
    let recogniser = Generators { wanted: wanted.model, raw: wanted.raw };
    let Some(found) = checkpoint::find(&weights, &recogniser)? else {
        bail!(Failure::reading(
            &weights.path,
            format!(
                "not a generator: {}\nexpected one of train-gan's generator files or checkpoints, or a PyTorch file of the \
                 same layers",
                weights.contents()
            )
        ))
    };
    let (architecture, latent_dim) = found.kind;
    let parameters = Parameters::undrawn("generator", device);
    let image_shape = architecture.image_shape();
    Generator::new(architecture, latent_dim, image_shape, parameters.builder())?;
    parameters.load(&found.tensors).with_context(|| found.description.clone())?;
    // Frozen, so that drawing keeps no graph.
    let generator = Generator::new(architecture, latent_dim, image_shape, parameters.frozen())?;
    let data = weights.metadata.get(CONFIG).and_then(|config| saved_text(config, "data"));
    let trained_on = TrainedOn::of(&weights.metadata);
    Ok(Source {
        generator,
        latent_dim,
        image_shape,
        description: found.description,
        path: weights.path,
        data,
        trained_on,
    })
}

fn open(wanted: &Wanted) -> anyhow::Result<Weights> {
    let path = match wanted.weights {
        Some(path) if path == Path::new(BUNDLED) => None,
        Some(path) if path.is_dir() => Some(in_directory(path, wanted.raw).ok_or_else(|| {
            Failure::reading(path, "holds no generator; expected generator_ema.safetensors or generator.safetensors")
        })?),
        Some(path) => Some(path.to_path_buf()),
        None => newest_run(wanted),
    };
    if let Some(path) = path {
        return Weights::open(&path);
    }
    Weights::bundled(match wanted.model.unwrap_or(Architecture::Dcgan) {
        Architecture::Vanilla => Bundled::VanillaGenerator,
        Architecture::Lsgan => Bundled::LsganGenerator,
        Architecture::Dcgan => Bundled::DcganGenerator,
    })
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
    run::runs(wanted.weights_dir).into_iter().find_map(|run| {
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

/// How generators are told: by the shapes of three tensors.
struct Generators {
    wanted: Option<Architecture>,
    raw: bool,
}

impl Recogniser for Generators {
    /// With the number of latents.
    type Kind = (Architecture, usize);

    const ANCHORS: &'static [&'static str] = &["0.weight"];

    fn recognise(&self, part: &Part) -> Option<Self::Kind> {
        let rank = |name: &str| part.shape(name).map_or(0, <[usize]>::len);
        match (part.shape("0.weight")?, rank("10.weight"), rank("4.weight")) {
            (&[1024, latent_dim], 4, _) => Some((Architecture::Dcgan, latent_dim)),
            (&[1024, latent_dim], 0, 2) => Some((Architecture::Vanilla, latent_dim)),
            _ => None,
        }
    }

    fn signature(&self, &(architecture, latent_dim): &Self::Kind) -> anyhow::Result<Result<Signature, String>> {
        let is_convolutional = |model| matches!(model, Architecture::Dcgan);
        if let Some(model) = self.wanted.filter(|model| is_convolutional(*model) != is_convolutional(architecture)) {
            let (found, asked) = (family(architecture), model.name());
            return Ok(Err(format!("holds a {found} generator; --model {asked} was asked for")));
        }
        let parameters = Parameters::undrawn("generator", &Device::Cpu);
        Generator::new(architecture, latent_dim, architecture.image_shape(), parameters.builder())?;
        Ok(Ok(parameters.signature()))
    }

    fn our_name(&self, _: &Self::Kind, name: &str, _: &[usize]) -> Option<String> {
        // A layer more makes another network; what has a name is beside it.
        is_layer(name).then(|| name.to_owned())
    }

    fn describe(&self, &(architecture, _): &Self::Kind) -> String {
        format!("a {} generator", family(architecture))
    }

    fn prefers_average(&self) -> bool {
        !self.raw
    }
}
