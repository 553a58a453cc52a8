use candle_core::{Device, ModuleT, Result, Tensor};

use crate::autograd;
use crate::image_shape::ImageShape;
use crate::models::Generator;

/// Images of `shape` are drawn so many at a time: enough that weights are read and laid out for many, few enough that the
/// layers' outputs stay small.
pub fn tile(shape: ImageShape) -> usize {
    const SMALL_IMAGES: usize = 256; // up to 32x32
    (SMALL_IMAGES * 32 * 32 / (shape.height * shape.width).max(1)).clamp(8, SMALL_IMAGES)
}

/// Draws the images of `latents`, (N, `latent_dim`) row by row, of a conditional generator with their classes, in evaluation mode: (N, H, W, C) in (-1, 1).
pub fn draw(generator: &Generator, latents: &[f32], latent_dim: usize, device: &Device) -> Result<Vec<f32>> {
    let (count, size) = (latents.len() / latent_dim, tile(generator.image_shape()));
    let mut images = Vec::new();
    let mut stride = 0;
    for tile in latents.chunks(size * latent_dim) {
        let mut tile = tile.to_vec();
        // On a CPU an image is the same to the bit in every batch. Other devices choose their kernels by its size: a
        // short last batch is filled up, so that a sample is the same whatever `--n` it was drawn under.
        if !device.is_cpu() {
            tile.resize(size * latent_dim, 0.0);
        }
        let tile = Tensor::from_vec(tile, ((), latent_dim), device)?; // (size, Z)
        let drawn = autograd::inference(|| generator.forward_t(&tile, false))?; // (size, H, W, C)
        stride = drawn.elem_count() / drawn.dim(0)?;
        images.reserve_exact(drawn.elem_count());
        images.extend(drawn.flatten_all()?.to_vec1::<f32>()?);
    }
    images.truncate(count * stride);
    Ok(images)
}
