//! What a GAN run leaves: checkpoints, networks for use, grids, curves and the film.

use std::collections::BTreeMap;

use super::Training;
use crate::checkpoint;
use crate::error;
use crate::pretrained;
use crate::report::{self, GanRecord, Grid, RunLog};
use crate::run::header::{HEALTH, PENDING};
use crate::run::life::Position;
use crate::run::state::first_non_finite;
use crate::train::diffaugment;

/// Images of a run's grids, from one fixed latent batch: the first samples of `gan sample --seed SEED`.
const GRID_IMAGES: usize = 64;

impl Training<'_> {
    /// Writes the checkpoint of this step and the files for use. Networks that are not finite are not written.
    pub(crate) fn save(&mut self) -> anyhow::Result<()> {
        if self.saved_step == Some(self.step) {
            return Ok(());
        }
        let state = self.adversaries.state();
        if let Some(name) = first_non_finite(&state)? {
            return Err(self.run.diverged(self.step, &format!("{name} holds a NaN or an infinity")));
        }
        self.log.sync()?;
        let epoch = self.step / self.steps_per_epoch;
        let mut streams = vec![("shuffle", epoch), ("latents", self.step)];
        if self.run.config.diffaugment.is_on() {
            streams.push((diffaugment::STREAM, self.step));
        }
        let position = Position::new(self.step, self.steps_per_epoch, self.seconds(), &streams);
        let mut networks = vec![
            ("discriminator", self.adversaries.discriminator_parameters().tensors()),
            ("generator", self.adversaries.generator_parameters().tensors()),
        ];
        networks.extend(self.adversaries.averaged_parameters().map(|average| ("generator_ema", average.tensors())));
        let mut notes = BTreeMap::from([(HEALTH.to_string(), serde_json::to_string(self.health.history())?)]);
        if let Some(record) = &self.pending {
            notes.insert(PENDING.to_string(), serde_json::to_string(record)?);
        }
        self.run.save(&position, state, notes, networks)?;
        self.run.directory.prune(self.run.config.keep)?;
        self.saved_step = Some(self.step);
        Ok(())
    }

    /// The grid of this step, from the run's fixed latents.
    pub(crate) fn draw_grid(&self) -> anyhow::Result<()> {
        let config = &self.run.config;
        let latents = pretrained::latents(config.seed, 0, GRID_IMAGES, config.latent_dim);
        let images = pretrained::draw(self.adversaries.best_generator(), &latents, config.latent_dim, &self.device)?;
        let picture = Grid::default().draw(&images, GRID_IMAGES, config.model.image_shape());
        let path = self.run.directory.sample_path(self.step);
        checkpoint::atomic::write(&path, |out| report::encode_png(&picture, out))
    }

    /// The last checkpoint, the curves and the film.
    pub(crate) fn finish(&mut self) -> anyhow::Result<()> {
        self.save()?;
        let directory = &self.run.directory;
        let records: Vec<GanRecord> = RunLog::records(&directory.weights.join("metrics.jsonl"))?;
        let title = format!("{} on {}", self.run.config.model.name(), self.data_name);
        let picture = report::gan_curves(&records, &title)?;
        checkpoint::atomic::write(&directory.samples.join("losses.png"), |out| report::encode_png(&picture, out))?;

        let grids = directory.grids()?;
        let mut film = Vec::new();
        match report::film(&grids, &mut film) {
            Ok(()) => checkpoint::atomic::write(&directory.samples.join("progress.gif"), |out| out.write_all(&film))?,
            // The networks are saved: a grid that somebody changed is no reason to fail.
            Err(error) => self.console.warning(&format!("no progress.gif: {}", error::text(&error))),
        }
        self.console.note(&format!(
            "done in {:.0} s: {} and {}",
            self.seconds(),
            directory.weights.display(),
            directory.samples.display()
        ));
        Ok(())
    }
}
