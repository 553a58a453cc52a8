use candle_core::{Device, ModuleT, Result, Tensor};

use crate::autograd;
use crate::models::{Generator, IMAGE_SIZE};

/// Values an image.
pub const PIXELS: usize = IMAGE_SIZE * IMAGE_SIZE;

/// Images are drawn so many at a time: enough that weights are read and laid out for many, few enough that the layers'
/// outputs stay small.
pub const TILE: usize = 256;

/// Draws the images of `latents`, (N, `latent_dim`) row by row, in evaluation mode: (N, 28, 28, 1) in (-1, 1).
pub fn draw(generator: &Generator, latents: &[f32], latent_dim: usize, device: &Device) -> Result<Vec<f32>> {
    let count = latents.len() / latent_dim;
    let mut images = Vec::with_capacity(count.next_multiple_of(TILE) * PIXELS);
    for tile in latents.chunks(TILE * latent_dim) {
        let mut tile = tile.to_vec();
        // On a CPU an image is the same to the bit in every batch. Other devices choose their kernels by its size: a
        // short last batch is filled up, so that a sample is the same whatever `--n` it was drawn under.
        if !device.is_cpu() {
            tile.resize(TILE * latent_dim, 0.0);
        }
        let tile = Tensor::from_vec(tile, ((), latent_dim), device)?; // (TILE, Z)
        let drawn = autograd::inference(|| generator.forward_t(&tile, false))?; // (TILE, 28, 28, 1)
        images.extend(drawn.flatten_all()?.to_vec1::<f32>()?);
    }
    images.truncate(count * PIXELS);
    Ok(images)
}
