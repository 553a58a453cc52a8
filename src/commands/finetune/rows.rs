//! The loop of fine-tuning: a row of the table after the other.

use std::sync::Arc;

use anyhow::bail;
use candle_core::Tensor;

use super::files::write_embeddings;
use super::{RowsDone, Subject, Tuning};
use crate::checkpoint::header::{ENCODER, ROWS};
use crate::checkpoint::state::Tensors;
use crate::data::augment::Augmentation;
use crate::data::{ImageSet, Shard, StepPlan, ViewPlan};
use crate::metrics::top_k;
use crate::optim::ClipGlobalNorm;
use crate::pretrained::encoder;
use crate::pretrained::features::{Labelled, features, knn_top1};
use crate::report::{Figure, ProbeRow};
use crate::run::Snapshot;
use crate::train::finetune_config::{EncoderKind, FinetuneConfig};
use crate::train::probe::Probe;
use crate::train::probe_batches::ProbeBatches;

/// What a row was measured by.
pub(super) struct Measured {
    /// h of the test images, (N, D).
    pub features: Tensor,
    /// Scores of the test images, (N, C).
    pub scores: Tensor,
    knn: f64,
}

impl Subject {
    /// An encoder and a new classifier on it, for a row of the table.
    pub(super) fn probe(&self, config: &FinetuneConfig, (encoder, full): (EncoderKind, bool)) -> anyhow::Result<Probe> {
        let (source, classes) = (&self.source, self.dataset.classes.len());
        let parameters = match encoder {
            EncoderKind::Pretrained => source.parameters(&self.device)?,
            EncoderKind::Untrained => encoder::fresh(source.encoder, config.seed, &self.device)?,
        };
        let (adam, precision) = (config.adam(), config.precision);
        let mut probe = Probe::new(source.encoder, parameters, classes, config.seed, full, adam, precision)?;
        probe.set_shards(self.shards.clone());
        if let Some(max_norm) = config.clip_norm.filter(|_| full) {
            probe.set_gradient_transform(Arc::new(ClipGlobalNorm { max_norm }));
        }
        Ok(probe)
    }
}

