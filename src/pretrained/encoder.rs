//! A pretrained encoder: found in a file, ready to embed images or to be trained on.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use candle_core::{Device, Tensor};

use super::search::{self, Wanted};
use crate::checkpoint::state::Tensors;
use crate::checkpoint::{Best, Bundled, Weights};
use crate::data::{ImageSource, common_shape};
use crate::distributed::{Alone, Communicator};
use crate::error::Error;
use crate::image_shape::ImageShape;
use crate::models::{Encoder, EncoderArchitecture, EncoderConfig, NetworkDescription, NetworkKind};
use crate::normalisation::Normalisation;
use crate::params::Parameters;
use crate::pretrained::features::features;
use crate::pretrained::origin::Origin;
use crate::pretrained::trained_on::TrainedOn;

/// The file of a run that holds its encoder.
pub const ENCODER: &str = "encoder.safetensors";
/// The same of a run that keeps its best.
const ENCODER_BEST: &str = "encoder_best.safetensors";

/// A pretrained encoder as its file has it.
pub struct EncoderSource {
    /// Its architecture and stem.
    pub encoder: EncoderConfig,
    /// The pictures that it was pretrained on.
    pub image_shape: ImageShape,
    /// What their pixels are to it.
    pub normalisation: Normalisation,
    /// Its file.
    pub path: PathBuf,
    /// The name of the run that the file lies in, or of the file.
    pub name: String,
    /// Its file, where in it, and what it is, for people.
    pub description: String,
    /// `f.*`, exactly those of the architecture, all finite.
    pub tensors: Tensors,
    /// The data set it was pretrained on, where the file says so.
    pub data: Option<String>,
    /// Which of its images, where the file says so.
    pub trained_on: Option<TrainedOn>,
    /// Of the best encoder of a run, how it was chosen.
    pub best: Option<Best>,
}

/// The parameters of an encoder with fresh weights under `seed`, as pretraining begins with.
pub fn fresh(encoder: EncoderConfig, seed: u64, device: &Device) -> candle_core::Result<Parameters> {
    let parameters = Parameters::new(seed, "encoder", device);
    Encoder::new(encoder, parameters.builder().pp("f"))?;
    Ok(parameters)
}

impl EncoderSource {
    /// The encoder of a file: one of ours (`encoder.safetensors`, a checkpoint, a classifier), or a PyTorch file of the same
    /// ResNet or vision transformer under whatever names. Of a run's directory, its encoder.
    ///
    /// # Errors
    /// [`Error::Input`] where there is no such file, or no encoder in it, or a weight is NaN or infinite.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = if path.is_dir() { Self::file_of(path)? } else { path.to_path_buf() };
        Self::load(&Weights::open(&file)?, None)
    }

    /// The encoder that comes with the program: a `resnet9`, pretrained on CIFAR-10.
    ///
    /// # Errors
    /// As [`Bundled::read`].
    pub fn bundled() -> anyhow::Result<Self> {
        Self::load(&Weights::bundled(Bundled::Encoder)?, None)
    }

    /// The file of the encoder in the directory of a run: of the one that it has kept as its best, else of the last.
    ///
    /// # Errors
    /// [`Error::Input`] where there is none.
    pub fn file_of(run: &Path) -> anyhow::Result<PathBuf> {
        let file = [ENCODER_BEST, ENCODER].map(|name| run.join(name)).into_iter().find(|file| file.is_file());
        Ok(file.ok_or_else(|| Error::reading(run, format!("holds no encoder; expected {ENCODER}")))?)
    }

    /// The encoder of `weights`, `wanted` being its architecture where that is given.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn load(weights: &Weights, wanted: Option<EncoderArchitecture>) -> anyhow::Result<Self> {
        let Some(found) = search::find(weights, &Wanted::Encoder { architecture: wanted })? else {
            bail!(Error::reading(
                &weights.path,
                format!(
                    "not an encoder: {}\nexpected {ENCODER} of pretrain-simclr, one of its checkpoints, or a PyTorch file of \
                     the same ResNet or vit-tiny",
                    weights.contents()
                )
            ))
        };
        let NetworkKind::Encoder { architecture, stem } = found.description.kind else {
            bail!("{} is no encoder", found.words)
        };
        let Origin { path, words, data, trained_on, best } = Origin::new(weights, found.words);
        Ok(Self {
            encoder: EncoderConfig { architecture, stem, side: found.description.image_shape.height },
            image_shape: found.description.image_shape,
            normalisation: found.description.normalisation,
            name: name_of(&path),
            path,
            description: words,
            tensors: found.tensors,
            data,
            trained_on,
            best,
        })
    }

    /// For images of `side` x `side`, if that is given, in place of those that it was pretrained on.
    ///
    /// # Errors
    /// [`Error::Setting`] where it is a transformer for others.
    pub fn for_pictures(self, side: Option<usize>) -> anyhow::Result<Self> {
        let ImageShape { height, channels, .. } = self.image_shape;
        let side = side.unwrap_or(height);
        let EncoderConfig { architecture, .. } = self.encoder;
        if architecture.is_transformer() && side != height {
            let name = architecture.name();
            let problem = format!("this {name} has a position for each patch of {height}x{height}; expected {height}");
            bail!(Error::setting("image_size", side, problem));
        }
        let encoder = EncoderConfig { side, ..self.encoder };
        Ok(Self { encoder, image_shape: ImageShape::new(side, side, channels), ..self })
    }

    /// What the network is.
    pub fn network(&self) -> NetworkDescription {
        NetworkDescription::encoder(self.encoder, self.image_shape).normalised_by(self.normalisation.clone())
    }

    /// The encoder's parameters, loaded.
    ///
    /// # Errors
    /// Where the device does not take them.
    pub fn parameters(&self, device: &Device) -> anyhow::Result<Parameters> {
        let parameters = Parameters::undrawn("encoder", device);
        Encoder::new(self.encoder, parameters.builder().pp("f"))?;
        parameters.load(&self.tensors).with_context(|| self.path.display().to_string())?;
        Ok(parameters)
    }
}

