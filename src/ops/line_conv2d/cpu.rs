use super::Line;
use crate::kernels::cpu::epilogue::Epilogue;
use crate::kernels::cpu::matrix::{Matrix, PackedMatrix, multiply};
use crate::kernels::cpu::parallel::{scratch, tile, write_tiles};
use crate::kernels::cpu::transpose::transpose;

/// Values of a tile of patches: 512 KiB, so that a tile stays in a core's second-level cache.
const PATCHES: usize = 128 * 1024;

/// The matrix of patches is made a tile of places at a time, and multiplied by the weight.
pub fn forward(x: &[f32], line: &Line, weight: &[f32], epilogue: Epilogue) -> Vec<f32> {
    let &Line { images, height, width, channels, features, size, .. } = line;
    let (patch, places) = (size * channels, images * height * width);
    let mut by_position = vec![0.0; weight.len()]; // (O, K, C)
    for (from, to) in weight.chunks_exact(patch).zip(by_position.chunks_exact_mut(patch)) {
        transpose(from, channels, size, to);
    }
    let packed = PackedMatrix::new(Matrix::new(&by_position, features, patch).transposed());
    let rows = (PATCHES / patch).clamp(64, 2048);
    write_tiles(places * features, rows * features, |index, output| {
        let of_tile = tile(index, rows, places);
        scratch(of_tile.len() * patch, |patches| {
            for (place, patch) in of_tile.clone().zip(patches.chunks_exact_mut(patch)) {
                line.gather(x, place, patch);
            }
            multiply(Matrix::new(patches, of_tile.len(), patch), &packed.panels(), output, false);
        });
        epilogue.finish(output);
    })
    .0
}

impl Line {
    /// What the window sees at `place`: (K, C), zeros where it lies beyond the image.
    fn gather(&self, x: &[f32], place: usize, patch: &mut [f32]) {
        let (column, row) = (place % self.width, place / self.width % self.height);
        let (at, length, step) = if self.is_row { (column, self.width, 1) } else { (row, self.height, self.width) };
        let half = self.size / 2;
        for (position, values) in patch.chunks_exact_mut(self.channels).enumerate() {
            match (at + position).checked_sub(half).filter(|seen| *seen < length) {
                Some(seen) => {
                    let pixel = place + seen * step - at * step;
                    values.copy_from_slice(&x[pixel * self.channels..][..self.channels]);
                }
                None => values.fill(0.0),
            }
        }
    }
}
