//! The matrix of patches, made a tile of places at a time, and its adjoint.
//!
//! It has one of two orders. With several channels it has a row for each place: a row of the window is contiguous in
//! the image and is copied as one run. With few channels those runs would be a handful of values long; then it has a
//! row for each value of the patch, and a run is the line of places across the image.

use crate::kernels::cpu::matrix::Matrix;
use crate::kernels::cpu::simd::{vectorised, with_vectors};
use crate::kernels::window::Window;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Up to so many channels there is a row for each value of the patch.
const FEW_CHANNELS: usize = 2;

impl Window {
    /// The patches of these places as (places, K * K * C), made in `memory` of that size, unless the images are that.
    pub fn gather<'a>(&self, images: &'a [f32], places: Range<usize>, memory: &'a mut [f32]) -> Matrix<'a> {
        let (patch, count) = (self.patch(), places.len());
        if self.is_pixels() {
            Matrix::new(&images[places.start * patch..places.end * patch], count, patch)
        } else if self.has_few_channels() {
            vectorised(
                #[inline(always)]
                || self.gather_lines(images, places, memory),
            );
            Matrix::new(memory, patch, count).transposed()
        } else {
            with_vectors(GatherRows { window: self, images, places, patches: memory });
            Matrix::new(memory, count, patch)
        }
    }

    /// Whether the matrix of patches has a row for each value of the patch.
    pub fn has_few_channels(&self) -> bool {
        self.channels <= FEW_CHANNELS
    }

    /// The adjoint of [`Window::gather`]: adds the patches (places, K * K * C) of these places to `images`, the first
    /// of which is image `first`. With few channels they are (K * K * C, places).
    pub fn scatter(&self, patches: &[f32], places: Range<usize>, first: usize, images: &mut [f32]) {
        let start = first * self.image();
        vectorised(
            #[inline(always)]
            || {
                if self.has_few_channels() {
                    return self.scatter_lines(patches, places, start, images);
                }
                for (corner, patch) in self.corners(places).zip(patches.chunks_exact(self.patch())) {
                    self.for_each_run(corner, |from, to, len| {
                        let pixels = &mut images[to - start..to - start + len];
                        pixels.iter_mut().zip(&patch[from..from + len]).for_each(|(pixel, value)| *pixel += value);
                    });
                }
            },
        );
    }

    /// The corners of these places, each from the one before: four divisions a place would take longer than a short run.
    #[inline(always)]
    fn corners(&self, places: Range<usize>) -> impl Iterator<Item = Corner> {
        let (image, within) = (places.start / self.places_of_an_image(), places.start % self.places_of_an_image());
        let (down, across) = (self.down * self.stride, self.across * self.stride);
        let mut next =
            Corner { image, top: within / self.across * self.stride, left: within % self.across * self.stride };
        places.map(
            #[inline(always)]
            move |_| {
                let corner = next;
                next.left += self.stride;
                if next.left == across {
                    (next.left, next.top) = (0, next.top + self.stride);
                }
                if next.top == down {
                    (next.top, next.image) = (0, next.image + 1);
                }
                corner
            },
        )
    }

    /// Calls `run` with (offset in the patch, offset in the images, length) for each row of the window at `corner`, as
    /// far as it lies on the image.
    #[inline(always)]
    fn for_each_run(&self, Corner { image, top, left }: Corner, mut run: impl FnMut(usize, usize, usize)) {
        // The first column of the window that is on the image, and the end of those that are.
        let first = self.padding.saturating_sub(left).min(self.size);
        let end = (self.width + self.padding).saturating_sub(left).min(self.size);
        for row in 0..self.size {
            let y = top + row;
            if y < self.padding || y >= self.height + self.padding || first >= end {
                continue;
            }
            let pixel = (image * self.height + y - self.padding) * self.width + left + first - self.padding;
            run((row * self.size + first) * self.channels, pixel * self.channels, (end - first) * self.channels);
        }
    }

