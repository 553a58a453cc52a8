//! Batches as tensors on the device that trains: made by a thread on the host and uploaded, or, on a device that keeps the
//! images, made there of what is drawn on the host. Either way the batches are the same bits.

use std::sync::Arc;

use anyhow::Result;
use candle_core::{DType, Device, Tensor};

use super::augment;
use super::{ImageShape, Images};
use crate::data::augment::ViewParameters;
use crate::data::batches::{BatchPlan, Batches, normalised};
use crate::data::supply::{Order, Supply};
use crate::data::views::{SIDE, ViewPlan, Views};
use crate::device;

/// Images as they are, (M, height, width, channels) in u8, where `device` keeps them.
fn kept(images: &Images, device: &Device) -> Result<Tensor> {
    let ImageShape { height, width, channels } = images.shape();
    Ok(Tensor::from_slice(&images.pixels, (images.len(), height, width, channels), device)?)
}

/// An endless supply of the batches that a [`BatchPlan`] says, (N, height, width, channels) in [-1, 1].
pub struct PlacedBatches(BatchSource);

enum BatchSource {
    Host {
        batches: Batches,
        shape: ImageShape,
        device: Device,
    },
    Kept {
        images: Tensor,
        /// What each value of a pixel becomes: (256), so that it is the host's to the bit.
        shades: Tensor,
        order: Order,
        step: u64,
    },
}

impl PlacedBatches {
    /// As [`Batches::start`], on `device`.
    pub fn start(images: Arc<Images>, plan: BatchPlan, device: &Device) -> Result<Self> {
        Ok(Self(match device::keeps_images(device) {
            true => Self::keep(&images, plan, device)?,
            false => {
                let shape = images.shape();
                BatchSource::Host { batches: Batches::start(images, plan)?, shape, device: device.clone() }
            }
        }))
    }

    fn keep(images: &Images, plan: BatchPlan, device: &Device) -> Result<BatchSource> {
        Ok(BatchSource::Kept {
            order: Order::new(images, plan.batch_size, plan.shuffle.then_some(plan.seed))?,
            images: kept(images, device)?,
            shades: Tensor::new(&normalised(), device)?,
            step: plan.first_step,
        })
    }

    /// The next step's batch.
    #[expect(
        clippy::should_implement_trait,
        reason = "endless and fallible: `?` reads better than an iterator's Option"
    )]
    pub fn next(&mut self) -> Result<Tensor> {
        match &mut self.0 {
            BatchSource::Host { batches, shape: ImageShape { height, width, channels }, device } => {
                let pixels = batches.next()?.pixels;
                let count = pixels.len() / (*height * *width * *channels);
                Ok(Tensor::from_vec(pixels, (count, *height, *width, *channels), device)?)
            }
            BatchSource::Kept { images, shades, order, step } => {
                let (_, indices) = order.batch(*step);
                *step += 1;
                let pixels = images.index_select(&Tensor::new(indices, images.device())?, 0)?; // (N, H, W, C)
                // As u32: to candle's CUDA kernel the largest index of a type, here 255, means no index, and a zero.
                let shade = pixels.flatten_all()?.to_dtype(DType::U32)?;
                Ok(shades.index_select(&shade, 0)?.reshape(pixels.dims())?)
            }
        }
    }
}

/// Views that one step trains on.
#[derive(Clone, Debug)]
pub struct PlacedViewBatch {
    /// The images that are seen, by their number in the set: (N).
    pub indices: Vec<u32>,
    /// (branches * N, 32, 32, 3), normalised: a view of each image by branch 0, then one of each by branch 1.
    pub views: Tensor,
}

/// An endless supply of the views that a [`ViewPlan`] says.
pub struct PlacedViews(ViewSource);

enum ViewSource {
    Host { views: Views, device: Device },
    Kept { images: Tensor, drawn: Supply<Drawn> },
}

/// The images that are seen at a step, and all that is random in their views.
struct Drawn {
    indices: Vec<u32>,
    parameters: Vec<(u32, ViewParameters)>,
}

