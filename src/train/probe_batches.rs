//! What a probe trains on: augmented pictures, new every epoch, or features that were computed once.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use crate::data::Images;
use crate::data::augment::Augmentation;
use crate::data::placed::PlacedViews;
use crate::data::supply::Order;
use crate::data::views::ViewPlan;
use crate::train::probe::Probe;

/// The batches of a row of the table; shuffled anew every epoch.
pub struct ProbeBatches {
    labelled: Arc<Images>,
    source: Source,
    device: Device,
}

enum Source {
    /// One view of each image, as SimCLR sees it: the course's.
    Views(PlacedViews),
    /// Features (M, D) of all images.
    Features(Tensor, Order),
}

impl ProbeBatches {
    /// Augmented pictures, `batch_size` at a time in an order drawn from `seed`, from `first_step` on.
    pub fn views(
        labelled: Arc<Images>,
        batch_size: usize,
        seed: u64,
        first_step: u64,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let plan = ViewPlan {
            batch_size,
            branches: 1,
            shuffle: true,
            seed,
            first_step,
            augmentation: Augmentation::default(),
        };
        let source = Source::Views(PlacedViews::start(labelled.clone(), plan, device)?);
        Ok(Self { labelled, source, device: device.clone() })
    }

    /// The `features` (M, D) of the labelled images, `batch_size` at a time in an order drawn from `seed`.
    pub fn features(labelled: Arc<Images>, batch_size: usize, seed: u64, features: Tensor) -> anyhow::Result<Self> {
        let order = Order::new(&labelled, batch_size, Some(seed))?;
        let device = features.device().clone();
        Ok(Self { labelled, source: Source::Features(features, order), device })
    }

    /// Trains `probe` on the batch of `step`; batches of views must be asked for in their order. The loss before the
    /// update, a scalar on the device.
    pub fn train(&mut self, probe: &mut Probe, step: u64) -> anyhow::Result<Tensor> {
        let labels = |indices: &[u32]| {
            let labels: Vec<u32> = indices.iter().map(|index| self.labelled.labels[*index as usize]).collect();
            Tensor::new(labels, &self.device) // (N)
        };
        Ok(match &mut self.source {
            Source::Views(views) => {
                let batch = views.next()?;
                probe.step(&batch.views, &labels(&batch.indices)?)? // (N, H, W, 3)
            }
            Source::Features(features, order) => {
                let (_, indices) = order.batch(step);
                let batch = features.index_select(&Tensor::new(indices, &self.device)?, 0)?; // (N, D)
                probe.step_on_features(&batch, &labels(indices)?)?
            }
        })
    }
}
