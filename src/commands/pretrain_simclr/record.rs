//! What is logged of a step, whether the run is well, and the kNN accuracy.

use std::time::Duration;

use super::Training;
use crate::data::ImageSet;
use crate::metrics::embedding::{alignment, uniformity};
use crate::pretrained::features::{Labelled, features, knn_top1};
use crate::report::{Evaluation, SimclrRecord};
use crate::run::BestSoFar;
use crate::train::collapse::EmbeddingStats;
use crate::train::contrastive::ContrastiveOutcome;

impl Training<'_> {
    /// Fetches what is logged of the step just done: the only place of the loop where the host waits for the device.
    pub(super) fn record(&mut self, outcome: &ContrastiveOutcome, lr: f64) -> anyhow::Result<SimclrRecord> {
        let loss = outcome.loss.to_scalar::<f32>()?;
        let (mark, communication) = (self.session.clock.mark(), self.session.communication());
        if !loss.is_finite() {
            return Err(self.session.loss_diverged("the loss", loss, &self.networks.state()));
        }
        let (left, right) = (&outcome.left, &outcome.right);
        let record = SimclrRecord {
            step: mark.step,
            epoch: mark.epoch,
            seconds: mark.seconds,
            images_per_second: mark.images_per_second,
            loss,
            lr,
            alignment: alignment(left, right)? as f32,
            uniformity: ((uniformity(left)? + uniformity(right)?) / 2.0) as f32,
            knn_top1: None,
            evaluation: None,
            communication,
        };
        if self.session.clock.is_on_interval()
            && let Some((_, text)) = self.watch.observe(EmbeddingStats { loss, uniformity: record.uniformity })
        {
            self.console.warning(&format!("step {}: {text}", mark.step));
        }
        Ok(record)
    }

    /// Says before a measurement what it takes, where that is long.
    pub(super) fn announce_measurement(&self, images_per_second: f64) {
        let images = self.images.train.len() + self.images.watched.len();
        // A step takes two views of an image forward and, for twice as long, backward; here it is one view forward.
        let seconds = images as f64 / (6.0 * images_per_second);
        let time = match seconds {
            120.0.. => format!("{:.0} minutes", seconds / 60.0),
            10.0.. => format!("{seconds:.0} s"),
            _ => return,
        };
        self.console.note(&format!("kNN: the features of {images} images, about {time}; --knn-every 0 leaves it out"));
    }

    /// Adds to the record the accuracy that was measured in the time `taken`, and keeps the encoder where it is the best.
    pub(super) fn add_accuracy(
        &mut self,
        record: &mut SimclrRecord,
        accuracy: f64,
        taken: Duration,
    ) -> anyhow::Result<()> {
        let clock = &self.session.clock;
        if let Some(best) = &mut self.best {
            let tensors = self.networks.encoder_parameters().tensors();
            best.observe(clock.step(), accuracy, clock.is_measured_on_interval(), &tensors)?;
        }
        let best = self.best.as_ref().and_then(BestSoFar::record);
        record.evaluation = Some(Evaluation { evaluate_seconds: taken.as_secs_f64(), best });
        (record.knn_top1, self.knn_top1) = (Some(accuracy), Some(accuracy));
        Ok(())
    }

    /// The kNN accuracy of h on the watched images, asked of the training images; `None` where a signal came in between.
    pub(super) fn measure(&self) -> anyhow::Result<Option<f64>> {
        let (train, watched) = (&self.images.train, &self.images.watched);
        let progress = self.console.items("kNN", (train.len() + watched.len()) as u64);
        let (encoder, stop) = (self.networks.frozen_encoder(), &self.session.clock.stop);
        let (normalisation, processes) = (self.config.normalisation(), &*self.session.run.processes);
        let of = |images: &ImageSet, before: usize| {
            let fitted = images.fit_on_demand(self.config.image_shape());
            features(encoder, &normalisation, &*fitted, &self.device, processes, |done| {
                progress.set((before + done) as u64);
                stop.signal().is_none()
            })
        };
        let (Some(bank), Some(queries)) = (of(train, 0)?, of(watched, train.len())?) else {
            return Ok(None);
        };
        let bank = Labelled { features: &bank, labels: &train.labels() };
        let queries = Labelled { features: &queries, labels: &watched.labels() };
        knn_top1(bank, queries, self.images.classes, processes, || stop.signal().is_none())
    }
}
