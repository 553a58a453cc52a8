//! Transposes on CUDA.

use crate::kernels::cuda::{Array, Fresh, Gpu, Grid, Source};
use candle_core::Result;

const SOURCE: Source = Source { name: "layout", text: include_str!("kernel.cu") };

/// x (N, A, B), each of the N matrices transposed: (N, B, A).
pub fn transpose_each(gpu: &Gpu, x: Array, (count, rows, columns): (usize, usize, usize)) -> Result<Fresh> {
    let output = Fresh::new(gpu, &[count, columns, rows], x.dtype)?;
    let tiles = rows.div_ceil(32) * columns.div_ceil(32);
    // The grid's second dimension ends at 65535.
    for first in (0..count).step_by(65535) {
        let matrices = (count - first).min(65535);
        let offset = (first * rows * columns * x.dtype.size_in_bytes()) as u64;
        let [into, from] = [output.array(), x].map(|array| Array { pointer: array.pointer + offset, ..array });
        let grid = Grid { blocks: (tiles as u32, matrices as u32), threads: (32, 8) };
        let arguments = [into.into(), from.into(), (rows as i32).into(), (columns as i32).into()];
        // SAFETY: both have so many matrices of these dimensions.
        unsafe { gpu.launch(SOURCE, x.dtype, "transpose", grid, &arguments)? };
    }
    Ok(output)
}
