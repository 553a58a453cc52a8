use super::row;
use crate::kernels::cpu::parallel::{TILE, rows_of_a_tile, tile, write_tiles};
use crate::kernels::cpu::simd::vectorised;

/// The mean loss of scores (N, C), and the gradient of each row's own (N, C).
pub fn forward(scores: &[f32], labels: &[u32]) -> (f64, Vec<f32>) {
    let classes = scores.len() / labels.len();
    let size = rows_of_a_tile(classes);
    let (slopes, losses) = write_tiles(scores.len(), size * classes, |index, slopes| {
        slopes.copy_from_slice(&scores[tile(index, size * classes, scores.len())]);
        vectorised(
            #[inline(always)]
            || {
                let labels = &labels[tile(index, size, labels.len())];
                let mut sum = 0.0;
                for (row, label) in slopes.chunks_exact_mut(classes).zip(labels) {
                    sum += row::cross_entropy(row, *label as usize, None, 1.0);
                }
                sum
            },
        )
    });
    (losses.iter().sum::<f64>() / labels.len() as f64, slopes)
}

pub fn scaled(values: &[f32], factor: f32) -> Vec<f32> {
    write_tiles(values.len(), TILE, |index, output| {
        let values = &values[tile(index, TILE, values.len())];
        output.iter_mut().zip(values).for_each(|(output, value)| *output = value * factor);
    })
    .0
}
