//! What is to be evaluated: told by the flags, or by what a file holds.

use std::path::{Path, PathBuf};

use anyhow::bail;
use candle_core::Device;

use super::EvaluateConfig;
use crate::checkpoint::{Best, Weights, saved_runs};
use crate::commands::weights;
use crate::data::{self, ImageSet, pixels_of};
use crate::error::Error;
use crate::evaluator::{Classifier, classifier};
use crate::image_shape::ImageShape;
use crate::models::NetworkKind;
use crate::pretrained::encoder::ENCODER;
use crate::pretrained::trained_on::TrainedOn;
use crate::pretrained::{self, Candidate, EncoderSource, Latents, SampleClasses, TrainedGenerator};
use crate::report::Console;

pub enum Subject {
    Generator(Samples),
    Encoder(Box<EncoderSource>),
}

/// Where samples come from.
pub enum Samples {
    Drawn(Box<TrainedGenerator>),
    /// Images of a file or a folder.
    Given {
        path: PathBuf,
        shape: ImageShape,
        /// (N, H, W, C) in [-1, 1]
        pixels: Vec<f32>,
    },
    /// Images of any one shape, of a file or a folder, decoded when each is asked for.
    Opened {
        path: PathBuf,
        shape: ImageShape,
        images: ImageSet,
    },
}

/// Finds it: `--weights` or `--run`, else the newest run of the model or encoder, or of any.
pub fn find(config: &EvaluateConfig, device: &Device) -> anyhow::Result<Subject> {
    let mut config = config.clone();
    if let Some(name) = &config.run {
        config.weights = Some(directory_of(name, &config.weights_dir)?);
    }
    let is_encoder = match (&config.weights, config.model, config.encoder) {
        (_, Some(_), _) => false,
        (_, _, Some(_)) => true,
        (Some(path), ..) => holds_encoder(&weights::located(path, &config.weights_dir)),
        (None, ..) => newest_is_encoder(&config.weights_dir),
    };
    if is_encoder {
        let source = weights::encoder(config.weights.as_deref(), config.encoder, &config.weights_dir)?;
        return Ok(Subject::Encoder(Box::new(source)));
    }
    let source = weights::generator(&config.generator(), device)?;
    Ok(Subject::Generator(Samples::Drawn(Box::new(source))))
}

/// The directory of the run of that name. [`Error::NoRun`] where there is none.
fn directory_of(name: &str, weights_dir: &Path) -> anyhow::Result<PathBuf> {
    let directory = weights_dir.join(name);
    if !directory.is_dir() {
        let known = saved_runs(weights_dir).into_iter().map(|run| run.name).collect();
        bail!(Error::NoRun { path: directory, known });
    }
    Ok(directory)
}

/// Whether a path is of an encoder; of what cannot be read, reading a generator will say why.
fn holds_encoder(path: &Path) -> bool {
    if path.is_dir() {
        return path.join(ENCODER).is_file();
    }
    let candidates = Weights::open(path).and_then(|weights| pretrained::recognise(&weights));
    let is_encoder = |candidate: &Candidate| matches!(candidate.description.kind, NetworkKind::Encoder { .. });
    candidates.is_ok_and(|candidates| candidates.iter().any(is_encoder))
}

fn newest_is_encoder(weights_dir: &Path) -> bool {
    saved_runs(weights_dir).iter().find_map(|run| {
        let has = |name: &str| run.weights.join(name).is_file();
        match (has(ENCODER), has("generator.safetensors")) {
            (false, false) => None, // of finetune
            (is_encoder, _) => Some(is_encoder),
        }
    }) == Some(true)
}

impl Samples {
    /// Reads `--images`, in the shape that the classifier takes.
    pub fn given(path: &Path, classifier: &Classifier, console: &Console) -> anyhow::Result<Self> {
        let shape = classifier.image_shape;
        let images = data::read_images(path, shape)?;
        images.warnings.iter().for_each(|warning| console.warning(warning));
        Ok(Self::Given { path: path.to_path_buf(), shape, pixels: images.pixels })
    }

    /// Opens `--images` as they are.
    pub fn opened(path: &Path, console: &Console) -> anyhow::Result<Self> {
        let (images, warnings) = data::open_images(path)?;
        warnings.iter().for_each(|warning| console.warning(warning));
        Ok(Self::Opened { path: path.to_path_buf(), shape: images.shape()?, images })
    }

