//! Image by image: its mean, then its pixels.

use super::EXTRA_COLUMNS;
use crate::kernels::cpu::parallel::{TILE, write_tiles};

/// Images of these dimensions, each by its matrix.
pub fn recoloured(from: &[f32], dims: (usize, usize, usize, usize), matrices: &[f32]) -> Vec<f32> {
    let (channels, columns) = (dims.3, dims.3 + EXTRA_COLUMNS);
    by_images(from, dims, matrices, |from, matrix, into| {
        let mean = (from.iter().map(|value| f64::from(*value)).sum::<f64>() / from.len() as f64) as f32;
        for (from, into) in from.chunks_exact(channels).zip(into.chunks_exact_mut(channels)) {
            for (row, into) in matrix.chunks_exact(columns).zip(into) {
                let mixed: f32 = row.iter().zip(from).map(|(weight, value)| weight * value).sum();
                *into = mixed + row[channels] + row[channels + 1] * mean;
            }
        }
    })
}

/// The gradient of images from that of what they became.
pub fn gradient(given: &[f32], dims: (usize, usize, usize, usize), matrices: &[f32]) -> Vec<f32> {
    let (channels, columns) = (dims.3, dims.3 + EXTRA_COLUMNS);
    by_images(given, dims, matrices, |given, matrix, into| {
        let of_mean = matrix.chunks_exact(columns).map(|row| row[channels + 1]);
        let of_pixel = |given: &[f32]| {
            of_mean.clone().zip(given).map(|(weight, given)| f64::from(weight) * f64::from(*given)).sum::<f64>()
        };
        let mean = (given.chunks_exact(channels).map(of_pixel).sum::<f64>() / given.len() as f64) as f32;
        for (given, into) in given.chunks_exact(channels).zip(into.chunks_exact_mut(channels)) {
            for (channel, into) in into.iter_mut().enumerate() {
                let rows = matrix.chunks_exact(columns).zip(given);
                *into = mean + rows.map(|(row, given)| row[channel] * given).sum::<f32>();
            }
        }
    })
}

/// New images, each written whole by `write` from the image and its matrix.
fn by_images(
    from: &[f32],
    (_, height, width, channels): (usize, usize, usize, usize),
    matrices: &[f32],
    write: impl Fn(&[f32], &[f32], &mut [f32]) + Sync,
) -> Vec<f32> {
    let (stride, matrix) = (height * width * channels, channels * (channels + EXTRA_COLUMNS));
    let images = (TILE / stride.max(1)).max(1);
    let (into, _) = write_tiles(from.len(), images * stride, |tile, into| {
        let first = tile * images;
        for (image, into) in into.chunks_exact_mut(stride).enumerate() {
            let image = first + image;
            write(&from[image * stride..][..stride], &matrices[image * matrix..][..matrix], into);
        }
    });
    into
}
