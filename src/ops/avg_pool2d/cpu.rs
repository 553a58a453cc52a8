use super::seen;
use crate::kernels::cpu::parallel::{scratch, write_tiles};
use crate::kernels::cpu::simd::vectorised;

/// A row of an image at a time: the sum of the rows that it sees, then of the pixels in that.
pub fn forward(x: &[f32], [height, width, channels]: [usize; 3], size: usize) -> Vec<f32> {
    let (line, half) = (width * channels, size / 2);
    write_tiles(x.len(), line, |index, output| {
        let (image, row) = (&x[index / height * height * line..], index % height);
        let rows = seen(row, height, half);
        scratch(line, |sums| {
            vectorised(
                #[inline(always)]
                || {
                    sums.copy_from_slice(&image[rows.start * line..][..line]);
                    for row in rows.start + 1..rows.end {
                        add(sums, &image[row * line..][..line]);
                    }
                    for (column, output) in output.chunks_exact_mut(channels).enumerate() {
                        let columns = seen(column, width, half);
                        output.copy_from_slice(&sums[columns.start * channels..][..channels]);
                        for column in columns.start + 1..columns.end {
                            add(output, &sums[column * channels..][..channels]);
                        }
                        let count = (rows.len() * columns.len()) as f32;
                        output.iter_mut().for_each(|value| *value /= count);
                    }
                },
            );
        });
    })
    .0
}

#[inline(always)]
fn add(sums: &mut [f32], values: &[f32]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}
