//! A square window that slides over images: the geometry that convolutions and transposed convolutions share, and the
//! kernels that go between images and the matrix of their patches.
//!
//! Images are (N, H, W, C), channels last, so that a row of a patch is contiguous. A patch is (K, K, C) flattened; the
//! matrix has a row for each place (image, row, column) of the window, and only a tile of it is made at a time.

use super::affine::Epilogue;
use super::layout::cpu::transpose;
use super::matrix::{Matrix, multiply};
use super::parallel::{self, fill_tiles, scratch, tile};
use std::ops::Range;

/// Elements of a tile of patches: 512 KiB, so that a tile stays in a core's second-level cache.
const PATCHES: usize = 128 * 1024;

/// Where a window of `size` comes to lie on images, zeros around them.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub images: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub size: usize,
    pub stride: usize,
    pub padding: usize,
    /// Places down and across an image.
    pub down: usize,
    pub across: usize,
}

/// The number of places of a window along an axis of `length`, if there is any.
pub fn places(length: usize, size: usize, stride: usize, padding: usize) -> Option<usize> {
    let room = length.checked_add(padding.checked_mul(2)?)?.checked_sub(size)?;
    Some(room.checked_div(stride)? + 1)
}

impl Window {
    fn patch(&self) -> usize {
        self.size * self.size * self.channels
    }

    fn places_of_an_image(&self) -> usize {
        self.down * self.across
    }

    fn places(&self) -> usize {
        self.images * self.places_of_an_image()
    }

    fn tile(&self) -> usize {
        let places = (PATCHES / self.patch()).clamp(64, 2048);
        places.min(self.places().div_ceil(16)).max(1)
    }

    /// The runs of a patch that lie on the image: (offset in the patch, offset in the images, length), for the place
    /// of this index; the rest of the patch is padding.
    #[inline(always)]
    fn for_each_run(&self, place: usize, mut run: impl FnMut(usize, usize, usize)) {
        let (image, within) = (place / self.places_of_an_image(), place % self.places_of_an_image());
        // The first column of the patch that is on the image, and the end of those that are.
        let left = within % self.across * self.stride;
        let first = self.padding.saturating_sub(left).min(self.size);
        let end = (self.width + self.padding).saturating_sub(left).min(self.size);
        let top = within / self.across * self.stride;
        for row in 0..self.size {
            let y = top + row;
            if y < self.padding || y >= self.height + self.padding || first >= end {
                continue;
            }
            let pixel = (image * self.height + y - self.padding) * self.width + left + first - self.padding;
            run((row * self.size + first) * self.channels, pixel * self.channels, (end - first) * self.channels);
        }
    }

    /// The patches of these places (places, K * K * C).
    fn gather(&self, images: &[f32], places: Range<usize>, patches: &mut [f32]) {
        for (place, patch) in places.zip(patches.chunks_exact_mut(self.patch())) {
            let mut written = 0;
            self.for_each_run(place, |to, from, len| {
                patch[written..to].fill(0.0);
                copy(&images[from..from + len], &mut patch[to..to + len]);
                written = to + len;
            });
            patch[written..].fill(0.0);
        }
    }

    /// The adjoint of [`Window::gather`]: adds the patches of these places to `images`, the first of which is image
    /// `first`.
    fn scatter(&self, patches: &[f32], places: Range<usize>, first: usize, images: &mut [f32]) {
        let start = first * self.height * self.width * self.channels;
        for (place, patch) in places.zip(patches.chunks_exact(self.patch())) {
            self.for_each_run(place, |from, to, len| {
                let pixels = &mut images[to - start..to - start + len];
                pixels.iter_mut().zip(&patch[from..from + len]).for_each(|(pixel, value)| *pixel += value);
            });
        }
    }

