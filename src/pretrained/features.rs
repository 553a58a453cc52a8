//! What an encoder makes of a set of images: h, image by image, as it is used after training; and what h tells of them.

use candle_core::{Device, ModuleT, Tensor};

use crate::autograd;
use crate::data::{ImageShape, ImageSource, augment, common_shape, pixels_of};
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

/// h of all `images` in evaluation mode, normalised, without augmentation: (N, D). `proceed` is asked after each part with the
/// number of images done, and ends the work (`None`) where it says no.
pub fn features(
    encoder: &Encoder,
    normalisation: &Normalisation,
    images: &dyn ImageSource,
    device: &Device,
    mut proceed: impl FnMut(usize) -> bool,
) -> anyhow::Result<Option<Tensor>> {
    let (encoder, shape) = (encoder.folded()?, common_shape(images)?);
    let size = tile_of(shape);
    let mut parts = Vec::with_capacity(images.len().div_ceil(size));
    for start in (0..images.len()).step_by(size) {
        let end = (start + size).min(images.len());
        let pixels = tile(&pixels_of(images, start..end)?, (shape, size), normalisation, device)?; // (size, H, W, C)
        let part = autograd::inference(|| encoder.forward_t(&pixels, false))?.detach(); // (size, D)
        parts.push(part.narrow(0, 0, end - start)?);
        if !proceed(end) {
            return Ok(None);
        }
    }
    Ok(Some(Tensor::cat(&parts, 0)?))
}

/// A set of features (N, D) with the class of each.
pub struct Labelled<'a> {
    pub features: &'a Tensor,
    pub labels: &'a [u32],
}

/// The weighted kNN accuracy of `queries`, asked of `bank`, a fraction of 1. `proceed` is asked now and then, and ends the
/// work (`None`) where it says no.
pub fn knn_top1(
    bank: Labelled,
    queries: Labelled,
    classes: usize,
    mut proceed: impl FnMut() -> bool,
) -> candle_core::Result<Option<f64>> {
    const BLOCK: usize = 1024;
    let knn = Knn::new(bank.features, bank.labels, classes)?;
    let mut right = 0;
    for (block, labels) in queries.labels.chunks(BLOCK).enumerate() {
        if !proceed() {
            return Ok(None);
        }
        let found = knn.predict(&queries.features.narrow(0, block * BLOCK, labels.len())?)?;
        right += found.iter().zip(labels).filter(|(found, label)| found == label).count();
    }
    Ok(Some(right as f64 / queries.labels.len() as f64))
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
