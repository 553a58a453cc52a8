//! A classifier of pictures: an encoder with a linear layer on it, as fine-tuning leaves it.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use candle_core::{DType, Device, Module, Tensor};

use super::encoder::EncoderSource;
use super::search::{self, Wanted};
use super::{Origin, TrainedEncoder};
use crate::checkpoint::Weights;
use crate::checkpoint::state::Tensors;
use crate::data::ImageSource;
use crate::error::Error;
use crate::layers::Linear;
use crate::models::{EncoderConfig, NetworkKind, linear_classifier};
use crate::params::Parameters;

/// The files of a run that hold a classifier, the one to take first.
const FILES: [&str; 2] = ["classifier.safetensors", "classifier-pretrained-full.safetensors"];

/// A classifier on a device, whose weights stay as they are.
pub struct TrainedClassifier {
    encoder: TrainedEncoder,
    layer: Linear,
    class_names: Vec<String>,
    has_names: bool,
    origin: Origin,
}

impl TrainedClassifier {
    /// The classifier of a file of fine-tuning, or of the directory of its run.
    ///
    /// # Errors
    /// [`Error::Input`] where there is no such file, or no classifier in it, or a weight is NaN or infinite.
    pub fn open(path: &Path, device: &Device) -> anyhow::Result<Self> {
        let file = if path.is_dir() { Self::file_of(path)? } else { path.to_path_buf() };
        Self::load(&Weights::open(&file)?, device)
    }

    /// The file of the classifier in the directory of a run: that on the frozen encoder, else that which was trained with
    /// its encoder.
    ///
    /// # Errors
    /// [`Error::Input`] where there is none.
    pub fn file_of(run: &Path) -> anyhow::Result<PathBuf> {
        let file = FILES.iter().map(|name| run.join(name)).find(|file| file.is_file());
        Ok(file.ok_or_else(|| Error::reading(run, format!("holds no classifier; expected {}", FILES[0])))?)
    }

    fn load(weights: &Weights, device: &Device) -> anyhow::Result<Self> {
        let Some(found) = search::find(weights, &Wanted::Classifier)? else {
            let text = format!("not a classifier: {}\nexpected {} of fine-tuning", weights.contents(), FILES[0]);
            bail!(Error::reading(&weights.path, text))
        };
        let NetworkKind::Classifier { architecture, stem, classes, names } = found.description.kind else {
            bail!("{} is no classifier", found.words)
        };
        let (of_layer, tensors): (Tensors, Tensors) =
            found.tensors.into_iter().partition(|(name, _)| name.starts_with("fc."));
        let encoder = EncoderConfig { architecture, stem, side: found.description.image_shape.height };
        let parameters = Parameters::undrawn("classifier", device);
        linear_classifier(encoder.features(), classes, parameters.builder().pp("fc"))?;
        parameters.load(&of_layer).with_context(|| weights.path.display().to_string())?;
        let layer = linear_classifier(encoder.features(), classes, parameters.frozen().pp("fc"))?;
        let origin = Origin::new(weights, found.words);
        let source = EncoderSource {
            encoder,
            image_shape: found.description.image_shape,
            normalisation: found.description.normalisation,
            path: origin.path.clone(),
            name: "classifier".into(),
            description: origin.words.clone(),
            tensors,
            data: origin.data.clone(),
            trained_on: origin.trained_on.clone(),
            best: origin.best,
        };
        let has_names = !names.is_empty();
        let class_names = if has_names { names } else { (0..classes).map(|class| class.to_string()).collect() };
        Ok(Self { encoder: TrainedEncoder::new(source, device)?, layer, class_names, has_names, origin })
    }

    /// The probability of each class for each of `images`, which are red, green and blue, of any size: (N, C), f32.
    ///
    /// # Errors
    /// [`Error::Input`] where the images are grey.
    pub fn classify(&self, images: &dyn ImageSource) -> anyhow::Result<Tensor> {
        let scores = self.layer.forward(&self.encoder.embed(images)?)?.detach().to_dtype(DType::F32)?; // (N, C)
        Ok(candle_nn::ops::softmax(&scores, 1)?)
    }

    /// The names of the classes, in the order of their probabilities; their numbers where the file has no names.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Whether the file has the names.
    pub fn has_class_names(&self) -> bool {
        self.has_names
    }

    /// The encoder that it stands on, with the size and the normalisation of its pictures.
    pub fn encoder(&self) -> &TrainedEncoder {
        &self.encoder
    }

    /// Its file.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}