/// `weights/NAME/encoder.safetensors` is of the run NAME; any other file is called after itself.
fn name_of(path: &Path) -> String {
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let is_of_run = |name: &str| [ENCODER, ENCODER_BEST].contains(&name) || name.starts_with("step-");
    let of_run = path.file_name().is_some_and(|name| is_of_run(&name.to_string_lossy()));
    let parent = path.canonicalize().ok().and_then(|path| path.parent().map(Path::to_path_buf));
    let run = parent.and_then(|run| run.file_name().map(|name| name.to_string_lossy().into_owned()));
    run.filter(|_| of_run).or_else(|| stem(path)).unwrap_or_else(|| "encoder".into())
}

/// A pretrained encoder on a device, whose weights stay as they are.
pub struct TrainedEncoder {
    source: EncoderSource,
    network: Encoder,
    device: Device,
}

impl TrainedEncoder {
    /// The encoder of a file or of a run's directory, as [`EncoderSource::open`] finds it.
    ///
    /// # Errors
    /// As [`EncoderSource::open`].
    pub fn open(path: &Path, device: &Device) -> anyhow::Result<Self> {
        Self::new(EncoderSource::open(path)?, device)
    }

    /// The encoder that comes with the program: a `resnet9`, pretrained on CIFAR-10.
    ///
    /// # Errors
    /// Where the device does not take it.
    pub fn bundled(device: &Device) -> anyhow::Result<Self> {
        Self::new(EncoderSource::bundled()?, device)
    }

    /// An encoder that was found in a file.
    ///
    /// # Errors
    /// Where the device does not take it.
    pub fn new(source: EncoderSource, device: &Device) -> anyhow::Result<Self> {
        let parameters = source.parameters(device)?;
        let network = Encoder::new(source.encoder, parameters.frozen().pp("f"))?.folded()?;
        Ok(Self { source, network, device: device.clone() })
    }

    /// Features of `images`, which are red, green and blue, of any size, or of the transformer's: (N, D) in f32 on the device,
    /// D being [`EncoderArchitecture::features`]. An image's features do not depend on the others.
    ///
    /// # Errors
    /// [`Error::Input`] where the images are grey, or not of the size that a transformer is for.
    pub fn embed(&self, images: &dyn ImageSource) -> anyhow::Result<Tensor> {
        let features = self.embed_while(images, |_| true)?;
        features.context("not all images were embedded")
    }

    /// As [`embed`](Self::embed). `proceed` is asked after each part with the number of images done, and ends the work
    /// (`None`) where it says no.
    ///
    /// # Errors
    /// As [`embed`](Self::embed).
    pub fn embed_while(
        &self,
        images: &dyn ImageSource,
        proceed: impl FnMut(usize) -> bool,
    ) -> anyhow::Result<Option<Tensor>> {
        self.embed_among(images, &Alone, proceed)
    }

    /// The same, by `processes` that share the work and all have the same images; each gets all features.
    pub(crate) fn embed_among(
        &self,
        images: &dyn ImageSource,
        processes: &dyn Communicator,
        proceed: impl FnMut(usize) -> bool,
    ) -> anyhow::Result<Option<Tensor>> {
        let expected = self.source.image_shape.channels;
        let shape = common_shape(images)?;
        let found = shape.channels;
        if found != expected {
            bail!(Error::Input(format!(
                "images of {found} channels; the encoder takes {expected}: red, green and blue"
            )));
        }
        let of_encoder = self.source.image_shape;
        if self.source.encoder.architecture.is_transformer() && shape != of_encoder {
            bail!(Error::Input(format!("images of {shape}; this encoder is a transformer of {of_encoder}")));
        }
        features(&self.network, &self.source.normalisation, images, &self.device, processes, proceed)
    }

    /// What the network is.
    pub fn description(&self) -> NetworkDescription {
        self.source.network()
    }

    /// Its file, and what it was pretrained on.
    pub fn source(&self) -> &EncoderSource {
        &self.source
    }
}
