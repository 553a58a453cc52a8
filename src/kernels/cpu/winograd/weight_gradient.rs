//! The gradient of the weight: in each plane, the product of the images' channels by tiles with the gradient's tiles
//! by features.
//!
//! A task has a square of channels and features and a share of the tiles, so that its sums stay in a core's
//! second-level cache while it goes through the tiles block by block. Each task transforms what it needs itself.

use super::{Winograd, pitch};
use crate::kernels::cpu::matrix::kernel::{PANEL, PanelProduct};
use crate::kernels::cpu::parallel::{self, fill_tiles, scratch, tile};
use crate::kernels::cpu::simd::{load, store, with_vectors};
use crate::kernels::cpu::transpose::transpose;
use crate::kernels::cpu::winograd::planes::{FromPixels, FromPlaces, Squares};
use crate::kernels::cpu::winograd::transforms::{Transforms, both_axes};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Tiles of a block: so many that reading and writing the sums takes little of the time.
const TILES: usize = 64;

/// Channels of a task.
const CHANNELS: usize = 64;

/// Features of a task, whole panels.
const FEATURES: usize = 4 * PANEL;

/// Tasks there should be at least, where there are tiles enough, for machines with many cores.
const TASKS: usize = 16;

/// Some channels and some features.
struct Square {
    of_channels: Range<usize>,
    of_features: Range<usize>,
}