    /// The images (N, H, W, C) correlated with `weight` (O, C, K, K) at each place: (N, down, across, O).
    pub fn correlate(&self, images: &[f32], weight: &[f32], features: usize, epilogue: Epilogue) -> Vec<f32> {
        let patch = self.patch();
        let by_feature = self.channels_last(weight, features);
        let mut packed = vec![0.0; weight.len()];
        transpose(&by_feature, features, patch, &mut packed);
        let packed = Matrix::new(&packed, patch, features);
        let size = self.tile();
        fill_tiles(self.places() * features, size * features, |index, output| {
            let places = tile(index, size, self.places());
            scratch(places.len() * patch, |patches| {
                self.gather(images, places.clone(), patches);
                multiply(Matrix::new(patches, places.len(), patch), packed, output, false);
            });
            epilogue.finish(output);
        })
        .0
    }

    /// The adjoint of [`Window::correlate`] in the images: `features` (N, down, across, O) spread over the images
    /// (N, H, W, C) by `weight` (O, C, K, K).
    pub fn spread(&self, values: &[f32], weight: &[f32], features: usize, epilogue: Epilogue) -> Vec<f32> {
        let (patch, places) = (self.patch(), self.places_of_an_image());
        let image = self.height * self.width * self.channels;
        let packed = self.channels_last(weight, features);
        let packed = Matrix::new(&packed, features, patch);
        let images_a_tile = (2 * PATCHES / (places * patch).max(1)).clamp(1, 8);
        fill_tiles(self.images * image, images_a_tile * image, |index, output| {
            let images = tile(index, images_a_tile, self.images);
            let places = images.start * places..images.end * places;
            // Fewer rows at a time where an image has many, so that the patches stay in the cache.
            let rows = (2 * PATCHES / patch).max(64);
            for part in 0..places.len().div_ceil(rows) {
                let part = tile(part, rows, places.len());
                let part = places.start + part.start..places.start + part.end;
                scratch(part.len() * patch, |patches| {
                    let of_values = Matrix::new(&values[part.start * features..], part.len(), features);
                    multiply(of_values, packed, patches, false);
                    self.scatter(patches, part.clone(), images.start, output);
                });
            }
            epilogue.finish(output);
        })
        .0
    }

    /// The gradient of the weight (O, C, K, K), from that of [`Window::correlate`]'s output (N, down, across, O).
    pub fn weight_gradient(&self, images: &[f32], gradient: &[f32], features: usize) -> Vec<f32> {
        let (patch, size) = (self.patch(), self.tile());
        let tiles = self.places().div_ceil(size);
        // A fixed number of partial sums, added in order: as many as fit into 16 MiB, for up to 16 cores.
        let slots = ((1 << 22) / (patch * features)).clamp(2, 16).min(tiles);
        let parts = parallel::map(slots, |slot| {
            let mut sum = vec![0.0; patch * features];
            for index in slot * tiles / slots..(slot + 1) * tiles / slots {
                let places = tile(index, size, self.places());
                scratch(places.len() * patch, |patches| {
                    self.gather(images, places.clone(), patches);
                    let patches = Matrix::new(patches, places.len(), patch);
                    let of_gradient = Matrix::new(&gradient[places.start * features..], places.len(), features);
                    multiply(of_gradient.transposed(), patches, &mut sum, true);
                });
            }
            sum
        });
        let sum = if parts.is_empty() { vec![0.0; patch * features] } else { parallel::add_in_order(&parts) };
        let area = self.size * self.size;
        fill_tiles(sum.len(), patch, |feature, weight| {
            transpose(&sum[feature * patch..(feature + 1) * patch], area, self.channels, weight);
        })
        .0
    }

    /// The weight (O, C, K, K) as (O, K, K, C): a row for each feature, in the order of a patch.
    fn channels_last(&self, weight: &[f32], features: usize) -> Vec<f32> {
        let (patch, area) = (self.patch(), self.size * self.size);
        debug_assert_eq!(weight.len(), features * patch);
        fill_tiles(weight.len(), patch, |feature, packed| {
            transpose(&weight[feature * patch..(feature + 1) * patch], self.channels, area, packed);
        })
        .0
    }
}

/// Short runs value by value: a call of memcpy costs more.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    if from.len() <= 8 {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    } else {
        to.copy_from_slice(from);
    }
}