    /// Calls `line` with (position in the window, index among these places, pixel, count) for each position of the
    /// window and each line of places across an image, as far as they see the image. From one place of a line to the
    /// next it is one index and `stride` pixels.
    #[inline(always)]
    fn for_each_line(&self, places: Range<usize>, mut line: impl FnMut(usize, usize, usize, usize)) {
        let mut place = places.start;
        while place < places.end {
            let (row_of_places, left) = (place / self.across, place % self.across);
            let right = (left + places.end - place).min(self.across);
            let (image, top) = (row_of_places / self.down, row_of_places % self.down * self.stride);
            for position in 0..self.size * self.size {
                let (y, column) = (top + position / self.size, position % self.size);
                // Places whose column is at least 0 and less than the width of the image.
                let first = self.padding.saturating_sub(column).div_ceil(self.stride).max(left);
                let end = (self.width + self.padding).saturating_sub(column).div_ceil(self.stride).min(right);
                if y < self.padding || y >= self.height + self.padding || first >= end {
                    continue;
                }
                let x = first * self.stride + column - self.padding;
                let pixel = (image * self.height + y - self.padding) * self.width + x;
                line(position, place - places.start + first - left, pixel, end - first);
            }
            place += right - left;
        }
    }

    #[inline(always)]
    fn gather_lines(&self, images: &[f32], places: Range<usize>, patches: &mut [f32]) {
        let (channels, count) = (self.channels, places.len());
        if self.padding > 0 {
            patches.fill(0.0);
        }
        self.for_each_line(places, |position, index, pixel, len| {
            for channel in 0..channels {
                let start = (position * channels + channel) * count + index;
                let (line, seen) = (&mut patches[start..start + len], &images[pixel * channels + channel..]);
                match self.stride * channels {
                    1 => line.copy_from_slice(&seen[..len]),
                    step => line.iter_mut().zip(seen.iter().step_by(step)).for_each(|(value, pixel)| *value = *pixel),
                }
            }
        });
    }

    /// `start` is where `images` begin among all.
    #[inline(always)]
    fn scatter_lines(&self, patches: &[f32], places: Range<usize>, start: usize, images: &mut [f32]) {
        let (channels, count) = (self.channels, places.len());
        self.for_each_line(places, |position, index, pixel, len| {
            for channel in 0..channels {
                let line = &patches[(position * channels + channel) * count + index..][..len];
                let seen = &mut images[pixel * channels + channel - start..];
                match self.stride * channels {
                    1 => seen.iter_mut().zip(line).for_each(|(pixel, value)| *pixel += value),
                    step => seen.iter_mut().step_by(step).zip(line).for_each(|(pixel, value)| *pixel += value),
                }
            }
        });
    }
}

/// Where the window stands at a place: its image, and the first row and column that it covers, with the padding counted.
#[derive(Clone, Copy)]
struct Corner {
    image: usize,
    top: usize,
    left: usize,
}

/// A row for each place.
struct GatherRows<'a> {
    window: &'a Window,
    images: &'a [f32],
    places: Range<usize>,
    patches: &'a mut [f32],
}

impl WithSimd for GatherRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.window.size * self.window.channels <= S::F32_LANES {
            // A run is less than a vector; the call that copies so few values takes longer than it copies.
            true => self.copied(
                #[inline(always)]
                |to, from| simd.partial_store_f32s(to, simd.partial_load_f32s(from)),
            ),
            false => self.copied(
                #[inline(always)]
                |to, from| to.copy_from_slice(from),
            ),
        }
    }
}

impl GatherRows<'_> {
    #[inline(always)]
    fn copied(self, copy: impl Fn(&mut [f32], &[f32])) {
        let Self { window, images, places, patches } = self;
        for (corner, patch) in window.corners(places).zip(patches.chunks_exact_mut(window.patch())) {
            let mut written = 0;
            window.for_each_run(
                corner,
                #[inline(always)]
                |to, from, len| {
                    patch[written..to].fill(0.0);
                    copy(&mut patch[to..to + len], &images[from..from + len]);
                    written = to + len;
                },
            );
            patch[written..].fill(0.0);
        }
    }
}