impl Tuning<'_> {
    pub(super) fn run_rows(&mut self) -> anyhow::Result<()> {
        if let Some(path) = &self.config.embeddings {
            let Subject { source, dataset, device, .. } = &self.subject;
            let (processes, stop) = (&*self.session.run.processes, &self.session.clock.stop);
            let written = write_embeddings(source, &dataset.test, path, device, processes, self.console, stop);
            self.session.together(written)?;
        }
        for (encoder, full) in self.config.rows().into_iter().skip(self.done.rows.len()) {
            self.session.stop_if_asked()?; // nothing of the row is to be saved yet
            let row = self.run_row(encoder, full)?;
            let line = self.session.write(&row);
            let line = self.session.together(line)?;
            let first_step = Some(self.first_step() + self.session.clock.last_step());
            self.done = RowsDone { rows: [self.done.rows.clone(), vec![row]].concat(), seconds: 0.0, first_step };
            self.begin_row(0);
            self.save(Tensors::new())?; // what was trained is in the files of the row
            line.map_or(Ok(()), |line| self.session.stream(&line))?; // only now: a row that was seen is not trained again
        }
        Ok(())
    }

    /// Trains and measures one row.
    fn run_row(&mut self, encoder: EncoderKind, full: bool) -> anyhow::Result<ProbeRow> {
        let (mut probe, first_step) = match self.next.take() {
            Some(next) => next,
            None => (self.subject.probe(&self.config, (encoder, full))?, 0),
        };
        self.session.run.check_space(self.session.clock.timetable(), &probe.state())?;
        self.begin_row(first_step);
        let hash = probe.encoder_hash()?;
        let mode = if full { "full" } else { "linear" };
        let what = format!("{} {mode}", encoder.name());
        let Some(mut batches) = self.batches(&probe, full, first_step)? else { return self.leave(&probe) };
        loop {
            if self.session.is_save_due()? {
                probe.complete()?;
                self.save(probe.state())?;
            }
            let Some(step) = self.session.next_step()? else { break };
            let loss = batches.train(&mut probe, step)?;
            self.session.clock.advance();
            if self.session.clock.is_logged() {
                // The only place of the loop where the host waits for the device.
                let loss = loss.to_scalar::<f32>()?;
                self.session.clock.mark();
                if !loss.is_finite() {
                    return Err(self.session.loss_diverged(&format!("{what}: the loss"), loss, &probe.state()));
                }
                self.session.clock.show(vec![Figure::Plain("loss", loss.into())], batches.read_images());
            }
        }
        let Some(measured) = self.measure(&probe)? else { return self.leave(&probe) };
        if !full && probe.encoder_hash()? != hash {
            bail!("the frozen encoder has changed while a linear layer was trained on it: this is a mistake in gan");
        }
        let labels = &self.subject.dataset.test.labels();
        let row = ProbeRow {
            encoder: encoder.name().into(),
            mode: mode.into(),
            labels: self.subject.labelled.len() as u64,
            top1: top_k(&measured.scores, labels, 1)?,
            top5: top_k(&measured.scores, labels, 5)?,
            knn: measured.knn,
            seconds: self.session.clock.seconds(),
        };
        if !full {
            self.console.detail(&format!("{what}: the encoder is the same bytes as before, sha256 {hash}"));
        }
        self.session.together(self.write_row(&row, &probe, &measured))?;
        Ok(row)
    }

    /// The step of the whole table that the row in training begins with.
    fn first_step(&self) -> u64 {
        self.done.first_step.unwrap_or(0)
    }

    /// The row after those that are done goes on after `step` of its steps.
    fn begin_row(&mut self, step: u64) {
        let name = format!(" in row {}", self.done.rows.len() + 1);
        self.session.begin_part(name, self.first_step(), (step, self.done.seconds));
    }

    /// What the row trains on from `step`; `None` where a signal came while features were computed.
    fn batches(&self, probe: &Probe, full: bool, step: u64) -> anyhow::Result<Option<ProbeBatches>> {
        let Subject { labelled, source, device, .. } = &self.subject;
        let batch_size = self.session.clock.timetable().batch_size;
        let plan = StepPlan::new(labelled.len(), batch_size, true, self.config.seed)?;
        if !self.config.cached || full {
            let (size, normalisation) = (source.image_shape.height, source.normalisation.clone());
            let views = ViewPlan { views_per_image: 1, size, augmentation: Augmentation::default(), normalisation };
            let processes = &self.session.run.processes;
            let plan = plan.part(Shard { rank: processes.rank(), world: processes.size() })?;
            return Ok(Some(ProbeBatches::views(labelled.source(), &plan, views, step, device)?));
        }
        // Every process trains on all features: that takes less time than to share it.
        let Some(features) = self.features(probe, labelled)? else { return Ok(None) };
        Ok(Some(ProbeBatches::features(labelled.source(), &plan, features)))
    }

    /// h and scores of the test images, and the kNN accuracy asked of the labelled images; `None` where a signal came.
    fn measure(&self, probe: &Probe) -> anyhow::Result<Option<Measured>> {
        let Subject { labelled, dataset, .. } = &self.subject;
        let Some(bank) = self.features(probe, labelled)? else { return Ok(None) };
        let Some(features) = self.features(probe, &dataset.test)? else { return Ok(None) };
        let bank = Labelled { features: &bank, labels: &labelled.labels() };
        let queries = Labelled { features: &features, labels: &dataset.test.labels() };
        let (processes, stop) = (&*self.session.run.processes, &self.session.clock.stop);
        let knn = knn_top1(bank, queries, dataset.classes.len(), processes, || stop.signal().is_none())?;
        let Some(knn) = knn else { return Ok(None) };
        let scores = probe.classify(&features)?;
        Ok(Some(Measured { features, scores, knn }))
    }

    fn features(&self, probe: &Probe, images: &ImageSet) -> anyhow::Result<Option<Tensor>> {
        let progress = self.console.items("features", images.len() as u64);
        let Subject { source, device, .. } = &self.subject;
        let fitted = images.fit_on_demand(source.image_shape);
        let processes = &*self.session.run.processes;
        features(probe.frozen_encoder(), &source.normalisation, &*fitted, device, processes, |done| {
            progress.set(done as u64);
            self.session.clock.stop.signal().is_none()
        })
    }

    /// Writes the checkpoint of this step of the row.
    fn save(&mut self, state: Tensors) -> anyhow::Result<()> {
        let (epoch, seconds) = (self.session.clock.epoch(), self.session.clock.seconds());
        let done = RowsDone { seconds, ..self.done.clone() };
        self.session.save(Snapshot {
            state,
            networks: Vec::new(),
            streams: vec![("shuffle", epoch), ("augment", epoch)],
            best: None,
            entries: vec![(ROWS, serde_json::to_string(&done)?), (ENCODER, serde_json::to_string(&self.subject.hash)?)],
        })
    }

    /// Ends the run where a signal came in between.
    fn leave<T>(&mut self, probe: &Probe) -> anyhow::Result<T> {
        probe.complete()?;
        self.save(probe.state())?;
        self.session.stop_if_asked()?;
        bail!("a measurement ended early without a signal: this is a mistake in gan")
    }
}
