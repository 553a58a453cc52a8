//! What fine-tuning leaves of each row: the classifier, its confusion matrix, a map of h; and h itself if asked.

use std::path::Path;

use anyhow::bail;
use candle_core::{Device, Tensor};

use super::Tuning;
use super::rows::Measured;
use crate::checkpoint::header::{CONFIG, NETWORK};
use crate::checkpoint::{self, Archive};
use crate::data::ImageSet;
use crate::distributed::Communicator;
use crate::error::Error;
use crate::metrics;
use crate::models::{Encoder, NetworkDescription, NetworkKind};
use crate::pretrained::TrainedClassifier;
use crate::pretrained::encoder::EncoderSource;
use crate::pretrained::features::features;
use crate::report::{self, ConfusionMatrix, Console, EmbeddingMap, Picture, ProbeRow};
use crate::run::StopRequest;
use crate::train::probe::Probe;

/// Test images on the map: t-SNE takes their number squared.
const MAPPED: usize = 1000;

/// How many classes the classifier in the directory of a run tells apart; `None` where no file says it.
pub(super) fn classes(run: &Path) -> Option<usize> {
    let header = checkpoint::describe(&TrainedClassifier::file_of(run).ok()?).ok()?.metadata;
    match serde_json::from_str::<NetworkDescription>(header.get(NETWORK)?).ok()?.kind {
        NetworkKind::Classifier { classes, .. } => Some(classes),
        _ => None,
    }
}

impl Tuning<'_> {
    /// `classifier.safetensors`, `confusion.png` and `map.png` of a row; those of other rows than the pretrained linear
    /// one have the row in their names: `confusion-untrained-full.png`. In the process that writes.
    pub(super) fn write_row(&self, row: &ProbeRow, probe: &Probe, measured: &Measured) -> anyhow::Result<()> {
        if !self.session.run.is_written_here() {
            return Ok(());
        }
        let (directory, dataset) = (&self.session.run.directory, &self.subject.dataset);
        let of_row = match (row.encoder.as_str(), row.mode.as_str()) {
            ("pretrained", "linear") => String::new(),
            (encoder, mode) => format!("-{encoder}-{mode}"),
        };
        let source = &self.subject.source;
        let network = NetworkDescription::classifier(source.encoder, dataset.classes.len(), source.image_shape)
            .normalised_by(source.normalisation.clone())
            .with_class_names(&dataset.classes);
        let entries = [(CONFIG, serde_json::to_string(&self.config)?), (NETWORK, serde_json::to_string(&network)?)];
        let metadata = entries.map(|(key, text)| (key.to_string(), text)).into();
        let path = directory.weights_path(&format!("classifier{of_row}.safetensors"));
        checkpoint::write(&path, &Archive { tensors: probe.tensors(), metadata })?;

        let (classes, labels) = (&dataset.classes, dataset.test.labels());
        let subject = format!("{} encoder, {}, {} labels of {}", row.encoder, row.mode, row.labels, dataset.name);
        let draw = |name: &str, picture: Picture| self.session.draw(&format!("{name}{of_row}.png"), || Ok(picture));
        if classes.len() <= ConfusionMatrix::MOST_CLASSES {
            let counts = metrics::confusion(&metrics::predictions(&measured.scores)?, &labels, classes.len())?;
            draw("confusion", ConfusionMatrix { title: subject.clone(), classes, counts: &counts }.draw()?)?;
        } else {
            let (count, most) = (classes.len(), ConfusionMatrix::MOST_CLASSES);
            self.console.note(&format!("no confusion.png: {count} classes, and a picture shows {most} at most"));
        }
        let test = &dataset.test;
        let shown = test.at(0..test.len().min(MAPPED), dataset.is_canonical);
        let points =
            metrics::tsne(&measured.features.index_select(&Tensor::new(&*shown, measured.features.device())?, 0)?)?;
        let which = if dataset.is_canonical { "the first " } else { "" };
        let caption = format!("t-SNE of h of {which}{} test images", shown.len());
        let labels: &Vec<u32> = &shown.iter().map(|index| labels[*index as usize]).collect();
        draw("map", EmbeddingMap { title: subject, caption, points: &points, labels, classes }.draw()?)
    }
}

/// h of `images` under the encoder of `source` as (N, D) f32 in a .npy file, which the first of the `processes` writes.
pub(super) fn write_embeddings(
    source: &EncoderSource,
    images: &ImageSet,
    path: &Path,
    device: &Device,
    processes: &dyn Communicator,
    console: &Console,
    stop: &StopRequest,
) -> anyhow::Result<()> {
    let parameters = source.parameters(device)?;
    let encoder = Encoder::new(source.encoder, parameters.frozen().pp("f"))?;
    let progress = console.items("features", images.len() as u64);
    let fitted = images.fit_on_demand(source.image_shape);
    let features = features(&encoder, &source.normalisation, &*fitted, device, processes, |done| {
        progress.set(done as u64);
        stop.signal().is_none()
    })?;
    let Some(features) = features else { bail!(Error::Stopped(stop.signal().unwrap_or_default())) };
    if processes.rank() > 0 {
        return Ok(());
    }
    let shape: Vec<u64> = features.dims().iter().map(|&dim| dim as u64).collect();
    let values = features.flatten_all()?.to_vec1::<f32>()?;
    checkpoint::atomic::write(path, |out| {
        out.write_all(&report::npy_header(&shape))?;
        values.chunks(1 << 16).try_for_each(|values| {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            out.write_all(&bytes)
        })
    })
}
