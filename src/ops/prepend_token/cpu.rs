use crate::kernels::cpu::parallel::{fill_tiles, tile, write_tiles};
use crate::kernels::cpu::simd::vectorised;

/// Columns of a task of the sums over all sequences.
const COLUMNS: usize = 1024;

/// Each sequence of `patches` behind the token, with the positions added.
pub fn forward(patches: &[f32], token: &[f32], positions: &[f32]) -> Vec<f32> {
    let (size, width) = (positions.len(), token.len());
    let count = patches.len() / (size - width);
    let (sequences, _) = write_tiles(count * size, size, |index, sequence| {
        let patches = &patches[index * (size - width)..][..size - width];
        let (first, rest) = sequence.split_at_mut(width);
        let (of_token, of_patches) = positions.split_at(width);
        vectorised(
            #[inline(always)]
            || {
                for ((sum, value), position) in first.iter_mut().zip(token).zip(of_token) {
                    *sum = value + position;
                }
                for ((sum, value), position) in rest.iter_mut().zip(patches).zip(of_patches) {
                    *sum = value + position;
                }
            },
        );
    });
    sequences
}

/// The gradient of the patches: that of each sequence of `size` values without its first `width`.
pub fn for_patches(gradient: &[f32], size: usize, width: usize) -> Vec<f32> {
    let count = gradient.len() / size;
    let (patches, _) = write_tiles(count * (size - width), size - width, |index, patches| {
        patches.copy_from_slice(&gradient[index * size + width..(index + 1) * size]);
    });
    patches
}

/// The gradient of the positions: the sum over all sequences of `size` values. That of the token is its beginning.
pub fn for_positions(gradient: &[f32], size: usize) -> Vec<f32> {
    let (sums, _) = fill_tiles(size, COLUMNS, |index, sums| {
        let range = tile(index, COLUMNS, size);
        let mut exact = vec![0f64; range.len()];
        vectorised(
            #[inline(always)]
            || {
                for sequence in gradient.chunks_exact(size) {
                    for (sum, value) in exact.iter_mut().zip(&sequence[range.clone()]) {
                        *sum += f64::from(*value);
                    }
                }
            },
        );
        sums.iter_mut().zip(exact).for_each(|(sum, exact)| *sum = exact as f32);
    });
    sums
}
