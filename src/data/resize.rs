//! Resizes pixels with a triangle filter that widens when shrinking, as `image::imageops::resize` does, to the bit.
//!
//! That function takes every value through a pixel of four floats. This one sums whole rows, which takes less than half
//! the time: resizing took longer than decoding a JPEG.

use std::ops::Range;

/// Pixels row after row, `channels` values each.
pub struct Window<'a> {
    pub pixels: &'a [u8],
    /// Pixels in a row of all of them.
    pub row: usize,
    pub channels: usize,
    /// The part that is wanted: columns and rows.
    pub columns: Range<usize>,
    pub rows: Range<usize>,
}

/// What of the pixels along one side an output pixel takes: those from the first on, with these weights.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

/// Of each pixel along a side that is `from` pixels long and becomes `to`.
fn taps(from: usize, to: usize) -> Vec<Taps> {
    let ratio = from as f32 / to as f32;
    let support = ratio.max(1.0);
    let of = |index: usize| {
        let centre = (index as f32 + 0.5) * ratio;
        let first = ((centre - support).floor() as i64).clamp(0, from as i64 - 1) as usize;
        let past = ((centre + support).ceil() as i64).clamp(first as i64 + 1, from as i64) as usize;
        let centre = centre - 0.5; // pixels are counted from their own centres
        let triangle = |x: f32| if x.abs() < 1.0 { 1.0 - x.abs() } else { 0.0 };
        let mut weights: Vec<f32> = (first..past).map(|at| triangle((at as f32 - centre) / support)).collect();
        let mut sum = 0.0;
        weights.iter().for_each(|weight| sum += weight);
        weights.iter_mut().for_each(|weight| *weight /= sum);
        Taps { first, weights }
    };
    (0..to).map(of).collect()
}

/// The window in `width` x `height` pixels.
pub fn resize(window: &Window, width: usize, height: usize) -> Vec<u8> {
    match window.channels {
        1 => resize_channels::<1>(window, width, height),
        _ => resize_channels::<3>(window, width, height),
    }
}

fn resize_channels<const C: usize>(window: &Window, width: usize, height: usize) -> Vec<u8> {
    let (columns, rows) = (window.columns.len(), window.rows.len());
    let source = |row: usize| {
        let begin = ((window.rows.start + row) * window.row + window.columns.start) * C;
        &window.pixels[begin..begin + columns * C]
    };
    if (columns, rows) == (width, height) {
        return (0..rows).flat_map(|row| source(row).iter().copied()).collect();
    }
    let across = taps(columns, width);
    let mut resized = Vec::with_capacity(width * height * C);
    let mut sums = vec![0.0; columns * C];
    for down in taps(rows, height) {
        sums.fill(0.0);
        for (row, weight) in (down.first..).zip(&down.weights) {
            for (sum, value) in sums.iter_mut().zip(source(row)) {
                *sum += f32::from(*value) * weight;
            }
        }
        for taps in &across {
            let mut pixel = [0.0f32; C];
            let (from, _) = sums[taps.first * C..].as_chunks::<C>();
            for (values, weight) in from.iter().zip(&taps.weights) {
                for (sum, value) in pixel.iter_mut().zip(values) {
                    *sum += value * weight;
                }
            }
            resized.extend(pixel.map(rounded));
        }
    }
    resized
}

/// To the nearest, halves up, as `f32::round`, which is a call where the processor has no instruction for it.
fn rounded(value: f32) -> u8 {
    let below = value as u8; // 0 to 255, whatever the value
    below.saturating_add(u8::from(value - f32::from(below) >= 0.5))
}

#[cfg(test)]
mod tests {
    use image::imageops::{self, FilterType};
    use image::{GrayImage, RgbImage};

    use super::*;

    #[test]
    fn halves_are_rounded_up() {
        for value in [0.0f32, 0.499_999_97, 0.5, 1.5, 2.499_999_8, 254.5, 255.0, 256.0, -0.4, -0.5, -3.0, 254.499_98] {
            assert_eq!(rounded(value), value.clamp(0.0, 255.0).round() as u8, "{value}");
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_crate_image() {
        let mut state = 1u32;
        let mut noise = |length: usize| -> Vec<u8> {
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            };
            (0..length).map(|_| next()).collect()
        };
        for (from, cut, to) in [
            ((256, 256), (0, 0, 256, 256), (64, 64)),
            ((100, 75), (12, 0, 75, 75), (32, 32)),
            ((31, 47), (0, 8, 31, 31), (64, 64)),
            ((7, 5), (1, 1, 5, 4), (5, 4)),
            ((1, 300), (0, 149, 1, 1), (28, 28)),
            ((640, 480), (80, 0, 480, 480), (28, 28)),
            ((500, 333), (0, 0, 500, 333), (1, 97)),
            ((33, 9), (0, 0, 33, 9), (32, 10)),
        ] {
            let (left, top, width, height) = cut;
            for channels in [1, 3] {
                let pixels = noise(from.0 * from.1 * channels);
                let (columns, rows) = (left as usize..(left + width) as usize, top as usize..(top + height) as usize);
                let window = Window { pixels: &pixels, row: from.0, channels, columns, rows };
                let found = resize(&window, to.0, to.1);
                let (from, to) = ([from.0 as u32, from.1 as u32], [to.0 as u32, to.1 as u32]);
                let expected = match channels {
                    1 => {
                        let image = GrayImage::from_raw(from[0], from[1], pixels.clone()).unwrap();
                        let cut = imageops::crop_imm(&image, left, top, width, height);
                        imageops::resize(&*cut, to[0], to[1], FilterType::Triangle).into_raw()
                    }
                    _ => {
                        let image = RgbImage::from_raw(from[0], from[1], pixels.clone()).unwrap();
                        let cut = imageops::crop_imm(&image, left, top, width, height);
                        imageops::resize(&*cut, to[0], to[1], FilterType::Triangle).into_raw()
                    }
                };
                assert!(found == expected, "{from:?} {cut:?} {to:?} {channels}");
            }
        }
    }
}
