//! Values spread over images by a weight: the gradient of a convolution's images.
//!
//! Each tile of values adds to all pixels that it saw, so that there are no more tiles than in the forward pass. As a
//! correlation with the turned kernels there would be: a window of 5 x 5 without padding has 8 x 8 places on 12 x 12
//! pixels, four tiles against nine.

use super::{Winograd, pitch};
use crate::kernels::cpu::epilogue::Epilogue;
use crate::kernels::cpu::matrix::kernel::PANEL;
use crate::kernels::cpu::parallel::{fill_tiles, scratch, tile};
use crate::kernels::cpu::simd::with_vectors;
use crate::kernels::cpu::winograd::planes::{AddToPixels, FromPlaces, Planes, Squares};
use crate::kernels::cpu::winograd::transforms::Transforms;

/// Tiles of a block, as in the forward pass.
const TILES: usize = 36;

impl<const R: usize, const ALPHA: usize> Winograd<R, ALPHA>
where
    Self: Transforms<R, ALPHA>,
{
    /// [`WinogradConv::conv_transpose`](crate::kernels::cpu::winograd::WinogradConv::conv_transpose). A task has whole images, because tiles overlap.
    pub(crate) fn conv_transpose_by_tiles(&self, values: &[f32], weight: &[f32], epilogue: Epilogue) -> Vec<f32> {
        let (tiles, window, features) = (&self.tiles, self.tiles.window, self.features);
        let weight = self.channels_in_planes(weight);
        let pixels = window.height * window.width;
        let images = (TILES / (tiles.down() * tiles.across())).max(1);
        let strips = tiles.strips_of_a_block(TILES);
        let size = images * pixels * window.channels;
        fill_tiles(window.images * pixels * window.channels, size, |task, output| {
            let images_before = task * images;
            let of_images = tile(task, images, window.images);
            let of_strips = of_images.start * tiles.down()..of_images.end * tiles.down();
            for start in of_strips.clone().step_by(strips) {
                let of_tiles = tiles.of_strips(start..(start + strips).min(of_strips.end));
                let count = of_tiles.len();
                let sizes = [pitch(count, features), pitch(count, PANEL)];
                scratch(Self::PLANES * (sizes[0] + sizes[1]), |memory| {
                    let (given, products) = memory.split_at_mut(Self::PLANES * sizes[0]);
                    with_vectors(FromPlaces::<R, ALPHA>(Squares {
                        grid: tiles.places(),
                        of_tiles: of_tiles.clone(),
                        images: values,
                        channels: features,
                        of_channels: 0..features,
                        group: features,
                        row: features,
                        planes: given,
                    }));
                    for (index, panel) in weight.chunks_exact(Self::PLANES * pitch(features, PANEL)).enumerate() {
                        Self::multiply(given, panel, products, count, features);
                        with_vectors(AddToPixels::<R, ALPHA>(Planes {
                            grid: tiles.pixels(index % tiles.phases()),
                            of_tiles: of_tiles.clone(),
                            planes: products,
                            images: output,
                            first: images_before * pixels,
                            channels: window.channels,
                            of_channels: tile(index / tiles.phases(), PANEL, window.channels),
                        }));
                    }
                });
            }
            epilogue.finish(output);
        })
        .0
    }
}