impl PlacedViews {
    /// As [`Views::start`], on `device`.
    pub fn start(images: Arc<Images>, plan: ViewPlan, device: &Device) -> Result<Self> {
        Ok(Self(match device::keeps_images(device) {
            true => Self::keep(&images, plan, device)?,
            false => ViewSource::Host { views: Views::start(images, plan)?, device: device.clone() },
        }))
    }

    fn keep(images: &Images, plan: ViewPlan, device: &Device) -> Result<ViewSource> {
        Views::check(images)?;
        let mut order = Order::new(images, plan.batch_size, plan.shuffle.then_some(plan.seed))?;
        let ViewPlan { branches, seed, augmentation, first_step, .. } = plan;
        let shape = images.shape();
        let draw = move |step, _| {
            let (epoch, indices) = order.batch(step);
            let of = |branch, image| (image, augmentation.view(seed, epoch, image, branch, shape));
            let parameters =
                (0..branches).flat_map(|branch| indices.iter().map(move |image| of(branch, *image))).collect();
            Drawn { indices: indices.to_vec(), parameters }
        };
        Ok(ViewSource::Kept { images: kept(images, device)?, drawn: Supply::start("views", first_step, draw)? })
    }

    /// The next step's views; waits for them if training is ahead. An error means that the thread that makes or draws them
    /// has died.
    #[expect(
        clippy::should_implement_trait,
        reason = "endless and fallible: `?` reads better than an iterator's Option"
    )]
    pub fn next(&mut self) -> Result<PlacedViewBatch> {
        match &mut self.0 {
            ViewSource::Host { views, device } => {
                let batch = views.next()?;
                let count = batch.pixels.len() / (SIDE * SIDE * 3);
                let views = Tensor::from_vec(batch.pixels, (count, SIDE, SIDE, 3), device)?;
                Ok(PlacedViewBatch { indices: batch.indices, views })
            }
            ViewSource::Kept { images, drawn } => {
                let Drawn { indices, parameters } = drawn.take()?;
                Ok(PlacedViewBatch { indices, views: augment::views(images, &parameters)? })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::augment::Augmentation;
    use crate::rng::Stream;

    fn images(count: usize, shape: ImageShape) -> Arc<Images> {
        let mut generator = Stream::new(1, "pixels").at(0);
        let pixels = (0..count * shape.stride()).map(|_| generator.bits() as u8).collect();
        Arc::new(Images { pixels, ..Images::empty(shape) })
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn a_batch_of_kept_images_is_the_hosts() {
        let images = images(11, ImageShape { height: 5, width: 3, channels: 1 });
        let plan = BatchPlan { batch_size: 4, shuffle: true, seed: 5, first_step: 1 };
        let mut host = PlacedBatches::start(images.clone(), plan.clone(), &Device::Cpu).unwrap();
        let mut kept = PlacedBatches(PlacedBatches::keep(&images, plan, &Device::Cpu).unwrap());
        for _ in 0..5 {
            let (host, kept) = (host.next().unwrap(), kept.next().unwrap());
            assert_eq!(host.dims(), [4, 5, 3, 1]);
            assert_eq!(kept.dims(), host.dims());
            assert_eq!(values(&kept), values(&host));
        }
    }

    #[test]
    fn views_of_kept_images_are_the_hosts() {
        let images = images(7, ImageShape { height: 40, width: 33, channels: 3 });
        let plan = ViewPlan {
            batch_size: 3,
            branches: 2,
            shuffle: true,
            seed: 5,
            first_step: 1,
            augmentation: Augmentation::default(),
        };
        let mut host = PlacedViews::start(images.clone(), plan.clone(), &Device::Cpu).unwrap();
        let mut kept = PlacedViews(PlacedViews::keep(&images, plan, &Device::Cpu).unwrap());
        for _ in 0..5 {
            let (host, kept) = (host.next().unwrap(), kept.next().unwrap());
            assert_eq!(host.views.dims(), [6, 32, 32, 3]);
            assert_eq!((kept.indices, kept.views.dims()), (host.indices, host.views.dims()));
            assert_eq!(values(&kept.views), values(&host.views));
        }
    }
}
