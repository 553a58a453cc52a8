use crate::kernels::cpu::parallel::{TILE, fill_tiles};

/// The first `width` values of each sequence of `size`.
pub fn forward(x: &[f32], size: usize, width: usize) -> Vec<f32> {
    x.chunks_exact(size).flat_map(|sequence| &sequence[..width]).copied().collect()
}

/// The gradient of the sequences: zero but for their first values.
pub fn backward(gradient: &[f32], size: usize, width: usize) -> Vec<f32> {
    let sequences = (TILE / size).max(1);
    let (for_x, _) = fill_tiles(gradient.len() / width * size, sequences * size, |index, for_x| {
        let rows = gradient[index * sequences * width..].chunks_exact(width);
        for_x.chunks_exact_mut(size).zip(rows).for_each(|(sequence, row)| sequence[..width].copy_from_slice(row));
    });
    for_x
}
