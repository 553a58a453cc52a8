//! The gradient of the weight: in each plane, the product of the images' channels by tiles with the gradient's tiles
//! by features.
//!
//! A task has a range of the channels and a share of the tiles, so that its sums stay in the cache while it goes
//! through the tiles block by block; each block of the gradient is transformed again for each range of channels.

use super::panel::{PANEL, PanelProduct};
use super::planes::ToPlanes;
use super::transforms::{OfPlaces, OfWeights, Pixels, both_axes};
use super::weights::AREA;
use super::{PLANES, SEEN, SIDE, Tiles};
use crate::ops::parallel::{self, fill_tiles, scratch, tile};
use crate::ops::simd::{load, store, with_vectors};
use pulp::{Simd, WithSimd};
use std::marker::PhantomData;
use std::ops::Range;

/// Tiles of a block.
const TILES: usize = 48;

/// Channels of a task.
const CHANNELS: usize = 64;

/// Tasks there should be at least, where there are tiles enough, for machines with many cores.
const TASKS: usize = 16;

impl Tiles {
    /// The gradient of the weight (O, C, 3, 3), from `images` (N, H, W, C) and that of the output (N, H, W, O).
    pub fn weight_gradient(&self, images: &[f32], gradient: &[f32], channels: usize, features: usize) -> Vec<f32> {
        let strips = self.strips_of_a_block(TILES);
        let blocks = self.strips().div_ceil(strips);
        let ranges = channels.div_ceil(CHANNELS);
        let shares = TASKS.div_ceil(ranges).min(blocks);
        let parts = parallel::map(ranges * shares, |task| {
            let of_channels = tile(task / shares, CHANNELS, channels);
            let share = task % shares;
            let blocks = share * blocks / shares..(share + 1) * blocks / shares;
            let blocks = blocks.map(|block| self.of_strips(tile(block, strips, self.strips())));
            self.part(images, gradient, (channels, of_channels), features, blocks)
        });
        // The shares of a range of channels are added in order, then brought from (9, C, features) to (features, C, 9).
        let sums = parallel::map(ranges, |range| parallel::add_in_order(&parts[range * shares..(range + 1) * shares]));
        let (weight, _) = fill_tiles(features * channels * AREA, channels * AREA, |feature, weight| {
            for (range, sum) in sums.iter().enumerate() {
                let of_channels = tile(range, CHANNELS, channels);
                let count = of_channels.len();
                let panel = &sum[feature / PANEL * AREA * count * PANEL..];
                for (channel, kernel) in
                    weight[of_channels.start * AREA..of_channels.end * AREA].chunks_exact_mut(AREA).enumerate()
                {
                    for (position, value) in kernel.iter_mut().enumerate() {
                        *value = panel[(position * count + channel) * PANEL + feature % PANEL];
                    }
                }
            }
        });
        weight
    }

    /// What the tiles of these blocks give to the kernels of these channels: for each panel of features
    /// (9, channels, PANEL).
    fn part(
        &self,
        images: &[f32],
        gradient: &[f32],
        (channels, of_channels): (usize, Range<usize>),
        features: usize,
        blocks: impl Iterator<Item = Range<usize>>,
    ) -> Vec<f32> {
        let count = of_channels.len();
        let panels = features.div_ceil(PANEL);
        let mut part = vec![0.0; panels * AREA * count * PANEL];
        scratch(panels * PLANES * count * PANEL, |sums| {
            sums.fill(0.0);
            for of_tiles in blocks {
                let tiles = of_tiles.len();
                scratch(PLANES * tiles * (count + panels * PANEL), |memory| {
                    let (seen, given) = memory.split_at_mut(PLANES * tiles * count);
                    with_vectors(ToPlanes {
                        transform: PhantomData::<Pixels>,
                        tiles: self,
                        of_tiles: of_tiles.clone(),
                        images,
                        channels,
                        of_channels: of_channels.clone(),
                        margin: 1,
                        group: count,
                        planes: seen,
                    });
                    with_vectors(ToPlanes::<OfPlaces, SIDE> {
                        transform: PhantomData,
                        tiles: self,
                        of_tiles: of_tiles.clone(),
                        images: gradient,
                        channels: features,
                        of_channels: 0..features,
                        margin: 0,
                        group: PANEL,
                        planes: given,
                    });
                    for (plane, (right, product)) in
                        given.chunks_exact(tiles * PANEL).zip(sums.chunks_exact_mut(count * PANEL)).enumerate()
                    {
                        with_vectors(PanelProduct {
                            left: &seen[plane % PLANES * tiles * count..][..tiles * count],
                            row_stride: 1,
                            column_stride: count,
                            right,
                            product,
                            accumulate: true,
                        });
                    }
                });
            }
            let sums = sums.chunks_exact(PLANES * count * PANEL);
            for (planes, weights) in sums.zip(part.chunks_exact_mut(AREA * count * PANEL)) {
                with_vectors(FromPlanes { planes, weights, plane: count * PANEL });
            }
        });
        part
    }
}

/// Transforms planes back to the values of kernels.
struct FromPlanes<'a> {
    planes: &'a [f32],
    weights: &'a mut [f32],
    plane: usize,
}

impl WithSimd for FromPlanes<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for start in (0..self.plane).step_by(S::F32_LANES) {
            let mut points = [[simd.splat_f32s(0.0); SEEN]; SEEN];
            for (position, value) in points.as_flattened_mut().iter_mut().enumerate() {
                *value = load(simd, self.planes, position * self.plane + start);
            }
            let kernel = both_axes::<OfWeights, SEEN, 3, S>(simd, points);
            for (position, value) in kernel.as_flattened().iter().enumerate() {
                store(simd, self.weights, position * self.plane + start, *value);
            }
        }
    }
}
