//! What a SimCLR run leaves: checkpoints, networks for use, a sheet of views and curves.

use std::collections::BTreeMap;

use super::Training;
use crate::checkpoint;
use crate::data::augment;
use crate::report::{self, RunLog, SimclrRecord};
use crate::run::header::{HEALTH, PENDING};
use crate::run::life::Position;
use crate::run::state::first_non_finite;

/// Images of the sheet of views.
const SHEET: usize = 16;

impl Training<'_> {
    /// Writes the checkpoint of this step and the files for use. Networks that are not finite are not written.
    pub(crate) fn save(&mut self) -> anyhow::Result<()> {
        if self.saved_step == Some(self.step) {
            return Ok(());
        }
        let state = self.networks.state();
        if let Some(name) = first_non_finite(&state)? {
            return Err(self.run.diverged(self.step, &format!("{name} holds a NaN or an infinity")));
        }
        self.log.sync()?;
        let epoch = self.step / self.steps_per_epoch;
        let position =
            Position::new(self.step, self.steps_per_epoch, self.seconds(), &[("shuffle", epoch), ("augment", epoch)]);
        let mut notes = BTreeMap::from([(HEALTH.to_string(), serde_json::to_string(self.watch.history())?)]);
        if let Some(record) = &self.pending {
            notes.insert(PENDING.to_string(), serde_json::to_string(record)?);
        }
        let networks = vec![
            ("encoder", self.networks.encoder_parameters().tensors()),
            ("projection_head", self.networks.head_parameters().tensors()),
        ];
        self.run.save(&position, state, notes, networks)?;
        self.run.directory.prune(self.run.config.keep)?;
        self.saved_step = Some(self.step);
        Ok(())
    }

    /// `views.png`: some images, each beside two views as the network sees them in the first epoch.
    pub(crate) fn draw_views(&self) -> anyhow::Result<()> {
        let (config, augmentation) = (&self.run.config, self.run.config.augmentation());
        let (images, shape) = (self.train.first(SHEET), self.train.shape());
        let of_branch = |branch: usize| -> Vec<u8> {
            let (mut view, mut pixels) = (vec![0.0; shape.stride()], vec![0; shape.stride()]);
            let mut drawn = Vec::with_capacity(images.pixels.len());
            for index in 0..images.len() {
                let parameters = augmentation.view(config.seed, 0, index as u32, branch, shape);
                parameters.apply(images.image(index), shape, shape.height, &mut view);
                augment::denormalise(&view, &mut pixels);
                drawn.extend_from_slice(&pixels);
            }
            drawn
        };
        let picture = report::views_sheet(&images.pixels, &of_branch(0), &of_branch(1), shape)?;
        let path = self.run.directory.picture_path("views.png");
        checkpoint::atomic::write(&path, |out| report::encode_png(&picture, out))
    }

    /// The last checkpoint and the curves.
    pub(crate) fn finish(&mut self) -> anyhow::Result<()> {
        self.save()?;
        let directory = &self.run.directory;
        let records: Vec<SimclrRecord> = RunLog::records(&directory.weights.join("metrics.jsonl"))?;
        let title = format!("{} on {}", self.run.config.encoder.name(), self.data_name);
        let picture = report::simclr_curves(&records, &title)?;
        checkpoint::atomic::write(&directory.samples.join("losses.png"), |out| report::encode_png(&picture, out))?;
        let knn = records.iter().rev().find_map(|record| record.knn_top1);
        let knn = knn.map(|accuracy| format!(", kNN top-1 {:.1} %", 100.0 * accuracy)).unwrap_or_default();
        self.console.note(&format!(
            "done in {:.0} s{knn}: {} and {}",
            self.seconds(),
            directory.weights.display(),
            directory.samples.display()
        ));
        Ok(())
    }
}
