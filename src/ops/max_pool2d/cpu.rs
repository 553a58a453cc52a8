use std::ops::Range;

use crate::kernels::activation::Activation;
use crate::kernels::cpu::activation::{activate_in_place, through_activation};
use crate::kernels::cpu::parallel::{fill_tiles, scratch, tile, write_tiles};
use crate::kernels::cpu::simd::vectorised;
use crate::kernels::window::Window;

/// The largest windows: a position in one fits into a byte.
pub const LARGEST: usize = 16;

/// Calls `at` with (position in the window, pixel of the image) for what the window at `place` covers of the image, row
/// after row.
#[inline(always)]
fn for_each_pixel(window: &Window, place: usize, mut at: impl FnMut(usize, usize)) {
    let Window { size, stride, padding, across, .. } = *window;
    // The rows or columns of the window that lie on the image, at least one since no padding is above half a window.
    let within = |corner: usize, length: usize| -> Range<usize> {
        padding.saturating_sub(corner)..size.min(length + padding - corner)
    };
    let (top, left) = (place / across * stride, place % across * stride);
    let columns = within(left, window.width);
    for row in within(top, window.height) {
        for column in columns.clone() {
            at(row * size + column, (top + row - padding) * window.width + left + column - padding);
        }
    }
}

/// The maxima of the windows, activated; and for each image the position of each maximum in its window.
pub fn forward(x: &[f32], window: &Window, activation: Activation) -> (Vec<f32>, Vec<Vec<u8>>) {
    let channels = window.channels;
    let area = window.places_of_an_image() * channels;
    write_tiles(window.images * area, area, |image, output| {
        let x = &x[image * window.image()..];
        let mut winners = vec![0; output.len()];
        vectorised(
            #[inline(always)]
            || {
                let windows = output.chunks_exact_mut(channels).zip(winners.chunks_exact_mut(channels));
                for (place, (largest, winners)) in windows.enumerate() {
                    let mut is_first = true;
                    for_each_pixel(
                        window,
                        place,
                        #[inline(always)]
                        |position, pixel| {
                            let values = &x[pixel * channels..(pixel + 1) * channels];
                            if is_first {
                                largest.copy_from_slice(values);
                                winners.fill(position as u8);
                                is_first = false;
                                return;
                            }
                            for ((largest, winner), &value) in largest.iter_mut().zip(winners.iter_mut()).zip(values) {
                                let wins = value > *largest || value.is_nan();
                                *largest = if wins { value } else { *largest };
                                *winner = if wins { position as u8 } else { *winner };
                            }
                        },
                    );
                }
            },
        );
        activate_in_place(output, activation);
        winners
    })
}

/// The values of x at the winners of each window.
pub fn at_winners(x: &[f32], winners: &[Vec<u8>], window: &Window) -> Vec<f32> {
    let channels = window.channels;
    let area = window.places_of_an_image() * channels;
    let of_image = |image: usize, output: &mut [f32]| {
        let x = &x[image * window.image()..];
        vectorised(
            #[inline(always)]
            || {
                let windows = output.chunks_exact_mut(channels).zip(winners[image].chunks_exact(channels));
                for (place, (output, winners)) in windows.enumerate() {
                    for_each_pixel(
                        window,
                        place,
                        #[inline(always)]
                        |position, pixel| {
                            let values = &x[pixel * channels..(pixel + 1) * channels];
                            for ((output, winner), value) in output.iter_mut().zip(winners).zip(values) {
                                *output = if *winner == position as u8 { *value } else { *output };
                            }
                        },
                    );
                }
            },
        );
    };
    fill_tiles(window.images * area, area, of_image).0
}

/// `output` is that of the forward pass, after the activation.
pub fn backward(
    gradient: &[f32],
    output: &[f32],
    winners: &[Vec<u8>],
    window: &Window,
    activation: Activation,
) -> Vec<f32> {
    let &Window { images, height, width, channels, size, stride, padding, .. } = window;
    let (area, of_image) = (window.image(), window.places_of_an_image() * channels);
    let overlap = stride < size;
    let spread = |image: usize, before: &mut [f32]| {
        let windows = tile(image, of_image, gradient.len());
        scratch(of_image, |gradients| {
            let output = output.get(windows.clone()).unwrap_or_default();
            through_activation(&gradient[windows], output, activation, gradients);
            let windows = gradients.chunks_exact(channels).zip(winners[image].chunks_exact(channels));
            vectorised(
                #[inline(always)]
                || {
                    for (place, (gradient, winners)) in windows.enumerate() {
                        for_each_pixel(
                            window,
                            place,
                            #[inline(always)]
                            |position, pixel| {
                                let before = &mut before[pixel * channels..(pixel + 1) * channels];
                                for ((before, winner), gradient) in before.iter_mut().zip(winners).zip(gradient) {
                                    let share = if *winner == position as u8 { *gradient } else { 0.0 };
                                    *before = if overlap { *before + share } else { share };
                                }
                            },
                        );
                    }
                },
            );
        });
    };
    // Where every value is in one window none has to be zero before.
    let is_covered = padding == 0 && stride == size && height.is_multiple_of(size) && width.is_multiple_of(size);
    match is_covered {
        true => write_tiles(images * area, area, spread).0,
        false => fill_tiles(images * area, area, spread).0,
    }
}
