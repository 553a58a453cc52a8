//! What makes features of images of any size.

use std::ops::Range;

use anyhow::Context;
use candle_core::{Device, Tensor};

use super::{Activations, Inception};
use crate::data::{ImageSet, Images};
use crate::distributed::{Communicator, Rounds};
use crate::image_shape::ImageShape;
use crate::models::InceptionV3;
use crate::pretrained::TrainedEncoder;

/// Images that go through an encoder at a time.
const ENCODER_TILE: usize = 128;

/// A network whose features images are compared by.
pub enum FeatureNetwork {
    /// That of the literature.
    Inception(Box<Inception>),
    /// One of our own, with the SHA-256 of its file. Images are cut and resized to those that it was pretrained on.
    Encoder(Box<TrainedEncoder>, String),
}

impl FeatureNetwork {
    /// What makes the features, for people.
    pub fn description(&self) -> String {
        match self {
            Self::Inception(network) => network.description(),
            Self::Encoder(encoder, _) => encoder.source().description.clone(),
        }
    }

    /// The SHA-256 of its file.
    pub fn sha256(&self) -> &str {
        match self {
            Self::Inception(network) => network.sha256(),
            Self::Encoder(_, sha256) => sha256,
        }
    }

    /// Images that go through it at a time.
    fn tile(&self) -> usize {
        match self {
            Self::Inception(_) => Inception::TILE,
            Self::Encoder(..) => ENCODER_TILE,
        }
    }

    /// Numbers that it makes of an image: features, and scores of classes.
    fn width(&self) -> [usize; 2] {
        match self {
            Self::Inception(_) => [InceptionV3::FEATURES, InceptionV3::CLASSES],
            Self::Encoder(encoder, _) => [encoder.source().encoder.features(), 0],
        }
    }

    /// The activations of `count` images of `shape`, which `images` gives tile by tile: from the first number on so many,
    /// (n, H, W, C). The `processes` share the work, and each gets all. `proceed` is asked now and then with the number of
    /// images done, and ends the work in all of them (`None`) where it says no. Of an encoder there are no scores.
    ///
    /// # Errors
    /// Those of `images` and of the device.
    pub fn activations(
        &self,
        count: usize,
        shape: ImageShape,
        processes: &dyn Communicator,
        mut proceed: impl FnMut(usize) -> bool,
        mut images: impl FnMut(usize, usize) -> anyhow::Result<Vec<u8>>,
    ) -> anyhow::Result<Option<Activations>> {
        let [features_each, scores_each] = self.width();
        let (mut features, mut scores) = (Vec::new(), Vec::new());
        let mut rounds = Rounds::new(processes, 0..count as u64, self.tile(), features_each + scores_each).for_all();
        let mut look = |range: Range<u64>| {
            let (first, some) = (range.start as usize, (range.end - range.start) as usize);
            let pixels = images(first, some)?;
            let rows = |x: &Tensor| x.flatten_all()?.to_vec1::<f32>();
            match self {
                Self::Inception(network) => {
                    let (features, scores) = network.look(&pixels, shape, some)?;
                    Ok([rows(&features)?, rows(&scores)?].concat())
                }
                Self::Encoder(encoder, _) => Ok(rows(&embedded(encoder, pixels, shape)?)?),
            }
        };
        while let Some((range, values)) = rounds.next(|done| i32::from(!proceed(done as usize)), &mut look)? {
            let (of_tile, their_scores) = values.split_at((range.end - range.start) as usize * features_each);
            features.extend_from_slice(of_tile);
            scores.extend_from_slice(their_scores);
        }
        if rounds.stopped().is_some() {
            return Ok(None);
        }
        let matrix = |values, columns: usize| Tensor::from_vec(values, (count, columns), &Device::Cpu);
        Ok(Some(Activations { features: matrix(features, features_each)?, scores: matrix(scores, scores_each)? }))
    }
}

/// What `encoder` makes of images (n, H, W, C).
fn embedded(encoder: &TrainedEncoder, pixels: Vec<u8>, shape: ImageShape) -> anyhow::Result<Tensor> {
    let images = ImageSet::from(Images { pixels, ..Images::empty(shape) }).fit(encoder.source().image_shape)?;
    encoder.embed(&*images).context("features were not computed")
}
