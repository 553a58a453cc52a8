//! Antialiased bilinear resizing of a crop to a square: PyTorch's `interpolate(mode="bilinear", antialias=True,
//! align_corners=False)`, whose triangle filter is as wide as a source pixel or a target pixel, whichever is wider.

use std::ops::Range;

use super::Crop;
use crate::data::ImageShape;

/// Values that are summed side by side: an AVX-512 vector.
const LANES: usize = 16;

/// Values of the rows of a crop that are in memory at a time, 256 KiB: of a large photograph they would be hundreds of MiB.
const ROWS: usize = 1 << 16;

/// The values of memory that [`resize`] needs.
pub fn memory(crop: Crop, size: usize) -> usize {
    stride(crop) * (rows_in_memory(crop, size) + 1) + 3 * crop.width * size + taps(crop.height.max(crop.width), size)
}

/// All rows of a small crop; of others at least twice those that a row of the view takes from, so that they are moved
/// seldom.
#[inline(always)]
fn rows_in_memory(crop: Crop, size: usize) -> usize {
    (ROWS / stride(crop)).max(2 * taps(crop.height, size)).min(crop.height)
}

/// Of the rows of a crop in memory: whole blocks, so that the first pass has no rest.
#[inline(always)]
fn stride(crop: Crop) -> usize {
    (3 * crop.width).next_multiple_of(LANES)
}

/// Writes the `crop` of an image, (height, width, 3) of `shape`, resized to `size` x `size` and from [0, 255] to
/// [0, 1], into `planes`: (3, `size` columns, `size` rows), so each column of a plane is contiguous. `flip` mirrors it.
/// `memory` is as long as [`memory`] says, and arbitrary before and after.
///
/// Two passes, each of which adds whole rows of contiguous values with one weight a row: the rows of the crop, then,
/// transposed on the way, its columns.
#[inline(always)]
pub fn resize(
    (pixels, shape): (&[u8], ImageShape),
    crop: Crop,
    flip: bool,
    size: usize,
    memory: &mut [f32],
    planes: &mut [f32],
) {
    let (row, stride) = (3 * crop.width, stride(crop));
    let (source, memory) = memory.split_at_mut(stride * rows_in_memory(crop, size));
    let (sum, memory) = memory.split_at_mut(stride);
    let (columns, weights) = memory.split_at_mut(row * size);

    let mut rows = pixels.chunks_exact(3 * shape.width).skip(crop.top);
    // Which rows of the crop are in memory, one after the other.
    let mut held = 0..0;
    for y in 0..size {
        let window = window(y, crop.height, size, weights);
        if window.end > held.end {
            if window.end - held.start > source.len() / stride {
                let kept = window.start.max(held.start).min(held.end);
                source.copy_within((kept - held.start) * stride..(held.end - held.start) * stride, 0);
                held.start = kept;
            }
            let free = source[(held.end - held.start) * stride..].chunks_exact_mut(stride);
            for (values, pixels) in free.zip(&mut rows).take(crop.height - held.end) {
                let (values, padding) = values.split_at_mut(row);
                for (value, pixel) in values.iter_mut().zip(&pixels[3 * crop.left..]) {
                    *value = f32::from(*pixel) * (1.0 / 255.0);
                }
                padding.fill(0.0);
                held.end += 1;
            }
        }
        add_rows(&source[(window.start - held.start) * stride..], stride, &weights[..window.len()], sum);
        for (column, value) in columns.chunks_exact_mut(size).zip(&*sum) {
            column[y] = *value;
        }
    }
    for x in 0..size {
        let window = window(x, crop.width, size, weights);
        let to = if flip { size - 1 - x } else { x };
        for (channel, plane) in planes.chunks_exact_mut(size * size).enumerate() {
            let source = &columns[(3 * window.start + channel) * size..];
            add_rows(source, 3 * size, &weights[..window.len()], &mut plane[to * size..][..size]);
        }
    }
}

/// The most source pixels that one target pixel takes from.
#[inline(always)]
fn taps(from: usize, to: usize) -> usize {
    2 * from.div_ceil(to) + 2
}

/// The source pixels that target pixel `index` of `to` takes from, of `from`, and their weights: in f32, as PyTorch.
#[inline(always)]
fn window(index: usize, from: usize, to: usize, weights: &mut [f32]) -> Range<usize> {
    let scale = from as f32 / to as f32;
    let support = if scale > 1.0 { scale } else { 1.0 };
    let sharpness = 1.0 / support;
    let centre = scale * (index as f32 + 0.5);
    let first = (centre - support + 0.5) as usize; // below 0: 0
    let last = ((centre + support + 0.5) as usize).min(from);
    let weights = &mut weights[..last - first];
    let mut total = 0.0;
    for (pixel, weight) in (first..last).zip(&mut *weights) {
        let distance = (pixel as f32 - centre + 0.5) * sharpness;
        *weight = (1.0 - distance.abs()).clamp(0.0, 1.0);
        total += *weight;
    }
    let share = 1.0 / total;
    weights.iter_mut().for_each(|weight| *weight *= share);
    first..last
}

/// `sum` = the weighted sum of as many rows as there are weights, one every `stride` values of `source`.
#[inline(always)]
fn add_rows(source: &[f32], stride: usize, weights: &[f32], sum: &mut [f32]) {
    let (blocks, rest) = sum.as_chunks_mut::<LANES>();
    let begin = blocks.len() * LANES;
    for (index, block) in blocks.iter_mut().enumerate() {
        let mut total = [0.0; LANES];
        for (row, weight) in source.chunks(stride).zip(weights) {
            let values = &row[index * LANES..][..LANES];
            total.iter_mut().zip(values).for_each(|(total, value)| *total += weight * value);
        }
        *block = total;
    }
    for (offset, total) in rest.iter_mut().enumerate() {
        let values = source.chunks(stride).map(|row| row[begin + offset]);
        *total = values.zip(weights).fold(0.0, |total, (value, weight)| total + weight * value);
    }
}
