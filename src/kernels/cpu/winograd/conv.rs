//! Images correlated with a weight: the forward pass of a convolution.

use super::{Winograd, pitch};
use crate::kernels::cpu::epilogue::Epilogue;
use crate::kernels::cpu::matrix::kernel::PANEL;
use crate::kernels::cpu::parallel::{scratch, tile, write_pieces};
use crate::kernels::cpu::simd::with_vectors;
use crate::kernels::cpu::winograd::planes::{FromPixels, Planes, Squares, ToPlaces};
use crate::kernels::cpu::winograd::transforms::Transforms;

/// Tiles of a block: with 64 channels their planes of 6 x 6 points take 330 KiB, a third of a second-level cache; with
/// more channels they are read from the third, at a rate that the products hide.
const TILES: usize = 36;

impl<const R: usize, const ALPHA: usize> Winograd<R, ALPHA>
where
    Self: Transforms<R, ALPHA>,
{
    /// [`WinogradConv::conv`](crate::kernels::cpu::winograd::WinogradConv::conv)
    pub(crate) fn conv_by_tiles(&self, images: &[f32], weight: &[f32], epilogue: Epilogue) -> Vec<f32> {
        let (tiles, features, channels) = (&self.tiles, self.features, self.tiles.window.channels);
        let depth = tiles.phases() * channels;
        let weight = self.features_in_planes(weight);
        let strips = tiles.strips_of_a_block(TILES);
        let blocks = tiles.strips().div_ceil(strips);
        let first = |block: usize| tiles.first_place((block * strips).min(tiles.strips()));
        let sizes = (0..blocks).map(|block| (first(block + 1) - first(block)) * features);
        write_pieces(sizes, |block, output| {
            let of_tiles = tiles.of_strips(tile(block, strips, tiles.strips()));
            let count = of_tiles.len();
            let sizes = [pitch(count, depth), pitch(count, PANEL)];
            scratch(Self::PLANES * (sizes[0] + sizes[1]), |memory| {
                let (seen, products) = memory.split_at_mut(Self::PLANES * sizes[0]);
                for phase in 0..tiles.phases() {
                    with_vectors(FromPixels::<R, ALPHA>(Squares {
                        grid: tiles.pixels(phase),
                        of_tiles: of_tiles.clone(),
                        images,
                        channels,
                        of_channels: 0..channels,
                        group: channels,
                        row: depth,
                        planes: &mut seen[phase * channels..],
                    }));
                }
                for (index, panel) in weight.chunks_exact(Self::PLANES * pitch(depth, PANEL)).enumerate() {
                    Self::multiply(seen, panel, products, count, depth);
                    with_vectors(ToPlaces::<R, ALPHA>(Planes {
                        grid: tiles.places(),
                        of_tiles: of_tiles.clone(),
                        planes: products,
                        images: output,
                        first: first(block),
                        channels: features,
                        of_channels: tile(index, PANEL, features),
                    }));
                }
            });
            epilogue.finish(output);
        })
        .0
    }
}
