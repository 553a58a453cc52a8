//! Row by row: what of a row moves is one copy.

use super::{Draw, Way};
use crate::kernels::cpu::parallel::{TILE, fill_tiles};

/// Images, or gradients of them, of these dimensions, moved and cut; what nothing moves to is `fill`.
pub fn moved(
    from: &[f32],
    (_, height, width, channels): (usize, usize, usize, usize),
    draws: &[Draw],
    way: Way,
    cut: i64,
    fill: f32,
) -> Vec<f32> {
    let stride = height * width * channels;
    let images = (TILE / stride.max(1)).max(1);
    let (moved, _) = fill_tiles(from.len(), images * stride, |tile, into| {
        let first = tile * images;
        for (image, into) in into.chunks_exact_mut(stride).enumerate() {
            let from = &from[(first + image) * stride..][..stride];
            let [mut down, mut right, mut top, mut left] = draws[first + image];
            if way == Way::Back {
                // A pixel is cut where it came to lie in the square.
                (top, left) = (top - down, left - right);
                (down, right) = (-down, -right);
            }
            let columns = within(right, right + width as i64, width);
            let cut_rows = within(top, top + cut, height);
            let cut_columns = within(left, left + cut, width);
            for (y, into) in into.chunks_exact_mut(width * channels).enumerate() {
                into.fill(fill);
                let source = y as i64 - down;
                if (0..height as i64).contains(&source) && !columns.is_empty() {
                    let start = (columns.start as i64 - right) as usize;
                    let row = &from[(source as usize * width + start) * channels..][..columns.len() * channels];
                    into[columns.start * channels..columns.end * channels].copy_from_slice(row);
                }
                if cut_rows.contains(&y) {
                    into[cut_columns.start * channels..cut_columns.end * channels].fill(fill);
                }
            }
        }
    });
    moved
}

/// `from..to`, cut to `0..len`.
fn within(from: i64, to: i64, len: usize) -> std::ops::Range<usize> {
    let [from, to] = [from, to].map(|end| end.clamp(0, len as i64) as usize);
    from..to.max(from)
}
