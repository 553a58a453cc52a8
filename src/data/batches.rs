//! Batches of images as floats, and the latents that a GAN's step takes beside them: made ahead of training.

use std::sync::Arc;

use anyhow::Result;
use candle_core::{DType, Device, Tensor};

use super::plan::{MIXING, Order, StepPlan};
use super::source::{common_shape, fetch};
use super::{ImageShape, ImageSource, Prefetcher};
use crate::device;
use crate::latent_space::LatentSpace;
use crate::rng::Generator;

/// 2 * pixel / 255 - 1 for every value of a pixel.
pub fn normalised() -> [f32; 256] {
    std::array::from_fn(|pixel| 2.0 * pixel as f32 / 255.0 - 1.0)
}

/// The pixel whose value is nearest: round((value + 1) / 2 * 255), clamped; 0 of NaN. The inverse of [`normalised`].
pub fn pixel_of(value: f32) -> u8 {
    ((value + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8
}

/// The batches of a plan from `first_step` on, (N, height, width, channels) in [-1, 1] on `device`. On every device they
/// are the same bits. Where the plan says so, images are flipped. [`Error::Input`](crate::error::Error::Input) where the images are of different shapes.
pub fn batches(
    images: Arc<dyn ImageSource>,
    plan: &StepPlan,
    first_step: u64,
    device: &Device,
) -> Result<Prefetcher<Tensor>> {
    if let (Some((shape, pixels)), true) = (images.contiguous(), device::keeps_images(device)) {
        return kept_batches(kept(shape, pixels, device)?, plan, first_step);
    }
    // Made on the host, and uploaded.
    let (shape, shades, mut order) = (common_shape(&*images)?, normalised(), Order::new(*plan));
    let ImageShape { height, width, channels } = shape;
    let (device, count, plan) = (device.clone(), plan.places().len(), *plan);
    let make = move |step| {
        let (indices, flips) = (order.indices(step), plan.flips(step));
        let mut pixels = Vec::with_capacity(indices.len() * shape.stride());
        for (place, image) in fetch(&*images, indices)?.iter().enumerate() {
            let shade = |pixel: &u8| shades[usize::from(*pixel)];
            match flips.as_ref().is_some_and(|flips| flips[place]) {
                false => pixels.extend(image.iter().map(shade)),
                true => {
                    let rows = image.chunks_exact(width * channels);
                    pixels.extend(rows.flat_map(|row| row.chunks_exact(channels).rev()).flatten().map(shade));
                }
            }
        }
        Ok(pixels)
    };
    let place = move |pixels| Ok(Tensor::from_vec(pixels, (count, height, width, channels), &device)?);
    Prefetcher::start("batches", first_step, make, place)
}

/// Batches of images (M, height, width, channels) in u8 that lie on the device, made there.
fn kept_batches(images: Tensor, plan: &StepPlan, first_step: u64) -> Result<Prefetcher<Tensor>> {
    // What each value of a pixel becomes, (256), so that it is the host's to the bit.
    let shades = Tensor::new(&normalised(), images.device())?;
    let (mut order, plan) = (Order::new(*plan), *plan);
    let backwards: Vec<u32> = (0..images.dim(2)? as u32).rev().collect();
    let backwards = Tensor::new(backwards, images.device())?;
    let place = move |(indices, flips): (Vec<u32>, Option<Vec<bool>>)| {
        let mut pixels = images.index_select(&Tensor::new(indices, images.device())?, 0)?; // (N, H, W, C)
        if let Some(flips) = flips {
            let flips: Vec<u8> = flips.into_iter().map(u8::from).collect();
            let flips = Tensor::from_vec(flips, (pixels.dim(0)?, 1, 1, 1), images.device())?;
            pixels = flips.broadcast_as(pixels.dims())?.where_cond(&pixels.index_select(&backwards, 2)?, &pixels)?;
        }
        // As u32: to candle's CUDA kernel the largest index of a type, here 255, means no index, and a zero.
        let shade = pixels.flatten_all()?.to_dtype(DType::U32)?;
        Ok(shades.index_select(&shade, 0)?.reshape(pixels.dims())?)
    };
    Prefetcher::start("batches", first_step, move |step| Ok((order.indices(step).to_vec(), plan.flips(step))), place)
}

/// Images as they are, (M, height, width, channels) in u8, where `device` keeps them.
pub(super) fn kept(shape: ImageShape, pixels: &[u8], device: &Device) -> Result<Tensor> {
    let ImageShape { height, width, channels } = shape;
    Ok(Tensor::from_slice(pixels, (pixels.len() / shape.stride().max(1), height, width, channels), device)?)
}

/// Where between a fake (0) and a real image (1) each of the images of a plan's steps from `first_step` on has its point of
/// a penalty: uniform in [0, 1), (N, 1).
pub fn mixing(plan: &StepPlan, first_step: u64, device: &Device) -> Result<Prefetcher<Tensor>> {
    let (plan, device) = (*plan, device.clone());
    let place = move |shares: Vec<f32>| Ok(Tensor::from_vec(shares, (plan.places().len(), 1), &device)?);
    Prefetcher::start(MIXING, first_step, move |step| Ok(plan.draws(step, MIXING, 1, Generator::unit)), place)
}

/// The latents of a GAN's steps from `first_step` on, for D's fakes and for G's: (N, `dim`) each. On an accelerator a small
/// network's step takes little longer than drawing them.
pub fn latents(
    plan: &StepPlan,
    space: LatentSpace,
    first_step: u64,
    device: &Device,
) -> Result<Prefetcher<[Tensor; 2]>> {
    let (plan, device) = (*plan, device.clone());
    let place = move |[of_discriminator, of_generator]: [Vec<f32>; 2]| {
        let place = |values| Tensor::from_vec(values, (plan.places().len(), space.dim), &device);
        Ok([place(of_discriminator)?, place(of_generator)?])
    };
    Prefetcher::start("latents", first_step, move |step| Ok(plan.latents(step, space)), place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Images;
    use crate::data::source::tests::OneByOne;
    use crate::rng::Stream;

    fn images(count: usize, shape: ImageShape) -> Images {
        let mut generator = Stream::new(1, "pixels").at(0);
        let pixels = (0..count * shape.stride()).map(|_| generator.bits() as u8).collect();
        Images { pixels, ..Images::empty(shape) }
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn batches_are_the_same_wherever_they_are_made() {
        let images = images(11, ImageShape { height: 5, width: 3, channels: 1 });
        let plan = StepPlan::new(11, 4, true, 5).unwrap();
        for plan in [plan, StepPlan { mirror: true, ..plan }] {
            let on_device = kept(images.shape(), &images.pixels, &Device::Cpu).unwrap();
            let mut prefetchers = [
                batches(Arc::new(images.clone()), &plan, 1, &Device::Cpu).unwrap(),
                batches(Arc::new(OneByOne(images.clone())), &plan, 1, &Device::Cpu).unwrap(),
                kept_batches(on_device, &plan, 1).unwrap(),
            ];
            for _ in 0..5 {
                let [host, one_by_one, kept] = prefetchers.each_mut().map(|batches| batches.next().unwrap());
                assert_eq!(host.dims(), [4, 5, 3, 1]);
                for other in [one_by_one, kept] {
                    assert_eq!((other.dims(), values(&other)), (host.dims(), values(&host)));
                }
            }
        }
    }

    #[test]
    fn images_are_flipped_as_the_plan_says() {
        let images = Arc::new(images(11, ImageShape { height: 2, width: 3, channels: 3 }));
        let plan = StepPlan::new(11, 4, true, 5).unwrap();
        let mirrored = StepPlan { mirror: true, ..plan };
        let mut prefetchers = [plan, mirrored].map(|plan| batches(images.clone(), &plan, 0, &Device::Cpu).unwrap());
        let mut flipped = 0;
        for step in 0..50 {
            let [plain, found] = prefetchers.each_mut().map(|batches| values(&batches.next().unwrap()));
            for ((plain, found), flip) in plain.chunks(18).zip(found.chunks(18)).zip(mirrored.flips(step).unwrap()) {
                let backwards = plain.chunks(9).flat_map(|row| row.chunks(3).rev()).flatten();
                let expected = if flip { backwards.copied().collect() } else { plain.to_vec() };
                assert_eq!(found, expected);
                flipped += usize::from(flip);
            }
        }
        assert!((80..120).contains(&flipped), "{flipped} of 200");
    }
}
