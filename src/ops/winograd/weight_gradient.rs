//! The gradient of the weight: in each plane, the product of the images' channels by tiles with the gradient's tiles
//! by features.
//!
//! A task has a square of channels and features and a share of the tiles, so that its sums stay in a core's
//! second-level cache while it goes through the tiles block by block. Each task transforms what it needs itself.

use super::panel::{PANEL, PanelProduct};
use super::planes::ToPlanes;
use super::transforms::{OfPlaces, OfWeights, Pixels, both_axes};
use super::weights::AREA;
use super::{PLANES, SEEN, SIDE, Tiles, pitch};
use crate::ops::layout::cpu::transpose;
use crate::ops::parallel::{self, fill_tiles, scratch, tile};
use crate::ops::simd::{load, store, with_vectors};
use pulp::{Simd, WithSimd};
use std::marker::PhantomData;
use std::ops::Range;

/// Tiles of a block.
const TILES: usize = 32;

/// Channels of a task.
const CHANNELS: usize = 64;

/// Features of a task, whole panels.
const FEATURES: usize = 4 * PANEL;

/// Tasks there should be at least, where there are tiles enough, for machines with many cores.
const TASKS: usize = 16;

impl Tiles {
    /// The gradient of the weight (O, C, 3, 3), from `images` (N, H, W, C) and that of the output (N, H, W, O).
    pub fn weight_gradient(&self, images: &[f32], gradient: &[f32], channels: usize, features: usize) -> Vec<f32> {
        let strips = self.strips_of_a_block(TILES);
        let blocks = self.strips().div_ceil(strips);
        let (down, across) = (features.div_ceil(FEATURES), channels.div_ceil(CHANNELS));
        let shares = TASKS.div_ceil(down * across).min(blocks);
        let parts = parallel::map(down * across * shares, |task| {
            let (square, share) = (task / shares, task % shares);
            let of_features = tile(square / across, FEATURES, features);
            let of_channels = tile(square % across, CHANNELS, channels);
            let blocks = share * blocks / shares..(share + 1) * blocks / shares;
            let blocks = blocks.map(|block| self.of_strips(tile(block, strips, self.strips())));
            self.part((images, channels, of_channels), (gradient, features, of_features), blocks)
        });
        // The shares of a square are added in order.
        let row = channels * AREA;
        let (weight, _) = fill_tiles(features * row, PANEL * row, |panel, weight| {
            for range in 0..across {
                let square = panel * PANEL / FEATURES * across + range;
                let of_channels = tile(range, CHANNELS, channels);
                let len = of_channels.len() * AREA;
                scratch(2 * len * PANEL, |memory| {
                    let (sum, turned) = memory.split_at_mut(len * PANEL);
                    sum.fill(0.0);
                    for part in &parts[square * shares..(square + 1) * shares] {
                        let part = &part[panel % (FEATURES / PANEL) * len * PANEL..];
                        sum.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
                    }
                    transpose(sum, len, PANEL, turned);
                    for (weight, turned) in weight.chunks_exact_mut(row).zip(turned.chunks_exact(len)) {
                        weight[of_channels.start * AREA..of_channels.end * AREA].copy_from_slice(turned);
                    }
                });
            }
        });
        weight
    }

    /// What the tiles of these blocks give to the kernels of these channels and features: for each panel of features
    /// (channels, 9, PANEL).
    fn part(
        &self,
        (images, channels, of_channels): (&[f32], usize, Range<usize>),
        (gradient, features, of_features): (&[f32], usize, Range<usize>),
        blocks: impl Iterator<Item = Range<usize>>,
    ) -> Vec<f32> {
        let count = of_channels.len();
        let panels = of_features.len().div_ceil(PANEL);
        let mut part = vec![0.0; panels * AREA * count * PANEL];
        scratch(panels * PLANES * pitch(count, PANEL), |sums| {
            for (index, of_tiles) in blocks.enumerate() {
                let tiles = of_tiles.len();
                let sizes = [pitch(tiles, count), pitch(tiles, PANEL), pitch(count, PANEL)];
                scratch(PLANES * (sizes[0] + panels * sizes[1]), |memory| {
                    let (seen, given) = memory.split_at_mut(PLANES * sizes[0]);
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
                        of_channels: of_features.clone(),
                        margin: 0,
                        group: PANEL,
                        planes: given,
                    });
                    for (plane, (right, product)) in
                        given.chunks_exact(sizes[1]).zip(sums.chunks_exact_mut(sizes[2])).enumerate()
                    {
                        with_vectors(PanelProduct {
                            left: &seen[plane % PLANES * sizes[0]..][..tiles * count],
                            row_stride: 1,
                            column_stride: count,
                            right: &right[..tiles * PANEL],
                            product: &mut product[..count * PANEL],
                            accumulate: index > 0,
                        });
                    }
                });
            }
            let sums = sums.chunks_exact(PLANES * pitch(count, PANEL));
            for (planes, weights) in sums.zip(part.chunks_exact_mut(AREA * count * PANEL)) {
                with_vectors(FromPlanes { planes, weights, channels: count });
            }
        });
        part
    }
}

/// Transforms the planes (PLANES, channels, PANEL) back to the values of kernels: (channels, 9, PANEL).
struct FromPlanes<'a> {
    planes: &'a [f32],
    weights: &'a mut [f32],
    channels: usize,
}

impl WithSimd for FromPlanes<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut down = [[simd.splat_f32s(0.0); SEEN]; 3];
        for channel in 0..self.channels {
            for start in (0..PANEL).step_by(S::F32_LANES) {
                both_axes::<OfWeights, SEEN, 3, S>(
                    simd,
                    &mut down,
                    #[inline(always)]
                    |row, column| {
                        let plane = (row * SEEN + column) * pitch(self.channels, PANEL);
                        load::<S>(self.planes, plane + channel * PANEL + start)
                    },
                    #[inline(always)]
                    |row, column, value| {
                        store::<S>(self.weights, (channel * AREA + row * 3 + column) * PANEL + start, value);
                    },
                );
            }
        }
    }
}
