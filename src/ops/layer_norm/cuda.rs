//! Layer normalisation on CUDA.

use crate::kernels::cuda::{Array, Columns, Fresh, Gpu, Grid, Source};
use candle_core::{DType, Result};

const SOURCE: Source = Source { name: "layer_norm", text: include_str!("kernel.cu") };

/// Threads of a row.
const THREADS: u32 = 128;

pub fn forward(gpu: &Gpu, [x, weight, bias]: [Array; 3], eps: f32) -> Result<Fresh> {
    let (rows, width) = x.rows();
    let output = Fresh::new(gpu, x.dims, DType::F32)?;
    if rows > 0 {
        let arguments =
            [output.array().into(), x.into(), weight.into(), bias.into(), (width as i32).into(), eps.into()];
        // SAFETY: x and the output have so many rows, weight and bias one.
        unsafe { gpu.launch(SOURCE, DType::F32, "layer_norm", Grid::rows(rows, THREADS), &arguments)? };
    }
    Ok(output)
}

/// The gradients of x, of the weight and of the bias.
pub fn backward(gpu: &Gpu, [x, weight, gradient]: [Array; 3], eps: f32) -> Result<[Fresh; 3]> {
    let (rows, width) = x.rows();
    let columns = Columns::new(rows, width, DType::F32, false);
    let for_x = Fresh::new(gpu, x.dims, DType::F32)?;
    let [for_weight, for_bias] = [Fresh::new(gpu, &[width], DType::F32)?, Fresh::new(gpu, &[width], DType::F32)?];
    let moments = Fresh::new(gpu, &[rows, 2], DType::F32)?;
    let partial = Fresh::new(gpu, &[2, columns.chunks, width], DType::F32)?;
    let of_rows = [
        for_x.array().into(),
        moments.array().into(),
        x.into(),
        weight.into(),
        gradient.into(),
        (width as i32).into(),
        eps.into(),
    ];
    let of_columns =
        [partial.array().into(), x.into(), gradient.into(), moments.array().into(), rows.into(), (width as i32).into()];
    let finishing = [
        for_weight.array().into(),
        for_bias.array().into(),
        partial.array().into(),
        (columns.chunks as i32).into(),
        (width as i32).into(),
    ];
    // SAFETY: x and the gradients have so many rows, the partial sums two for each chunk of the grid.
    unsafe {
        if rows > 0 {
            gpu.launch(SOURCE, DType::F32, "layer_norm_gradient", Grid::rows(rows, THREADS), &of_rows)?;
        }
        gpu.launch(SOURCE, DType::F32, "layer_norm_sums", columns.grid, &of_columns)?;
        gpu.launch(SOURCE, DType::F32, "layer_norm_finish", Columns::finish(width), &finishing)?;
    }
    Ok([for_x, for_weight, for_bias])
}
