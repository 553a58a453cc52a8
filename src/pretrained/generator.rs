//! A trained generator, ready to draw.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use super::search::{self, Wanted};
use super::{Latents, SampleClasses, draw};
use crate::checkpoint::{Bundled, Weights};
use crate::error::Error;
use crate::image_shape::ImageShape;
use crate::latent_space::LatentSpace;
use crate::models::{Architecture, Generator, NetworkDescription, NetworkKind};
use crate::pretrained::origin::Origin;

/// A generator with its weights, on a device, and where it came from.
#[derive(Debug)]
pub struct TrainedGenerator {
    network: Generator,
    latent_space: LatentSpace,
    class_names: Vec<String>,
    description: NetworkDescription,
    device: Device,
    origin: Origin,
}

impl TrainedGenerator {
    /// The generator of a file: one of ours (`generator_ema.safetensors`, a checkpoint), or PyTorch's of the same layers,
    /// under whatever name. Of a file that holds its average too, that is taken. Of a run's directory
    /// (`weights/dcgan`), its best.
    ///
    /// # Errors
    /// [`Error::Input`] where there is no such file, or no generator in it, or a weight is NaN or infinite.
    pub fn open(path: &Path, device: &Device) -> anyhow::Result<Self> {
        let file = if path.is_dir() { Self::file_of(path, false)? } else { path.to_path_buf() };
        Self::load(&Weights::open(&file)?, None, false, device)
    }

    /// The generator of `architecture` that comes with the program, trained on MNIST.
    ///
    /// # Errors
    /// [`Error::Input`] where there is none. Where the device does not take it.
    pub fn bundled(architecture: Architecture, device: &Device) -> anyhow::Result<Self> {
        Self::load(&Self::bundled_weights(architecture)?, Some(architecture), false, device)
    }

    /// The file of [`bundled`](Self::bundled).
    ///
    /// # Errors
    /// [`Error::Input`] where none of `architecture` comes with the program.
    pub fn bundled_weights(architecture: Architecture) -> anyhow::Result<Weights> {
        let bundled = match architecture {
            Architecture::Vanilla => Some(Bundled::VanillaGenerator),
            Architecture::Lsgan => Some(Bundled::LsganGenerator),
            Architecture::Dcgan => Some(Bundled::DcganGenerator),
        };
        let Some(bundled) = bundled else {
            bail!(Error::Input(format!("no trained {} generator comes with the program", architecture.name())))
        };
        Weights::bundled(bundled)
    }

    /// The file of the best generator in the directory of a run: of the one that it has kept as such, else of the averaged one,
    /// else of the only one. With `raw` of the one as it was last trained, which is no average.
    ///
    /// # Errors
    /// [`Error::Input`] where there is none.
    pub fn file_of(run: &Path, raw: bool) -> anyhow::Result<PathBuf> {
        const NAMES: [&str; 3] = ["generator_best.safetensors", "generator_ema.safetensors", "generator.safetensors"];
        let names = if raw { &NAMES[2..] } else { &NAMES };
        let file = names.iter().map(|name| run.join(name)).find(|path| path.is_file());
        let expected = "holds no generator; expected generator_ema.safetensors or generator.safetensors";
        Ok(file.ok_or_else(|| Error::reading(run, expected))?)
    }

    /// The generator of `weights`, `wanted` being its architecture where that is given; with `raw` as it was trained, not
    /// its average.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn load(weights: &Weights, wanted: Option<Architecture>, raw: bool, device: &Device) -> anyhow::Result<Self> {
        let found = search::find(weights, &Wanted::Generator { architecture: wanted, raw })?;
        let Some(found) = found else {
            bail!(Error::reading(
                &weights.path,
                format!(
                    "not a generator: {}\nexpected one of train-gan's generator files or checkpoints, or a PyTorch file of \
                     the same layers",
                    weights.contents()
                )
            ))
        };
        let NetworkKind::Generator { architecture, latent_dim, latents, class_names } = found.description.kind.clone()
        else {
            bail!("{} is no generator", found.words)
        };
        let image_shape = found.description.image_shape;
        let tensors = VarBuilder::from_tensors(found.tensors.into_iter().collect(), DType::F32, device);
        let inputs = latent_dim + class_names.len();
        let network = Generator::new(architecture, inputs, image_shape, tensors).and_then(|network| network.folded());
        let network = network.with_context(|| found.words.clone())?;
        let (origin, device) = (Origin::new(weights, found.words), device.clone());
        let latent_space = LatentSpace { dim: latent_dim, distribution: latents };
        Ok(Self { network, latent_space, class_names, description: found.description, device, origin })
    }

    /// Samples 0 to `count` under `seed`: (N, H, W, C) in (-1, 1), on the CPU. Sample i depends on the seed and on i alone,
    /// and is the one that `gan sample --seed` draws. Those of a conditional generator are of its classes in turn.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn sample(&self, count: usize, seed: u64) -> anyhow::Result<Tensor> {
        self.sample_of(SampleClasses::of(self.class_names.len()), count, seed)
    }

    /// Samples of one class, an index into [`class_names`](Self::class_names), as `gan sample --class` draws them; else as
    /// [`sample`](Self::sample).
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no such class. Where the device fails.
    pub fn sample_class(&self, class: u32, count: usize, seed: u64) -> anyhow::Result<Tensor> {
        let classes = self.class_names.len();
        if class as usize >= classes {
            bail!(Error::Usage(format!("class {class}: the generator has {classes} classes")));
        }
        self.sample_of(SampleClasses::One { class, classes }, count, seed)
    }

    fn sample_of(&self, classes: SampleClasses, count: usize, seed: u64) -> anyhow::Result<Tensor> {
        let ImageShape { height, width, channels } = self.image_shape();
        let latents = Latents::Drawn { seed, space: self.latent_space };
        let images = self.draw(&classes.inputs(&latents, 0, count))?;
        Ok(Tensor::from_vec(images, (count, height, width, channels), &Device::Cpu)?)
    }

    /// The images of `latents`, (N, [`latent_dim`](Self::latent_dim)) row by row: (N, H, W, C) in (-1, 1). A conditional
    /// generator takes each latent with the one-hot class of its image behind it.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn draw(&self, latents: &[f32]) -> candle_core::Result<Vec<f32>> {
        draw(&self.network, latents, self.latent_dim() + self.class_names.len(), &self.device)
    }

    /// The names of its classes, in the order of the one-hot values; none of a generator that is not conditional.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Numbers in a latent.
    pub fn latent_dim(&self) -> usize {
        self.latent_space.dim
    }

    /// What its latents are drawn from.
    pub fn latent_space(&self) -> LatentSpace {
        self.latent_space
    }

    /// Of the images that it draws.
    pub fn image_shape(&self) -> ImageShape {
        self.description.image_shape
    }

    /// What the network is.
    pub fn description(&self) -> &NetworkDescription {
        &self.description
    }

    /// The device it computes on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Its file, and what it was trained on.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}
