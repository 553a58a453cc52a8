//! From images to planes and back.

use super::{M, Winograd, pitch};
use crate::kernels::cpu::matrix::kernel::PANEL;
use crate::kernels::cpu::simd::{load, load_end, store, store_end};
use crate::kernels::cpu::winograd::tiles::Grid;
use crate::kernels::cpu::winograd::transforms::{Transforms, both_axes};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Squares of an image, to be transformed into planes. The planes are groups of channels (`group` of them, the last
/// filled up with zeros to whole vectors), each group PLANES x tiles x `group`.
pub struct Squares<'a> {
    pub grid: Grid,
    pub of_tiles: Range<usize>,
    /// (N, H, W, channels)
    pub images: &'a [f32],
    pub channels: usize,
    pub of_channels: Range<usize>,
    pub group: usize,
    /// Values from one tile to the next in a plane, where it is more than the group: the rest is left as it is.
    pub row: usize,
    pub planes: &'a mut [f32],
}

/// Transforms the pixels that a tile sees.
pub struct FromPixels<'a, const R: usize, const ALPHA: usize>(pub Squares<'a>);

/// Transforms the gradient of a tile's places.
pub struct FromPlaces<'a, const R: usize, const ALPHA: usize>(pub Squares<'a>);

impl<const R: usize, const ALPHA: usize> WithSimd for FromPixels<'_, R, ALPHA>
where
    Winograd<R, ALPHA>: Transforms<R, ALPHA>,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.0.transform::<S, ALPHA, ALPHA>(
            simd,
            #[inline(always)]
            |line| Winograd::pixels(simd, line),
        );
    }
}

impl<const R: usize, const ALPHA: usize> WithSimd for FromPlaces<'_, R, ALPHA>
where
    Winograd<R, ALPHA>: Transforms<R, ALPHA>,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.0.transform::<S, M, ALPHA>(
            simd,
            #[inline(always)]
            |line| Winograd::of_places(simd, line),
        );
    }
}

impl Squares<'_> {
    #[inline(always)]
    fn transform<S: Simd, const FROM: usize, const ALPHA: usize>(
        self,
        simd: S,
        along: impl Fn([S::f32s; FROM]) -> [S::f32s; ALPHA] + Copy,
    ) {
        let Self { grid, images, channels, of_channels, group, row: pitch_of_row, planes, .. } = self;
        let plane = pitch(self.of_tiles.len(), pitch_of_row);
        let (len, end) = (of_channels.len(), of_channels.len().div_ceil(group) * group);
        let off_image = vec![0.0; len];
        let mut down = [[simd.splat_f32s(0.0); FROM]; ALPHA];
        for (index, tile) in self.of_tiles.enumerate() {
            let mut pixels = [[&off_image[..]; FROM]; FROM];
            let square = grid.square(tile, FROM);
            for (row, pixels) in pixels.iter_mut().enumerate() {
                for (column, pixel) in pixels.iter_mut().enumerate() {
                    if let Some(at) = square.pixel(row, column) {
                        *pixel = &images[at * channels + of_channels.start..at * channels + of_channels.end];
                    }
                }
            }
            for channel in (0..end).step_by(S::F32_LANES) {
                let start = channel / group * ALPHA * ALPHA * plane + index * pitch_of_row;
                if channel + S::F32_LANES <= len {
                    both_axes(
                        simd,
                        &mut down,
                        along,
                        #[inline(always)]
                        |row, column| load::<S>(pixels[row][column], channel),
                        #[inline(always)]
                        |row, column, value| {
                            store::<S>(planes, start + (row * ALPHA + column) * plane + channel % group, value);
                        },
                    );
                } else {
                    both_axes(
                        simd,
                        &mut down,
                        along,
                        #[inline(always)]
                        |row, column| load_end(simd, pixels[row][column], channel),
                        #[inline(always)]
                        |row, column, value| {
                            let row = &mut planes[start + (row * ALPHA + column) * plane..][..group];
                            store_end(simd, row, channel % group, value);
                        },
                    );
                }
            }
        }
    }
}

/// Planes (PLANES, tiles, PANEL) of some channels, to be transformed back to images.
pub struct Planes<'a> {
    pub grid: Grid,
    pub of_tiles: Range<usize>,
    pub planes: &'a [f32],
    /// The images' pixels from `first` on, all that these tiles have: (pixels, channels).
    pub images: &'a mut [f32],
    pub first: usize,
    pub channels: usize,
    pub of_channels: Range<usize>,
}

/// Writes the places of a tile.
pub struct ToPlaces<'a, const R: usize, const ALPHA: usize>(pub Planes<'a>);

/// Adds the gradient of the pixels that a tile sees: those of neighbours overlap.
pub struct AddToPixels<'a, const R: usize, const ALPHA: usize>(pub Planes<'a>);

impl<const R: usize, const ALPHA: usize> WithSimd for ToPlaces<'_, R, ALPHA>
where
    Winograd<R, ALPHA>: Transforms<R, ALPHA>,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.0.transform::<S, ALPHA, M>(
            simd,
            #[inline(always)]
            |line| Winograd::places(simd, line),
            #[inline(always)]
            |pixel, channel, value| {
                if channel + S::F32_LANES <= pixel.len() {
                    store::<S>(pixel, channel, value);
                } else {
                    store_end(simd, pixel, channel, value);
                }
            },
        );
    }
}

impl<const R: usize, const ALPHA: usize> WithSimd for AddToPixels<'_, R, ALPHA>
where
    Winograd<R, ALPHA>: Transforms<R, ALPHA>,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.0.transform::<S, ALPHA, ALPHA>(
            simd,
            #[inline(always)]
            |line| Winograd::of_pixels(simd, line),
            #[inline(always)]
            |pixel, channel, value| {
                if channel + S::F32_LANES <= pixel.len() {
                    let sum = simd.add_f32s(load::<S>(pixel, channel), value);
                    store::<S>(pixel, channel, sum);
                } else {
                    let sum = simd.add_f32s(load_end(simd, pixel, channel), value);
                    store_end(simd, pixel, channel, sum);
                }
            },
        );
    }
}

impl Planes<'_> {
    #[inline(always)]
    fn transform<S: Simd, const ALPHA: usize, const TO: usize>(
        self,
        simd: S,
        along: impl Fn([S::f32s; ALPHA]) -> [S::f32s; TO] + Copy,
        put: impl Fn(&mut [f32], usize, S::f32s),
    ) {
        let Self { grid, planes, images, first, channels, of_channels, .. } = self;
        let plane = pitch(self.of_tiles.len(), PANEL);
        let mut down = [[simd.splat_f32s(0.0); ALPHA]; TO];
        for (index, tile) in self.of_tiles.enumerate() {
            let square = grid.square(tile, TO);
            for channel in (0..of_channels.len()).step_by(S::F32_LANES) {
                both_axes(
                    simd,
                    &mut down,
                    along,
                    #[inline(always)]
                    |row, column| load::<S>(planes, (row * ALPHA + column) * plane + index * PANEL + channel),
                    #[inline(always)]
                    |row, column, value| {
                        if let Some(pixel) = square.pixel(row, column) {
                            let start = (pixel - first) * channels;
                            put(&mut images[start + of_channels.start..start + of_channels.end], channel, value);
                        }
                    },
                );
            }
        }
    }
}
