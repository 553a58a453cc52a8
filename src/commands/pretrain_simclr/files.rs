//! What a SimCLR run leaves: checkpoints, networks for use, a sheet of views and curves.

use super::Training;
use crate::checkpoint::header::HEALTH;
use crate::data::augment::{self, ColourScale};
use crate::models::NetworkDescription;
use crate::report;
use crate::run::{BestSoFar, Snapshot};

/// Images of the sheet of views.
const SHEET: usize = 16;

impl Training<'_> {
    /// Writes the checkpoint of this step and the files for use.
    pub(super) fn save(&mut self) -> anyhow::Result<()> {
        self.networks.complete()?;
        let epoch = self.session.clock.epoch();
        let (encoder, shape) = (self.config.encoder(), self.config.image_shape());
        let head_config = self.networks.head_config();
        let head = NetworkDescription::projection_head(encoder.architecture, head_config, shape);
        let [encoder, head] = [NetworkDescription::encoder(encoder, shape), head]
            .map(|network| network.normalised_by(self.config.normalisation()));
        let mut snapshot = Snapshot {
            state: self.networks.state(),
            networks: vec![
                ("encoder", encoder.clone(), self.networks.encoder_parameters().tensors()),
                ("projection_head", head, self.networks.head_parameters().tensors()),
            ],
            streams: vec![("shuffle", epoch), ("augment", epoch)],
            entries: vec![(HEALTH, serde_json::to_string(self.watch.history())?)],
            best: None,
        };
        if let Some(best) = &self.best {
            best.save_in(&mut snapshot, "encoder_best", encoder)?;
        }
        self.session.save(snapshot)
    }

    /// `views.png`: some images, each beside two views as the network sees them in the first epoch.
    pub(super) fn draw_views(&self) -> anyhow::Result<()> {
        let (config, augmentation) = (&self.config, self.config.augmentation());
        let normalisation = config.normalisation();
        let scale = ColourScale::new(&normalisation)?;
        let (images, shape) = (self.images.train.first(SHEET), config.image_shape());
        let of_branch = |branch: usize| -> anyhow::Result<Vec<u8>> {
            let (mut view, mut pixels) = (vec![0.0; shape.stride()], vec![0; shape.stride()]);
            let mut drawn = Vec::with_capacity(images.len() * shape.stride());
            for index in 0..images.len() {
                let (image, original) = (images.bytes_of(index)?, images.shape_of(index));
                let parameters = augmentation.view(config.seed, 0, index as u32, branch, original);
                parameters.apply((&image, original), shape.height, scale, &mut view);
                augment::denormalise(&view, &normalisation, &mut pixels);
                drawn.extend_from_slice(&pixels);
            }
            Ok(drawn)
        };
        let views = [of_branch(0)?, of_branch(1)?];
        let fitted = images.fit_on_demand(shape).to_images()?;
        self.session.draw("views.png", || report::views_sheet(&fitted.pixels, &views[0], &views[1], shape))
    }

    /// The last checkpoint and the curves.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        self.save()?;
        self.session.together(self.draw_curves())
    }

    fn draw_curves(&self) -> anyhow::Result<()> {
        if !self.session.run.is_written_here() {
            return Ok(());
        }
        let records = self.session.records()?;
        let title = format!("{} on {}", self.config.encoder.name(), self.images.name);
        self.session.draw("losses.png", || report::simclr_curves(&records, &title))?;
        let knn = records.iter().rev().find_map(|record| record.knn_top1);
        let knn = knn.map(|accuracy| format!(", kNN top-1 {:.1} %", 100.0 * accuracy)).unwrap_or_default();
        self.session.finish(&(knn + &self.best.as_ref().map(BestSoFar::outcome).unwrap_or_default()));
        Ok(())
    }
}
