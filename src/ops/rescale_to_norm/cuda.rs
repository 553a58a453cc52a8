//! Rows rescaled to one norm on CUDA, a block each.

use crate::kernels::cuda::{Array, Fresh, Gpu, Grid, Source};
use candle_core::Result;

const SOURCE: Source = Source { name: "rescale_to_norm", text: include_str!("kernel.cu") };

/// Threads of a row.
const THREADS: u32 = 128;

pub fn rescaled(gpu: &Gpu, x: Array, norm: f64) -> Result<Fresh> {
    let into = Fresh::new(gpu, x.dims, x.dtype)?;
    let rows = x.dims.first().copied().unwrap_or(1);
    if !x.is_empty() {
        let arguments = [into.array().into(), x.into(), (x.len() / rows).into(), norm.into()];
        // SAFETY: both have so many rows of so many values.
        unsafe { gpu.launch(SOURCE, x.dtype, "rescale_to_norm", Grid::rows(rows, THREADS), &arguments)? };
    }
    Ok(into)
}
