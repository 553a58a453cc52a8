//! Samples of any size against real images, on the features of a network that was not made for them.

use std::sync::Arc;

use anyhow::{Context, bail};

use super::real_features::{Compared, RealFeatures};
use super::{Activations, FeatureNetwork, Inception};
use crate::data::{ImageSet, parts, pixels_of};
use crate::distributed::Communicator;
use crate::error::Error;
use crate::image_shape::ImageShape;
use crate::metrics::prdc::NEIGHBOURS;
use crate::metrics::{InceptionScore, inception_score};
use crate::report::FeatureScores;

/// A network, the real images that samples are held against, and what training images get for it.
pub struct FeatureEvaluator {
    network: FeatureNetwork,
    processes: Arc<dyn Communicator>,
    shape: ImageShape,
    real: RealFeatures,
    /// Of the reference images, where the network tells classes apart.
    pub real_score: Option<f64>,
    /// Of training images; `None` where all of them are reference images.
    floor: Option<FeatureScores>,
    pub floor_images: usize,
    /// Samples that will be measured.
    count: usize,
    /// Whether samples may lie in an order that says something, as those of a folder may.
    pub samples_are_sorted: bool,
}

/// All that is measured of one set of samples.
#[derive(Clone, Copy, Debug)]
pub struct MeasuredFeatures {
    pub scores: FeatureScores,
    /// The standard deviation of KID between its subsets.
    pub kid_spread: f64,
    /// That of the Inception score between its parts.
    pub inception_score_spread: Option<f64>,
}

impl FeatureEvaluator {
    /// Looks at the `real` images and at `training` images that are none of them, of the set called `data`, for `count`
    /// samples. The `processes`, all of which have the same images, share the work. `progress` is told how many images are
    /// done.
    ///
    /// # Errors
    /// [`Error::Data`] where there are too few images, or images of different shapes.
    pub fn prepare(
        network: FeatureNetwork,
        data: &str,
        (real, training): (&ImageSet, &ImageSet),
        count: usize,
        processes: Arc<dyn Communicator>,
        progress: impl Fn(usize),
    ) -> anyhow::Result<Self> {
        let shape = real.shape()?;
        let compared = match training.len() {
            0 => count.min(real.len()),
            training => count.min(real.len()).min(training),
        };
        if compared <= NEIGHBOURS {
            let problem = format!(
                "{} reference images, {} training images beside them and {count} samples; expected more than {NEIGHBOURS} \
                 of each",
                real.len(),
                training.len()
            );
            bail!(Error::data(data, problem));
        }
        let activations_of = |images: &ImageSet, before: usize| {
            let read = |first, some| Ok(pixels_of(&**images, first..first + some)?.into_owned());
            let proceed = |done| {
                progress(before + done);
                true
            };
            let found = network.activations(images.len(), shape, &*processes, proceed, read)?;
            found.context("not all images were looked at")
        };
        let of_real = activations_of(real, 0)?;
        let (real_score, real_features) = (score_of(&of_real)?, RealFeatures::new(&of_real.features, compared)?);
        let floor = match training.is_empty() {
            true => None,
            false => {
                let of_training = activations_of(training, real.len())?;
                let first = of_training.first(compared)?;
                let found = measure(&real_features, (&of_training, &first), 0, None, &mut || true)?;
                Some(found.context("not all was measured")?.scores)
            }
        };
        Ok(Self {
            network,
            processes,
            shape,
            real: real_features,
            real_score: real_score.map(|score| score.mean),
            floor,
            floor_images: training.len(),
            count,
            samples_are_sorted: false,
        })
    }

    pub fn network(&self) -> &FeatureNetwork {
        &self.network
    }

    /// What is to be said of figures that mean less than they seem to.
    pub fn warnings(&self) -> anyhow::Result<Vec<String>> {
        let mut warnings = Vec::new();
        if let FeatureNetwork::Inception(inception) = &self.network
            && !inception.is_published()
        {
            warnings.push(format!(
                "the file is not the one that FIDs are published with, whose SHA-256 begins with {}: its figures compare \
                 only with others of this file",
                &Inception::PUBLISHED[..8]
            ));
        }
        let (features, real) = (self.real.features().dim(1)?, self.reference_images());
        let (count, least) = (self.count, 2 * features);
        if count.min(real) < least {
            warnings.push(format!(
                "{count} samples against {real} reference images: the Fréchet distance is the larger the fewer they are, \
                 and not reliable below {least} of each, twice the number of features"
            ));
        }
        Ok(warnings)
    }

    /// The scores of the training images that are not of the reference, where there are such.
    pub fn floor(&self) -> Option<&FeatureScores> {
        self.floor.as_ref()
    }

    /// How many samples and real images the neighbourhoods compare.
    pub fn compared(&self) -> usize {
        self.real.compared()
    }

    pub fn reference_images(&self) -> usize {
        self.real.features().dims()[0]
    }

    /// Measures `count` samples, at least as many as are [`compared`](Self::compared), which `draw` gives tile by tile:
    /// from the first number on so many, (n, H, W, C). `seed` draws KID's subsets. `proceed` is asked now and then, with the
    /// number of samples done, and ends the work (`None`) where it says no. The processes share the work, and the first of
    /// them gets the result; the others get `None`.
    pub fn measure(
        &self,
        count: usize,
        seed: u64,
        draw: impl FnMut(usize, usize) -> anyhow::Result<Vec<u8>>,
        mut proceed: impl FnMut(usize) -> bool,
    ) -> anyhow::Result<Option<MeasuredFeatures>> {
        let found = self.network.activations(count, self.shape, &*self.processes, &mut proceed, draw)?;
        let Some(samples) = found.filter(|_| self.processes.rank() == 0) else { return Ok(None) };
        let compared = match self.samples_are_sorted {
            true => samples.at(&parts::balanced(&[], count, self.compared()))?,
            false => samples.first(self.compared())?,
        };
        let floor = self.floor.as_ref().map(|floor| floor.frechet);
        measure(&self.real, (&samples, &compared), seed, floor, &mut || proceed(count))
    }
}

/// Compares all samples, and those whose neighbourhoods are compared. `floor` is the Fréchet distance of the training
/// images; `None` where they are what is measured, or where there are none.
fn measure(
    real: &RealFeatures,
    (samples, compared): (&Activations, &Activations),
    seed: u64,
    floor: Option<f64>,
    proceed: &mut dyn FnMut() -> bool,
) -> anyhow::Result<Option<MeasuredFeatures>> {
    let found = real.compare(&samples.features, &compared.features, seed, proceed)?;
    let Some(Compared { frechet, kid, near }) = found else { return Ok(None) };
    let inception = score_of(samples)?;
    let scores = FeatureScores {
        frechet,
        frechet_floor: floor,
        kid: kid.mean,
        precision: near.precision,
        recall: near.recall,
        density: near.density,
        coverage: near.coverage,
        inception_score: inception.map(|score| score.mean),
        two_sample_1nn: near.two_sample,
    };
    let inception_score_spread = inception.map(|score| score.spread);
    Ok(Some(MeasuredFeatures { scores, kid_spread: kid.spread, inception_score_spread }))
}

/// The Inception score of images, where the network tells classes apart and they are enough.
fn score_of(images: &Activations) -> candle_core::Result<Option<InceptionScore>> {
    match images.scores.dims() {
        [_, 0] | [..10, _] => Ok(None),
        _ => inception_score(&images.scores).map(Some),
    }
}
