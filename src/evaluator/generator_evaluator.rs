//! Scores of samples against real images, of which everything is computed once.

use std::sync::Arc;

use anyhow::{Context, bail};
use candle_core::Device;

use super::class_scores::class_scores;
use super::real_features::{Compared, RealFeatures};
use super::{Activations, Classifier};
use crate::data::catalogue::SETS;
use crate::data::{Dataset, ImageSource, parts};
use crate::distributed::Communicator;
use crate::error::Error;
use crate::metrics::prdc::NEIGHBOURS;
use crate::metrics::{self, class_divergence, classes_above, classifier_score, top_k};
use crate::models::CLASSES;
use crate::pretrained::reference::Reference;
use crate::report::{ClassScores, Scores};

/// Scores by a classifier of less accuracy on the reference images come with a warning.
const MIN_ACCURACY: f64 = 0.9;

/// A class holds its own when it has more than this part of the samples.
const PART_OF_A_CLASS: f64 = 0.03;

/// A classifier, the real images that samples are held against, and what training images get for it.
pub struct GeneratorEvaluator {
    classifier: Classifier,
    device: Device,
    /// Those that share the work.
    processes: Arc<dyn Communicator>,
    real: Real,
    floor: Measured,
    pub floor_images: usize,
    /// Whether samples may lie in an order that says something, as those of a file may: where not all are compared, it is
    /// not the first of them.
    pub samples_are_sorted: bool,
    /// Whether sample i is drawn as one of class i modulo the classes, which are the classifier's.
    pub samples_are_of_classes: bool,
    /// Top-1 of the classifier on the reference images, where they are labelled.
    pub accuracy: Option<f64>,
    data: String,
    /// Reference images that the classifier was trained on.
    seen_by_classifier: usize,
    /// Samples that will be measured.
    count: usize,
}

/// All that is measured of one set of samples.
#[derive(Clone, Debug)]
pub struct Measured {
    pub scores: Scores,
    /// The standard deviation of KID between its subsets.
    pub kid_spread: f64,
    /// Samples taken for each class.
    pub histogram: Vec<u64>,
    /// Where samples are drawn as ones of classes.
    pub class_scores: Option<ClassScores>,
}

/// The reference images, with all that is computed of them once.
struct Real {
    activations: Activations,
    /// Empty where they have none.
    labels: Vec<u32>,
    histogram: Vec<u64>,
    features: RealFeatures,
}

impl GeneratorEvaluator {
    /// Looks at the reference images of `dataset` and at as many training images as there will be samples, `count`. The
    /// `processes`, all of which have the same set, share the work.
    /// [`Error::Data`] where they do not fit the classifier or are too few.
    pub fn prepare(
        classifier: Classifier,
        dataset: &Dataset,
        reference: &Reference,
        count: usize,
        device: &Device,
        processes: Arc<dyn Communicator>,
    ) -> anyhow::Result<Self> {
        let (found, expected) = (dataset.train.shape()?, classifier.image_shape);
        if found != expected {
            let (data, classifier) = (&dataset.name, &classifier.description);
            bail!(Error::data(data, format!("its images are {found}; {classifier} takes {expected}")));
        }
        let (real, training) = reference.choose(dataset, count)?;
        let compared = count.min(real.len()).min(training.len());
        if compared <= NEIGHBOURS {
            let (real, training) = (real.len(), training.len());
            let problem = format!(
                "{real} reference images and {training} training images beside them; expected more than {NEIGHBOURS} of \
                 each"
            );
            bail!(Error::data(&dataset.name, problem));
        }
        let activations = classifier.activations_of(&*real, device, &*processes)?;
        let accuracy = match is_labelled(&*real) {
            true => Some(top_k(&activations.scores, &real.labels(), 1)?),
            false => None,
        };
        let labels = if accuracy.is_some() { real.labels().to_vec() } else { Vec::new() };
        let real = Real::new(activations, labels, compared)?;
        let training_images = classifier.activations_of(&*training, device, &*processes)?;
        let first = training_images.first(compared)?;
        let floor = real.measure(&training_images, &first, 0, None, &mut || true)?.context("not all was measured")?;
        // A folder that is called like a named set is not it.
        let is_set = |name: &str| SETS.iter().any(|set| set.name == name);
        let is_same = |name: &str| dataset.name == name && (dataset.is_canonical || !is_set(name));
        let known = classifier.trained_on.as_ref().filter(|trained| is_same(&trained.data));
        let seen_by_classifier = known.map_or(0, |trained| reference.seen_by(trained, dataset));
        let (device, data) = (device.clone(), dataset.name.clone());
        let (floor_images, samples_are_sorted, samples_are_of_classes) = (training.len(), false, false);
        Ok(Self {
            classifier,
            device,
            processes,
            real,
            floor,
            floor_images,
            samples_are_sorted,
            samples_are_of_classes,
            accuracy,
            data,
            seen_by_classifier,
            count,
        })
    }

    pub fn classifier(&self) -> &Classifier {
        &self.classifier
    }

