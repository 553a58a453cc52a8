//! Batches of augmented views, for SimCLR (two of each image) and for a linear probe (one), made ahead of training. One
//! thread makes tens of thousands of views of 32 pixels a second: far more than an encoder takes.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::{Result, bail};
use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::augment::{self, ColourScale, ViewParameters};
use super::batches::kept;
use super::plan::{Order, StepPlan, ViewPlan};
use super::source::fetch;
use super::{ImageShape, ImageSource, Prefetcher};
use crate::device;
use crate::error::Error;

/// Views that one step trains on.
#[derive(Clone, Debug)]
pub struct ViewBatch {
    /// The images that are seen, by their number in the set: (N).
    pub indices: Vec<u32>,
    /// (views a image * N, size, size, 3), normalised: one view of each image, then the next one of each.
    pub views: Tensor,
}

/// The views of a plan from `first_step` on, on `device`. On every device they are the same bits.
/// [`Error::Input`] where an image is grey.
pub fn views(
    images: Arc<dyn ImageSource>,
    plan: &StepPlan,
    views: ViewPlan,
    first_step: u64,
    device: &Device,
) -> Result<Prefetcher<ViewBatch>> {
    check(&*images)?;
    let scale = ColourScale::new(&views.normalisation)?;
    if let (Some((shape, pixels)), true) = (images.contiguous(), device::keeps_images(device)) {
        return kept_views(kept(shape, pixels, device)?, plan, (views, scale), first_step);
    }
    // Made on the host, and uploaded.
    let (plan, size, device) = (*plan, views.size, device.clone());
    let count = views.views_per_image * plan.places().len();
    let mut order = Order::new(plan);
    let make = move |step| {
        let indices = order.indices(step).to_vec();
        let fetched = fetch(&*images, &indices)?;
        fetched.iter().for_each(|image| bring_near(image));
        let seen: Vec<(u32, ImageShape)> =
            indices.iter().map(|index| (*index, images.shape_of(*index as usize))).collect();
        let drawn = plan.view_parameters(step, &views, &seen);
        let values = size * size * 3;
        let mut pixels = vec![0.0; drawn.len() * values];
        let make_one = |(place, view): (usize, &mut [f32])| {
            let (image, (_, parameters)) = (place % indices.len(), &drawn[place]);
            parameters.apply((&fetched[image], seen[image].1), size, scale, view);
        };
        match images.contiguous() {
            Some(_) => pixels.chunks_exact_mut(values).enumerate().for_each(make_one),
            // As they were decoded: on all threads.
            None => pixels.par_chunks_exact_mut(values).enumerate().for_each(make_one),
        }
        Ok((indices, pixels))
    };
    let place = move |(indices, pixels): (Vec<u32>, Vec<f32>)| {
        Ok(ViewBatch { indices, views: Tensor::from_vec(pixels, (count, size, size, 3), &device)? })
    };
    Prefetcher::start("views", first_step, make, place)
}

/// Views of images (M, height, width, 3) in u8 that lie on the device, made there of what is drawn on the host.
fn kept_views(
    images: Tensor,
    plan: &StepPlan,
    (views, scale): (ViewPlan, ColourScale),
    first_step: u64,
) -> Result<Prefetcher<ViewBatch>> {
    let (_, height, width, channels) = images.dims4()?;
    let (plan, size, shape) = (*plan, views.size, ImageShape { height, width, channels });
    let mut order = Order::new(plan);
    let draw = move |step| {
        let indices = order.indices(step).to_vec();
        let seen: Vec<(u32, ImageShape)> = indices.iter().map(|index| (*index, shape)).collect();
        let drawn = plan.view_parameters(step, &views, &seen);
        Ok((indices, drawn))
    };
    let place = move |(indices, drawn): (Vec<u32>, Vec<(u32, ViewParameters)>)| {
        Ok(ViewBatch { indices, views: augment::views(&images, &drawn, size, scale)? })
    };
    Prefetcher::start("views", first_step, draw, place)
}

/// [`Error::Input`] where an image is grey.
fn check(images: &dyn ImageSource) -> Result<()> {
    let shape = match images.contiguous() {
        Some((shape, _)) => Some(shape).filter(|shape| shape.channels != 3),
        None => (0..images.len()).map(|index| images.shape_of(index)).find(|shape| shape.channels != 3),
    };
    match shape {
        None => Ok(()),
        Some(ImageShape { channels, .. }) => bail!(Error::Input(format!(
            "images of {channels} channel(s), where views are taken of red, green and blue; convert them first"
        ))),
    }
}

/// Has an image in the cache. Images lie all over memory, and each of the rows of a crop would wait for it; so many loads
/// that do not depend on each other wait together.
fn bring_near(image: &[u8]) {
    const LINE: usize = 64; // bytes
    black_box(image.iter().step_by(LINE).fold(0, |sum, byte| sum ^ byte));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Images;
    use crate::data::augment::Augmentation;
    use crate::data::source::tests::OneByOne;
    use crate::normalisation::Normalisation;
    use crate::rng::Stream;

    fn values(batch: &ViewBatch) -> Vec<f32> {
        batch.views.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn views_are_the_same_wherever_they_are_made() {
        let shape = ImageShape { height: 40, width: 33, channels: 3 };
        let mut generator = Stream::new(1, "pixels").at(0);
        let pixels = (0..7 * shape.stride()).map(|_| generator.bits() as u8).collect();
        let images = Images { pixels, ..Images::empty(shape) };
        let on_device = kept(images.shape(), &images.pixels, &Device::Cpu).unwrap();
        for size in [32, 27] {
            let plan = StepPlan::new(7, 3, true, 5).unwrap();
            let (augmentation, normalisation) = (Augmentation::default(), Normalisation::imagenet());
            let scale = ColourScale::new(&normalisation).unwrap();
            let views = ViewPlan { views_per_image: 2, size, augmentation, normalisation };
            let mut prefetchers = [
                super::views(Arc::new(images.clone()), &plan, views.clone(), 1, &Device::Cpu).unwrap(),
                super::views(Arc::new(OneByOne(images.clone())), &plan, views.clone(), 1, &Device::Cpu).unwrap(),
                kept_views(on_device.clone(), &plan, (views, scale), 1).unwrap(),
            ];
            for _ in 0..5 {
                let [host, one_by_one, on_device] = prefetchers.each_mut().map(|views| views.next().unwrap());
                assert_eq!(host.views.dims(), [6, size, size, 3]);
                for other in [one_by_one, on_device] {
                    assert_eq!((&other.indices, other.views.dims()), (&host.indices, host.views.dims()));
                    assert_eq!(values(&other), values(&host));
                }
            }
        }
    }
}