    pub fn image_shape(&self) -> ImageShape {
        match self {
            Self::Drawn(generator) => generator.image_shape(),
            Self::Given { shape, .. } | Self::Opened { shape, .. } => *shape,
        }
    }

    /// Of images that are given, how many there are.
    fn given_count(&self) -> Option<usize> {
        match self {
            Self::Drawn(_) => None,
            Self::Given { pixels, shape, .. } => Some(pixels.len() / shape.stride()),
            Self::Opened { images, .. } => Some(images.len()),
        }
    }

    /// The file of the generator.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Drawn(generator) => Some(&generator.origin().path),
            Self::Given { .. } | Self::Opened { .. } => None,
        }
    }

    /// What the user sees of it.
    pub fn name(&self) -> String {
        match self {
            Self::Drawn(generator) => generator.origin().path.display().to_string(),
            Self::Given { path, .. } | Self::Opened { path, .. } => path.display().to_string(),
        }
    }

    pub fn description(&self) -> String {
        match self {
            Self::Drawn(generator) => generator.origin().words.clone(),
            Self::Given { path, .. } | Self::Opened { path, .. } => {
                format!("{}: {} images", path.display(), self.given_count().unwrap_or_default())
            }
        }
    }

    /// The data set it was trained on, where that is known.
    pub fn data(&self) -> Option<&str> {
        match self {
            Self::Drawn(generator) => generator.origin().data.as_deref(),
            Self::Given { .. } | Self::Opened { .. } => None,
        }
    }

    /// What it was trained on, where its file says so.
    pub fn trained_on(&self) -> Option<&TrainedOn> {
        match self {
            Self::Drawn(generator) => generator.origin().trained_on.as_ref(),
            Self::Given { .. } | Self::Opened { .. } => None,
        }
    }

    /// How it was chosen, where it is the best of its run.
    pub fn best(&self) -> Option<Best> {
        match self {
            Self::Drawn(generator) => generator.origin().best,
            Self::Given { .. } | Self::Opened { .. } => None,
        }
    }

    /// How many there are, if not as many as asked for.
    pub fn count(&self, asked: usize) -> anyhow::Result<usize> {
        match self.given_count() {
            Some(count @ ..10) => {
                bail!(Error::reading(Path::new(&self.name()), format!("{count} images; expected at least 10")))
            }
            count => Ok(count.unwrap_or(asked)),
        }
    }

    /// Of a conditional generator, whose samples are of its classes in turn, the number of these; else 0.
    pub fn classes(&self) -> usize {
        match self {
            Self::Drawn(generator) => generator.class_names().len(),
            Self::Given { .. } | Self::Opened { .. } => 0,
        }
    }

    /// Samples `first` to `first + count` under `seed`: (count, H, W, C) in [-1, 1].
    pub fn draw(&self, seed: u64, first: usize, count: usize) -> anyhow::Result<Vec<f32>> {
        match self {
            Self::Drawn(generator) => {
                let latents = Latents::Drawn { seed, space: generator.latent_space() };
                let classes = SampleClasses::of(generator.class_names().len());
                Ok(generator.draw(&classes.inputs(&latents, first as u64, count))?)
            }
            Self::Given { pixels, shape, .. } => {
                Ok(pixels[first * shape.stride()..(first + count) * shape.stride()].to_vec())
            }
            Self::Opened { images, .. } => classifier::pixels(&**images, first, count),
        }
    }

    /// The same as the pixels of pictures, as `gan sample` writes them: (count, H, W, C).
    pub fn pixels(&self, seed: u64, first: usize, count: usize) -> anyhow::Result<Vec<u8>> {
        if let Self::Opened { images, .. } = self {
            return Ok(pixels_of(&**images, first..first + count)?.into_owned());
        }
        let values = self.draw(seed, first, count)?;
        if let Some(at) = values.iter().position(|value| value.is_nan()) {
            let sample = first + at / self.image_shape().stride();
            bail!(Error::Input(format!("{}: sample {sample} holds a NaN", self.name())));
        }
        Ok(values.into_iter().map(data::pixel_of).collect())
    }
}