    /// What is to be said of a classifier that does not know the data; one that was trained on them is to be taken.
    pub fn classifier_warning(&self) -> Option<String> {
        let (data, classifier) = (&self.data, &self.classifier.description);
        let accuracy = self.accuracy.filter(|accuracy| *accuracy < MIN_ACCURACY)?;
        Some(format!(
            "{classifier}: accuracy {:.1} % on the reference images of {data}; scores mean little below {:.0} %",
            100.0 * accuracy,
            100.0 * MIN_ACCURACY
        ))
    }

    /// What else is to be said of figures that mean less than they seem to.
    pub fn warnings(&self) -> anyhow::Result<Vec<String>> {
        let (data, classifier, real) = (&self.data, &self.classifier.description, self.real.count());
        let mut warnings = Vec::new();
        if self.seen_by_classifier > 0 {
            warnings.push(format!(
                "{classifier} was trained on {} of the {real} reference images: its accuracy on them is higher than on others of {data}",
                self.seen_by_classifier
            ));
        }
        let features = self.real.activations.features.dim(1)?;
        let (count, least) = (self.count, 2 * features);
        if count.min(real) < least {
            warnings.push(format!(
                "{count} samples against {real} reference images: the Fréchet distance is not reliable below {least} of \
                 each, twice the number of features"
            ));
        }
        Ok(warnings)
    }

    /// The scores of the training images.
    pub fn floor(&self) -> &Scores {
        &self.floor.scores
    }

    /// How many samples and real images the neighbourhoods compare.
    pub fn compared(&self) -> usize {
        self.real.features.compared()
    }

    pub fn reference_images(&self) -> usize {
        self.real.count()
    }

    /// The classifier score of the reference images.
    pub fn reference_score(&self) -> anyhow::Result<f64> {
        Ok(classifier_score(&self.real.activations.scores)?)
    }

    /// Measures `count` samples, at least as many as are [`compared`](Self::compared), which `draw` gives tile by tile:
    /// from the first number on so many, (n, H, W, C) in [-1, 1]. `seed` draws KID's subsets. `proceed` is asked now and
    /// then, with the number of samples classified, and ends the work (`None`) where it says no. The processes share the
    /// work, and the first of them gets the result; the others get `None`.
    pub fn measure(
        &self,
        count: usize,
        seed: u64,
        draw: impl FnMut(usize, usize) -> anyhow::Result<Vec<f32>>,
        mut proceed: impl FnMut(usize) -> bool,
    ) -> anyhow::Result<Option<Measured>> {
        let activations = self.classifier.activations(count, &self.device, &*self.processes, &mut proceed, draw)?;
        let Some(activations) = activations.filter(|_| self.processes.rank() == 0) else { return Ok(None) };
        let compared = match self.samples_are_sorted {
            true => activations.at(&parts::balanced(&[], count, self.compared()))?,
            false => activations.first(self.compared())?,
        };
        let floor = Some(self.floor.scores.frechet);
        let Some(measured) = self.real.measure(&activations, &compared, seed, floor, &mut || proceed(count))? else {
            return Ok(None);
        };
        let class_scores = match self.samples_are_of_classes {
            true => Some(class_scores(&activations, &self.real.activations, &self.real.labels)?),
            false => None,
        };
        Ok(Some(Measured { class_scores, ..measured }))
    }
}

impl Real {
    fn new(activations: Activations, labels: Vec<u32>, compared: usize) -> anyhow::Result<Self> {
        Ok(Self {
            histogram: metrics::histogram(&activations.scores)?,
            features: RealFeatures::new(&activations.features, compared)?,
            activations,
            labels,
        })
    }

    fn count(&self) -> usize {
        self.histogram.iter().sum::<u64>() as usize
    }

    /// `compared` are those of the samples whose neighbourhoods are. `floor` is the Fréchet distance of the training images;
    /// `None` where they are what is measured.
    fn measure(
        &self,
        samples: &Activations,
        compared: &Activations,
        seed: u64,
        floor: Option<f64>,
        proceed: &mut dyn FnMut() -> bool,
    ) -> anyhow::Result<Option<Measured>> {
        let found = self.features.compare(&samples.features, &compared.features, seed, proceed)?;
        let Some(Compared { frechet, kid, near }) = found else { return Ok(None) };
        let histogram = metrics::histogram(&samples.scores)?;
        let scores = Scores {
            frechet,
            frechet_floor: floor.unwrap_or(frechet),
            kid: kid.mean,
            precision: near.precision,
            recall: near.recall,
            density: near.density,
            coverage: near.coverage,
            classifier_score: classifier_score(&samples.scores)?,
            class_divergence: class_divergence(&histogram, &self.histogram)?,
            classes_above_3_percent: classes_above(&histogram, PART_OF_A_CLASS),
            two_sample_1nn: near.two_sample,
        };
        Ok(Some(Measured { scores, kid_spread: kid.spread, histogram, class_scores: None }))
    }
}

fn is_labelled(images: &dyn ImageSource) -> bool {
    let labels = images.labels();
    labels.len() == images.len() && labels.iter().all(|label| (*label as usize) < CLASSES)
}
