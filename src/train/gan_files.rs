//! What a GAN run leaves: checkpoints, networks for use, grids, curves and the film.

use std::collections::BTreeMap;

use super::gan::Training;
use super::run::{CONFIG, Position, STATE, Streams};
use crate::checkpoint::{self, Archive};
use crate::error;
use crate::models::IMAGE_SIZE;
use crate::report::{self, Chart, Curve, GanRecord, Grid, RunLog};
use crate::sample;

/// Images of a run's grids, from one fixed latent batch: the first samples of `gan sample --seed SEED`.
const GRID_IMAGES: usize = 64;

impl Training<'_> {
    /// Writes the checkpoint of this step and the files for use. Networks that are not finite are not written.
    pub(super) fn save(&mut self) -> anyhow::Result<()> {
        if self.saved_step == Some(self.step) {
            return Ok(());
        }
        if let Some(name) = self.adversaries.first_non_finite()? {
            return Err(self.diverged(&format!("{name} holds a NaN or an infinity")));
        }
        self.log.sync()?;
        let position = Position {
            step: self.step,
            epoch: self.step / self.steps_per_epoch,
            batch: self.step % self.steps_per_epoch,
            seconds: self.seconds(),
            streams: Streams { shuffle: self.step / self.steps_per_epoch, latents: self.step },
        };
        let config = serde_json::to_string(&self.run.config)?;
        let metadata = BTreeMap::from([
            (STATE.to_string(), serde_json::to_string(&position)?),
            (CONFIG.to_string(), config.clone()),
        ]);
        let directory = &self.run.directory;
        let archive = Archive { tensors: self.adversaries.state(), metadata };
        checkpoint::write(&directory.checkpoint_path(self.step), &archive)?;

        let networks = [
            ("discriminator", Some(self.adversaries.discriminator_parameters())),
            ("generator", Some(self.adversaries.generator_parameters())),
            ("generator_ema", self.adversaries.averaged_parameters()),
        ];
        for (name, parameters) in networks {
            let Some(parameters) = parameters else { continue };
            let metadata = BTreeMap::from([(CONFIG.to_string(), config.clone())]);
            let archive = Archive { tensors: parameters.tensors(), metadata };
            checkpoint::write(&directory.weights.join(format!("{name}.safetensors")), &archive)?;
        }
        directory.prune(self.run.config.keep)?;
        self.saved_step = Some(self.step);
        Ok(())
    }

    /// The grid of this step, from the run's fixed latents.
    pub(super) fn draw_grid(&self) -> anyhow::Result<()> {
        let config = &self.run.config;
        let latents = sample::latents(config.seed, 0, GRID_IMAGES, config.latent_dim);
        let images = sample::draw(self.adversaries.best_generator(), &latents, config.latent_dim, &self.device)?;
        let picture = Grid::default().draw(&images, GRID_IMAGES, IMAGE_SIZE, IMAGE_SIZE, 1);
        let path = self.run.directory.sample_path(self.step);
        checkpoint::atomic::write(&path, |out| report::encode_png(&picture, out))
    }

    /// The last checkpoint, the curves and the film.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        self.save()?;
        let directory = &self.run.directory;
        let records: Vec<GanRecord> = RunLog::records(&directory.weights.join("metrics.jsonl"))?;
        let curve = |name: &str, value: fn(&GanRecord) -> f32| Curve {
            name: name.into(),
            points: records.iter().map(|record| (record.step as f64, f64::from(value(record)))).collect(),
        };
        let chart = Chart {
            title: format!("{} on {}", self.run.config.model.name(), self.data_name),
            x_label: "step".into(),
            y_label: "loss".into(),
            curves: vec![curve("discriminator", |r| r.d_loss), curve("generator", |r| r.g_loss)],
        };
        let picture = chart.draw()?;
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
