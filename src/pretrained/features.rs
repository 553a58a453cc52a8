//! What an encoder makes of a set of images: h, image by image, as it is used after training; and what h tells of them.

use std::ops::Range;

use candle_core::{Device, ModuleT, Tensor};

use crate::autograd;
use crate::data::{ImageShape, ImageSource, augment, common_shape, pixels_of};
use crate::distributed::{Communicator, Rounds};
use crate::metrics::Knn;
use crate::models::Encoder;
use crate::normalisation::Normalisation;

/// Images of 32x32 that go through the encoder at a time, a short last batch padded to full: h of an image then comes out
/// of the same arithmetic, to the bit, whatever set it is in.
const TILE: usize = 128;

/// Larger images go in tiles of as many pixels, but of so many images at least.
const SMALLEST_TILE: usize = 8;

fn tile_of(shape: ImageShape) -> usize {
    let pixels = (shape.height * shape.width).max(1);
    (TILE * 32 * 32 / pixels).clamp(SMALLEST_TILE, TILE)
}

/// h of all `images` in evaluation mode, normalised, without augmentation: (N, D). The `processes`, all of which have the
/// same images, share the work, and each gets all of h. `proceed` is asked now and then with the number of images done, and
/// ends the work in all of them (`None`) where it says no.
pub fn features(
    encoder: &Encoder,
    normalisation: &Normalisation,
    images: &dyn ImageSource,
    device: &Device,
    processes: &dyn Communicator,
    mut proceed: impl FnMut(usize) -> bool,
) -> anyhow::Result<Option<Tensor>> {
    let (encoder, shape) = (encoder.folded()?, common_shape(images)?);
    let (count, size, width) = (images.len(), tile_of(shape), encoder.features());
    let mut rounds = Rounds::new(processes, 0..count as u64, size, width).for_all();
    let mut features = Vec::with_capacity(count * width);
    let embed = |range: Range<u64>| {
        let range = range.start as usize..range.end as usize;
        let pixels = tile(&pixels_of(images, range.clone())?, (shape, size), normalisation, device)?; // (size, H, W, C)
        let part = autograd::inference(|| encoder.forward_t(&pixels, false))?.detach(); // (size, D)
        Ok(part.narrow(0, 0, range.len())?.flatten_all()?.to_vec1::<f32>()?)
    };
    while let Some((_, values)) = rounds.next(|done| i32::from(!proceed(done as usize)), embed)? {
        features.extend(values);
    }
    match rounds.stopped() {
        Some(_) => Ok(None),
        None => Ok(Some(Tensor::from_vec(features, (count, width), device)?)),
    }
}

/// A set of features (N, D) with the class of each.
pub struct Labelled<'a> {
    pub features: &'a Tensor,
    pub labels: &'a [u32],
}

/// The weighted kNN accuracy of `queries`, asked of `bank`, a fraction of 1. The `processes`, all of which have both, share
/// the work. `proceed` is asked now and then, and ends the work in all of them (`None`) where it says no.
pub fn knn_top1(
    bank: Labelled,
    queries: Labelled,
    classes: usize,
    processes: &dyn Communicator,
    mut proceed: impl FnMut() -> bool,
) -> anyhow::Result<Option<f64>> {
    const BLOCK: usize = 1024;
    let knn = Knn::new(bank.features, bank.labels, classes)?;
    let count = queries.labels.len();
    let mut rounds = Rounds::new(processes, 0..count as u64, BLOCK, 1).for_all();
    let are_right = |range: Range<u64>| {
        let labels = &queries.labels[range.start as usize..range.end as usize];
        let found = knn.predict(&queries.features.narrow(0, range.start as usize, labels.len())?)?;
        Ok(found.iter().zip(labels).map(|(found, label)| f32::from(found == label)).collect())
    };
    let mut right = 0;
    while let Some((_, found)) = rounds.next(|_| i32::from(!proceed()), are_right)? {
        right += found.into_iter().filter(|is_right| *is_right > 0.0).count();
    }
    Ok(rounds.stopped().is_none().then_some(right as f64 / count as f64))
}

/// Normalised pixels of these images, the rest of a tile of `size` images zero.
fn tile(
    images: &[u8],
    (shape, size): (ImageShape, usize),
    normalisation: &Normalisation,
    device: &Device,
) -> candle_core::Result<Tensor> {
    let mut pixels = vec![0.0; size * shape.stride()];
    augment::normalise(images, normalisation, &mut pixels[..images.len()]);
    Tensor::from_vec(pixels, (size, shape.height, shape.width, shape.channels), device)
}
