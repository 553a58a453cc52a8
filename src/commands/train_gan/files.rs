//! What a GAN run leaves: checkpoints, networks for use, grids, curves and the film.

use super::{Training, inputs};
use crate::checkpoint::header::{AUGMENT, HEALTH};
use crate::checkpoint::saved_runs::grid_name;
use crate::commands::errors;
use crate::error::Error;
use crate::models::NetworkDescription;
use crate::pretrained::{self, Latents, SampleClasses};
use crate::report::{self, Grid};
use crate::run::{BestSoFar, Snapshot};
use crate::train::gan_config::GanConfig;

/// Images of a run's grids, from one fixed latent batch: the first samples of `gan sample --seed SEED`.
const GRID_IMAGES: usize = 64;

/// Those of a conditional GAN have a row for each of its first classes, as `gan sample --class all` has for all.
const GRID_ROWS: usize = 16;
const GRID_COLUMNS: usize = 8;

/// Which classes the rows of a conditional run's grids are of, where that is not all of them.
pub(super) fn rows(config: &GanConfig) -> Option<String> {
    let classes = config.class_names.len();
    (classes > GRID_ROWS).then(|| {
        format!("the grids show the first {GRID_ROWS} of {classes} classes; gan sample --class all draws them all")
    })
}

impl Training<'_> {
    /// Writes the checkpoint of this step and the files for use.
    pub(super) fn save(&mut self) -> anyhow::Result<()> {
        self.adversaries.complete()?;
        let (adversaries, clock) = (&self.adversaries, &self.session.clock);
        let mut streams = vec![("shuffle", clock.epoch())];
        streams.extend(inputs::streams(&self.config).into_iter().map(|name| (name, clock.step())));
        let (model, shape) = (self.config.model, self.config.image_shape());
        let classes = &self.config.class_names;
        let discriminator = NetworkDescription::discriminator(model, shape)
            .with_class_names(classes)
            .with_spectral_norm(self.config.spectral_norm);
        let generator =
            NetworkDescription::generator(model, self.config.latent_space(), shape).with_class_names(classes);
        let mut networks = vec![
            ("discriminator", discriminator, adversaries.discriminator_parameters().tensors()),
            ("generator", generator.clone(), adversaries.generator_parameters().tensors()),
        ];
        let average = adversaries.averaged_parameters();
        networks.extend(average.map(|average| ("generator_ema", generator.clone(), average.tensors())));
        let mut entries = vec![(HEALTH, serde_json::to_string(self.health.history())?)];
        if let Some(strength) = self.inputs.strength() {
            entries.push((AUGMENT, serde_json::to_string(&strength.progress()?)?));
        }
        let mut snapshot = Snapshot { state: adversaries.state(), networks, streams, entries, best: None };
        if let Some(best) = &self.best {
            best.save_in(&mut snapshot, "generator_best", generator)?;
        }
        self.session.save(snapshot)
    }

    /// The grid of this step, from the run's fixed latents.
    pub(super) fn draw_grid(&self) -> anyhow::Result<()> {
        self.adversaries.complete()?;
        let (config, step) = (&self.config, self.session.clock.step());
        self.session.draw(&grid_name(step), || {
            let latents = Latents::Drawn { seed: config.seed, space: config.latent_space() };
            let (names, shape) = (&config.class_names, config.image_shape());
            let rows = &names[..names.len().min(GRID_ROWS)];
            let inputs = match names.len() {
                0 => latents.range(0, GRID_IMAGES),
                classes => {
                    let row = |class| SampleClasses::One { class, classes }.inputs(&latents, 0, GRID_COLUMNS);
                    (0..rows.len() as u32).flat_map(row).collect()
                }
            };
            let width = config.latent_dim + names.len();
            let images = pretrained::draw(self.adversaries.best_generator(), &inputs, width, &self.device)?;
            match rows {
                [] => Ok(Grid::default().draw(&images, GRID_IMAGES, shape)),
                _ => report::class_grid(&images, rows, Grid::default(), shape),
            }
        })
    }

    /// The last checkpoint, the curves and the film.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        self.save()?;
        self.session.together(self.draw_all())
    }

    fn draw_all(&self) -> anyhow::Result<()> {
        let title = format!("{} on {}", self.config.model.name(), self.data_name);
        self.session.draw("losses.png", || report::gan_curves(&self.session.records()?, &title))?;
        let film = self.session.draw_bytes("progress.gif", || {
            let mut film = Vec::new();
            report::film(&self.session.run.directory.grids()?, &mut film)?;
            Ok(film)
        });
        match film {
            // The networks are saved: a grid that somebody changed is no reason to fail.
            Err(error) if !matches!(error.downcast_ref(), Some(Error::Storage(_))) => {
                self.console.warning(&format!("no progress.gif: {}", errors::text(&error)));
            }
            film => film?,
        }
        self.session.finish(&self.best.as_ref().map(BestSoFar::outcome).unwrap_or_default());
        Ok(())
    }
}
