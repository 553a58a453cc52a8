//! What a SimCLR run leaves: checkpoints, networks for use, a sheet of views and curves.

use super::Training;
use crate::checkpoint::header::HEALTH;
use crate::data::augment;
use crate::models::NetworkDescription;
use crate::report;
use crate::run::Snapshot;

/// Images of the sheet of views.
const SHEET: usize = 16;

impl Training<'_> {
    /// Writes the checkpoint of this step and the files for use.
    pub(super) fn save(&mut self) -> anyhow::Result<()> {
        let epoch = self.session.clock.epoch();
        let (architecture, shape) = (self.config.encoder, self.config.image_shape());
        let encoder = NetworkDescription::encoder(architecture, shape);
        let head = NetworkDescription::projection_head(architecture, self.networks.head_config(), shape);
        self.session.save(Snapshot {
            state: self.networks.state(),
            networks: vec![
                ("encoder", encoder, self.networks.encoder_parameters().tensors()),
                ("projection_head", head, self.networks.head_parameters().tensors()),
            ],
            streams: vec![("shuffle", epoch), ("augment", epoch)],
            entries: vec![(HEALTH, serde_json::to_string(self.watch.history())?)],
        })
    }

    /// `views.png`: some images, each beside two views as the network sees them in the first epoch.
    pub(super) fn draw_views(&self) -> anyhow::Result<()> {
        let (config, augmentation) = (&self.config, self.config.augmentation());
        let images = self.images.train.first(SHEET).to_images()?;
        let shape = images.shape();
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
        self.session.draw("views.png", || report::views_sheet(&images.pixels, &of_branch(0), &of_branch(1), shape))
    }

    /// The last checkpoint and the curves.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        self.save()?;
        let records = self.session.records()?;
        let title = format!("{} on {}", self.config.encoder.name(), self.images.name);
        self.session.draw("losses.png", || report::simclr_curves(&records, &title))?;
        let knn = records.iter().rev().find_map(|record| record.knn_top1);
        self.session.finish(&knn.map(|accuracy| format!(", kNN top-1 {:.1} %", 100.0 * accuracy)).unwrap_or_default());
        Ok(())
    }
}
