//! Pixel by pixel: each is a weighted mean of four.

use super::{TRANSFORM, folded};
use crate::kernels::cpu::parallel::{TILE, fill_tiles};

/// The four pixels that an output pixel is taken from, by their places in an image, and their weights.
type Corners = [(usize, f32); 4];

/// Images of these dimensions, each by its transform.
pub fn sampled(from: &[f32], dims: (usize, usize, usize, usize), transforms: &[f32]) -> Vec<f32> {
    let channels = dims.3;
    by_images(dims, transforms, |image, pixel, corners: Corners, into| {
        let from = &from[image..];
        for (channel, into) in into[pixel * channels..][..channels].iter_mut().enumerate() {
            *into = corners.iter().map(|(place, weight)| weight * from[place * channels + channel]).sum();
        }
    })
}

/// The transpose: the gradient of images from that of what was sampled.
pub fn spread(given: &[f32], dims: (usize, usize, usize, usize), transforms: &[f32]) -> Vec<f32> {
    let channels = dims.3;
    by_images(dims, transforms, |image, pixel, corners: Corners, into| {
        let given = &given[image + pixel * channels..][..channels];
        for (place, weight) in corners {
            for (into, given) in into[place * channels..][..channels].iter_mut().zip(given) {
                *into += weight * given;
            }
        }
    })
}

/// New images, zero at first, to which `write` brings each output pixel in turn: it gets where the image begins in a
/// batch, the number of the pixel, the pixels that it is taken from, and the new image.
fn by_images(
    (count, height, width, channels): (usize, usize, usize, usize),
    transforms: &[f32],
    write: impl Fn(usize, usize, Corners, &mut [f32]) + Sync,
) -> Vec<f32> {
    let stride = height * width * channels;
    let images = (TILE / stride.max(1)).max(1);
    let (images_of_all, _) = fill_tiles(count * stride, images * stride, |tile, into| {
        for (image, into) in into.chunks_exact_mut(stride).enumerate() {
            let image = tile * images + image;
            let transform = &transforms[image * TRANSFORM..][..TRANSFORM];
            for pixel in 0..height * width {
                let corners = corners(transform, (pixel / width, pixel % width), (height, width));
                write(image * stride, pixel, corners, into);
            }
        }
    });
    images_of_all
}

fn corners(transform: &[f32], (y, x): (usize, usize), (height, width): (usize, usize)) -> Corners {
    let (x, y) = (x as f32, y as f32);
    let u = transform[0] * x + transform[1] * y + transform[2];
    let v = transform[3] * x + transform[4] * y + transform[5];
    let (left, top) = (u.floor(), v.floor());
    let (to_right, to_bottom) = (u - left, v - top);
    // By way of i32, which the largest coordinates are cut to.
    let (left, top) = (i64::from(left as i32), i64::from(top as i32));
    let [left, right] = [left, left + 1].map(|column| folded(column, width));
    let [top, bottom] = [top, top + 1].map(|row| folded(row, height) * width);
    [
        (top + left, (1.0 - to_right) * (1.0 - to_bottom)),
        (top + right, to_right * (1.0 - to_bottom)),
        (bottom + left, (1.0 - to_right) * to_bottom),
        (bottom + right, to_right * to_bottom),
    ]
}
