//! From images to planes and back.

use super::panel::PANEL;
use super::transforms::{Axis, Places, both_axes};
use super::{PLANES, SEEN, SIDE, Tiles, pitch};
use crate::ops::simd::{load, load_end, store, store_end};
use pulp::{Simd, WithSimd};
use std::marker::PhantomData;
use std::ops::Range;

/// Transforms squares of FROM x FROM pixels by `T`. The planes are groups of channels (`group` of them, the last
/// filled up with zeros to whole vectors), each group PLANES x tiles x `group`.
pub struct ToPlanes<'a, T, const FROM: usize> {
    pub transform: PhantomData<T>,
    pub tiles: &'a Tiles,
    pub of_tiles: Range<usize>,
    /// (N, H, W, channels)
    pub images: &'a [f32],
    pub channels: usize,
    pub of_channels: Range<usize>,
    /// Pixels that a square reaches beyond its tile to the top and left.
    pub margin: usize,
    pub group: usize,
    pub planes: &'a mut [f32],
}

impl<T: Axis<FROM, SEEN>, const FROM: usize> WithSimd for ToPlanes<'_, T, FROM> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { tiles, images, channels, of_channels, group, planes, .. } = self;
        let plane = pitch(self.of_tiles.len(), group);
        let (len, end) = (of_channels.len(), of_channels.len().div_ceil(group) * group);
        let off_image = vec![0.0; len];
        let mut down = [[simd.splat_f32s(0.0); FROM]; SEEN];
        for (index, tile) in self.of_tiles.enumerate() {
            let (image, top, left) = tiles.corner(tile);
            let mut pixels = [[&off_image[..]; FROM]; FROM];
            for (row, pixels) in pixels.iter_mut().enumerate() {
                let y = (top + row).wrapping_sub(self.margin);
                for (column, pixel) in pixels.iter_mut().enumerate() {
                    let x = (left + column).wrapping_sub(self.margin);
                    if y < tiles.height && x < tiles.width {
                        let start = ((image * tiles.height + y) * tiles.width + x) * channels;
                        *pixel = &images[start + of_channels.start..start + of_channels.end];
                    }
                }
            }
            for channel in (0..end).step_by(S::F32_LANES) {
                let start = channel / group * PLANES * plane + index * group;
                if channel + S::F32_LANES <= len {
                    both_axes::<T, FROM, SEEN, S>(
                        simd,
                        &mut down,
                        #[inline(always)]
                        |row, column| load::<S>(pixels[row][column], channel),
                        #[inline(always)]
                        |row, column, value| {
                            store::<S>(planes, start + (row * SEEN + column) * plane + channel % group, value);
                        },
                    );
                } else {
                    both_axes::<T, FROM, SEEN, S>(
                        simd,
                        &mut down,
                        #[inline(always)]
                        |row, column| load_end(simd, pixels[row][column], channel),
                        #[inline(always)]
                        |row, column, value| {
                            let row = &mut planes[start + (row * SEEN + column) * plane..][..group];
                            store_end(simd, row, channel % group, value);
                        },
                    );
                }
            }
        }
    }
}

/// Transforms the planes (PLANES, tiles, PANEL) of a group of features back to places of the output.
pub struct FromPlanes<'a> {
    pub tiles: &'a Tiles,
    pub of_tiles: Range<usize>,
    pub planes: &'a [f32],
    /// The output's strips that have these tiles: (places, features).
    pub output: &'a mut [f32],
    pub features: usize,
    pub of_features: Range<usize>,
}

impl WithSimd for FromPlanes<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { tiles, planes, output, features, of_features, .. } = self;
        let plane = pitch(self.of_tiles.len(), PANEL);
        let first = tiles.first_pixel(self.of_tiles.start / tiles.across());
        let mut down = [[simd.splat_f32s(0.0); SEEN]; SIDE];
        for (index, tile) in self.of_tiles.enumerate() {
            let (image, top, left) = tiles.corner(tile);
            let (rows, columns) = (SIDE.min(tiles.height - top), SIDE.min(tiles.width - left));
            let corner = (image * tiles.height + top) * tiles.width + left - first;
            for feature in (0..of_features.len()).step_by(S::F32_LANES) {
                both_axes::<Places, SEEN, SIDE, S>(
                    simd,
                    &mut down,
                    #[inline(always)]
                    |row, column| load::<S>(planes, (row * SEEN + column) * plane + index * PANEL + feature),
                    #[inline(always)]
                    |row, column, value| {
                        if row < rows && column < columns {
                            let start = (corner + row * tiles.width + column) * features;
                            let pixel = &mut output[start + of_features.start..start + of_features.end];
                            if feature + S::F32_LANES <= pixel.len() {
                                store::<S>(pixel, feature, value);
                            } else {
                                store_end(simd, pixel, feature, value);
                            }
                        }
                    },
                );
            }
        }
    }
}
