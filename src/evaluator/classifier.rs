use crate::autograd;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, bail};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use crate::checkpoint::{self, Archive, Bundled, Weights};
use crate::data::{self, ImageSource, pixels_of};
use crate::distributed::{Communicator, Rounds};
use crate::error::Error;
use crate::image_shape::ImageShape;
use crate::models::{CLASSES, DigitClassifier, FEATURES, NetworkDescription};
use crate::pretrained::search::{self, Wanted};
use crate::pretrained::trained_on::TrainedOn;

/// Images that go through the classifier at a time.
pub const TILE: usize = 250;

/// A trained digit classifier.
pub struct Classifier {
    network: DigitClassifier,
    /// The images that it takes.
    pub image_shape: ImageShape,
    /// What it is, for people.
    pub description: String,
    /// The SHA-256 of its file, where it was read from one.
    pub sha256: Option<String>,
    /// Where its file says so.
    pub trained_on: Option<TrainedOn>,
}

/// What the classifier computes for images, on the CPU.
#[derive(Clone, Debug)]
pub struct Activations {
    /// (N, 128)
    pub features: Tensor,
    /// (N, 10)
    pub scores: Tensor,
}

impl Classifier {
    /// The classifier of a file, else the bundled one.
    pub fn find(path: Option<&Path>, device: &Device) -> anyhow::Result<Self> {
        let Some(path) = path else {
            let found = Self::new(&Bundled::DigitClassifier.read()?, "the bundled digit classifier", device)?;
            let sha256 = Weights::bundled(Bundled::DigitClassifier)?.sha256()?;
            return Ok(Self { sha256: Some(sha256), ..found });
        };
        let weights = Weights::open(path)?;
        let Some(found) = search::find(&weights, &Wanted::DigitClassifier)? else {
            bail!(Error::reading(
                path,
                format!(
                    "does not fit, it is not a digit classifier: {}\nexpected one that gan has trained, or a PyTorch \
                     file of the same layers",
                    weights.contents()
                )
            ))
        };
        let words = format!("the digit classifier {}", found.place);
        let found = Self::of(&found.description, &found.tensors, &weights.metadata, words, device)?;
        Ok(Self { sha256: Some(weights.sha256()?), ..found })
    }

    /// The classifier of an archive that `what` names. [`Error::Input`] where it holds something else.
    pub fn new(archive: &Archive, what: &str, device: &Device) -> anyhow::Result<Self> {
        let description = NetworkDescription::digit_classifier();
        let tensors = checkpoint::conform(&archive.tensors, &description.signature()?, what)?;
        Self::of(&description, &tensors, &archive.metadata, what.to_string(), device)
    }

    fn of(
        network: &NetworkDescription,
        tensors: &BTreeMap<String, Tensor>,
        metadata: &BTreeMap<String, String>,
        description: String,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let image_shape = network.image_shape;
        let tensors = VarBuilder::from_tensors(tensors.clone().into_iter().collect(), DType::F32, device);
        let network = DigitClassifier::new(image_shape, tensors).and_then(|network| network.folded());
        let network = network.with_context(|| description.clone())?;
        Ok(Self { network, image_shape, description, sha256: None, trained_on: TrainedOn::of(metadata) })
    }

    /// The activations of `count` images, which `images` gives tile by tile: from the first number on so many, (n, H, W, C) in
    /// [-1, 1]. The `processes` share the work, and each gets all. `proceed` is asked now and then with the number of images
    /// done, and ends the work in all of them (`None`) where it says no.
    pub fn activations(
        &self,
        count: usize,
        device: &Device,
        processes: &dyn Communicator,
        mut proceed: impl FnMut(usize) -> bool,
        mut images: impl FnMut(usize, usize) -> anyhow::Result<Vec<f32>>,
    ) -> anyhow::Result<Option<Activations>> {
        let (mut features, mut scores) = (Vec::new(), Vec::new());
        let ImageShape { height, width, channels } = self.image_shape;
        let mut rounds = Rounds::new(processes, 0..count as u64, TILE, FEATURES + CLASSES).for_all();
        let mut look = |range: Range<u64>| {
            let (first, some) = (range.start as usize, (range.end - range.start) as usize);
            let mut pixels = images(first, some)?;
            // Other devices than a CPU choose kernels by the size of a batch: an image has the same activations in all of them.
            if !device.is_cpu() {
                pixels.resize(TILE * self.image_shape.stride(), -1.0);
            }
            let tile = Tensor::from_vec(pixels, ((), height, width, channels), device)?; // (TILE, H, W, C)
            let (of_tile, their_scores) = autograd::inference(|| {
                let features = self.network.features(&tile, false)?;
                let scores = self.network.scores(&features)?;
                Ok::<_, candle_core::Error>((features.detach(), scores.detach()))
            })?;
            let rows = |x: &Tensor| x.narrow(0, 0, some)?.flatten_all()?.to_vec1::<f32>();
            Ok([rows(&of_tile)?, rows(&their_scores)?].concat())
        };
        while let Some((range, values)) = rounds.next(|done| i32::from(!proceed(done as usize)), &mut look)? {
            let (of_tile, their_scores) = values.split_at((range.end - range.start) as usize * FEATURES);
            features.extend_from_slice(of_tile);
            scores.extend_from_slice(their_scores);
        }
        if rounds.stopped().is_some() {
            return Ok(None);
        }
        let matrix = |values, columns: usize| Tensor::from_vec(values, (count, columns), &Device::Cpu);
        Ok(Some(Activations { features: matrix(features, FEATURES)?, scores: matrix(scores, CLASSES)? }))
    }

    /// Those of all `images`, which must have the shape that it takes.
    pub fn activations_of(
        &self,
        images: &dyn ImageSource,
        device: &Device,
        processes: &dyn Communicator,
    ) -> anyhow::Result<Activations> {
        let read = |first, count| pixels(images, first, count);
        let activations = self.activations(images.len(), device, processes, |_| true, read)?;
        activations.context("not all images were classified")
    }
}

/// `count` images from number `first` on as values in [-1, 1].
///
/// # Errors
/// Where an image cannot be read.
pub fn pixels(images: &dyn ImageSource, first: usize, count: usize) -> anyhow::Result<Vec<f32>> {
    let shades = data::normalised();
    Ok(pixels_of(images, first..first + count)?.iter().map(|pixel| shades[usize::from(*pixel)]).collect())
}

impl Activations {
    /// The first `count` images, or all where there are fewer.
    pub fn first(&self, count: usize) -> candle_core::Result<Activations> {
        let count = count.min(self.features.dim(0)?);
        Ok(Activations { features: self.features.narrow(0, 0, count)?, scores: self.scores.narrow(0, 0, count)? })
    }

    /// The images at `indices`.
    pub fn at(&self, indices: &[u32]) -> candle_core::Result<Activations> {
        let indices = Tensor::new(indices, &Device::Cpu)?;
        Ok(Activations {
            features: self.features.index_select(&indices, 0)?,
            scores: self.scores.index_select(&indices, 0)?,
        })
    }
}