impl<const R: usize, const ALPHA: usize> Winograd<R, ALPHA>
where
    Self: Transforms<R, ALPHA>,
{
    /// [`WinogradConv::weight_gradient`](crate::kernels::cpu::winograd::WinogradConv::weight_gradient)
    pub(crate) fn gradient_of_weight(&self, images: &[f32], gradient: &[f32]) -> Vec<f32> {
        let (tiles, channels, features) = (&self.tiles, self.tiles.window.channels, self.features);
        let strips = tiles.strips_of_a_block(TILES);
        let blocks = tiles.strips().div_ceil(strips);
        let (down, across) = (features.div_ceil(FEATURES), channels.div_ceil(CHANNELS));
        let square = |index: usize| Square {
            of_channels: tile(index % across, CHANNELS, channels),
            of_features: tile(index / across, FEATURES, features),
        };
        let shares = TASKS.div_ceil(down * across).min(blocks);
        let parts = parallel::map(down * across * shares, |task| {
            let share = task % shares;
            let blocks = share * blocks / shares..(share + 1) * blocks / shares;
            let blocks = blocks.map(|block| tiles.of_strips(tile(block, strips, tiles.strips())));
            self.part(images, gradient, &square(task / shares), blocks)
        });
        // The shares of a square are added in order.
        let row = channels * tiles.window.size * tiles.window.size;
        let (weight, _) = fill_tiles(features * row, PANEL * row, |panel, weight| {
            for range in 0..across {
                let index = panel * PANEL / FEATURES * across + range;
                let of_channels = square(index).of_channels;
                let len = of_channels.len() * Self::AREA;
                scratch(2 * len * PANEL, |memory| {
                    let (sum, turned) = memory.split_at_mut(len * PANEL);
                    for phase in 0..tiles.phases() {
                        sum.fill(0.0);
                        let start = (panel % (FEATURES / PANEL) * tiles.phases() + phase) * len * PANEL;
                        for part in &parts[index * shares..(index + 1) * shares] {
                            sum.iter_mut().zip(&part[start..]).for_each(|(sum, value)| *sum += value);
                        }
                        transpose(sum, len, PANEL, turned);
                        for (weight, turned) in weight.chunks_exact_mut(row).zip(turned.chunks_exact(len)) {
                            self.put_kernels(turned, phase, &of_channels, weight);
                        }
                    }
                });
            }
        });
        weight
    }

    /// Puts the kernels of some channels (channels, R, R) into their phase of a feature's weight (C, K, K).
    fn put_kernels(&self, kernels: &[f32], phase: usize, of_channels: &Range<usize>, weight: &mut [f32]) {
        let (size, stride) = (self.tiles.window.size, self.tiles.window.stride);
        let weight = &mut weight[of_channels.start * size * size..];
        if stride == 1 {
            weight[..kernels.len()].copy_from_slice(kernels);
            return;
        }
        let (first_row, first_column) = self.tiles.of_phase(phase);
        for (kernel, weight) in kernels.chunks_exact(Self::AREA).zip(weight.chunks_exact_mut(size * size)) {
            let rows = weight.chunks_exact_mut(size).skip(first_row).step_by(stride);
            for (kernel, weight) in kernel.chunks_exact(R).zip(rows) {
                let weight = weight.iter_mut().skip(first_column).step_by(stride);
                kernel.iter().zip(weight).for_each(|(value, weight)| *weight = *value);
            }
        }
    }

    /// What the tiles of these blocks give to the kernels of a square: for each panel of features and phase
    /// (channels, AREA, PANEL).
    fn part(
        &self,
        images: &[f32],
        gradient: &[f32],
        square: &Square,
        blocks: impl Iterator<Item = Range<usize>>,
    ) -> Vec<f32> {
        let (tiles, phases) = (&self.tiles, self.tiles.phases());
        let channels = square.of_channels.len();
        let panels = square.of_features.len().div_ceil(PANEL);
        let mut part = vec![0.0; panels * phases * Self::AREA * channels * PANEL];
        scratch(panels * phases * Self::PLANES * pitch(channels, PANEL), |sums| {
            for (index, of_tiles) in blocks.enumerate() {
                let count = of_tiles.len();
                let sizes = [pitch(count, channels), pitch(count, PANEL), pitch(channels, PANEL)];
                scratch(Self::PLANES * (sizes[0] + panels * sizes[1]), |memory| {
                    let (seen, given) = memory.split_at_mut(Self::PLANES * sizes[0]);
                    with_vectors(FromPlaces::<R, ALPHA>(Squares {
                        grid: tiles.places(),
                        of_tiles: of_tiles.clone(),
                        images: gradient,
                        channels: self.features,
                        of_channels: square.of_features.clone(),
                        group: PANEL,
                        row: PANEL,
                        planes: given,
                    }));
                    for phase in 0..phases {
                        with_vectors(FromPixels::<R, ALPHA>(Squares {
                            grid: tiles.pixels(phase),
                            of_tiles: of_tiles.clone(),
                            images,
                            channels: tiles.window.channels,
                            of_channels: square.of_channels.clone(),
                            group: channels,
                            row: channels,
                            planes: seen,
                        }));
                        let given = given.chunks_exact(Self::PLANES * sizes[1]);
                        let sums = sums.chunks_exact_mut(Self::PLANES * sizes[2]).skip(phase).step_by(phases);
                        for (given, sums) in given.zip(sums) {
                            let factors = seen.chunks_exact(sizes[0]).zip(given.chunks_exact(sizes[1]));
                            for ((left, right), product) in factors.zip(sums.chunks_exact_mut(sizes[2])) {
                                with_vectors(PanelProduct {
                                    left,
                                    row_stride: 1,
                                    column_stride: channels,
                                    right: &right[..count * PANEL],
                                    product: &mut product[..channels * PANEL],
                                    rows: channels,
                                    columns: PANEL,
                                    stride: PANEL,
                                    accumulate: index > 0,
                                });
                            }
                        }
                    }
                });
            }
            let sums = sums.chunks_exact(Self::PLANES * pitch(channels, PANEL));
            for (planes, weights) in sums.zip(part.chunks_exact_mut(Self::AREA * channels * PANEL)) {
                with_vectors(ToWeights::<R, ALPHA> { planes, weights, channels });
            }
        });
        part
    }
}

/// Transforms the planes (PLANES, channels, PANEL) back to the values of kernels: (channels, AREA, PANEL).
struct ToWeights<'a, const R: usize, const ALPHA: usize> {
    planes: &'a [f32],
    weights: &'a mut [f32],
    channels: usize,
}

impl<const R: usize, const ALPHA: usize> WithSimd for ToWeights<'_, R, ALPHA>
where
    Winograd<R, ALPHA>: Transforms<R, ALPHA>,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut down = [[simd.splat_f32s(0.0); ALPHA]; R];
        for channel in 0..self.channels {
            for start in (0..PANEL).step_by(S::F32_LANES) {
                both_axes(
                    simd,
                    &mut down,
                    #[inline(always)]
                    |line| Winograd::of_weights(simd, line),
                    #[inline(always)]
                    |row, column| {
                        let plane = (row * ALPHA + column) * pitch(self.channels, PANEL);
                        load::<S>(self.planes, plane + channel * PANEL + start)
                    },
                    #[inline(always)]
                    |row, column, value| {
                        let kernel = channel * R * R + row * R + column;
                        store::<S>(self.weights, kernel * PANEL + start, value);
                    },
                );
            }
        }
    }
}
