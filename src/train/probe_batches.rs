//! What a probe trains on: augmented pictures, new every epoch, or features that were computed once.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use crate::data::{self, ImageSource, Order, Prefetcher, StepPlan, ViewBatch, ViewPlan};
use crate::train::probe::Probe;

/// The batches of a row of the table; shuffled anew every epoch.
pub struct ProbeBatches {
    labelled: Arc<dyn ImageSource>,
    inputs: Inputs,
    device: Device,
}

enum Inputs {
    /// One view of each image, as SimCLR sees it: the course's.
    Views(Prefetcher<ViewBatch>),
    /// Features (M, D) of all images.
    Features(Tensor, Order),
}

impl ProbeBatches {
    /// Augmented pictures as `views` says, from `first_step` of the plan on.
    pub fn views(
        labelled: Arc<dyn ImageSource>,
        plan: &StepPlan,
        views: ViewPlan,
        first_step: u64,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let inputs = Inputs::Views(data::views(labelled.clone(), plan, views, first_step, device)?);
        Ok(Self { labelled, inputs, device: device.clone() })
    }

    /// The `features` (M, D) of the labelled images.
    pub fn features(labelled: Arc<dyn ImageSource>, plan: &StepPlan, features: Tensor) -> Self {
        let device = features.device().clone();
        Self { labelled, inputs: Inputs::Features(features, Order::new(*plan)), device }
    }

    /// Whether a batch is made of images, not of features that are there already.
    pub fn read_images(&self) -> bool {
        matches!(self.inputs, Inputs::Views(_))
    }

    /// Trains `probe` on the batch of `step`; batches of views must be asked for in their order. The loss before the
    /// update, a scalar on the device.
    pub fn train(&mut self, probe: &mut Probe, step: u64) -> anyhow::Result<Tensor> {
        let labels = |indices: &[u32]| {
            let labels: Vec<u32> = indices.iter().filter_map(|index| self.labelled.label_of(*index as usize)).collect();
            Tensor::new(labels, &self.device) // (N)
        };
        Ok(match &mut self.inputs {
            Inputs::Views(views) => {
                let batch = views.next()?;
                probe.step(&batch.views, &labels(&batch.indices)?)? // (N, H, W, 3)
            }
            Inputs::Features(features, order) => {
                let indices = order.indices(step);
                let batch = features.index_select(&Tensor::new(indices, &self.device)?, 0)?; // (N, D)
                probe.step_on_features(&batch, &labels(indices)?)?
            }
        })
    }
}
