//! Cross-entropies of rows on CUDA.

use crate::kernels::cuda::{Array, Fresh, Gpu, Grid, Source};
use candle_core::{DType, Result};

const SOURCE: Source = Source { name: "cross_entropy", text: include_str!("kernel.cu") };

/// Threads of a row.
const THREADS: u32 = 256;

/// The mean loss of scores (N, C) with labels (N), u32, and the gradient of each row's loss (N, C).
pub fn forward(gpu: &Gpu, scores: Array, labels: Array) -> Result<(Fresh, Fresh)> {
    let (rows, classes) = (scores.dims[0], scores.dims[1]);
    let (losses, slopes) = (Fresh::new(gpu, &[rows], DType::F64)?, Fresh::new(gpu, scores.dims, DType::F32)?);
    let arguments =
        [losses.array().into(), slopes.array().into(), scores.into(), labels.into(), (classes as i32).into()];
    // SAFETY: there is a label, a loss and a row of slopes for each row of scores.
    unsafe { gpu.launch(SOURCE, DType::F32, "cross_entropy_rows", Grid::rows(rows, THREADS), &arguments)? };
    Ok((mean(gpu, losses.array())?, slopes))
}

/// NT-Xent's of cosines (2N, 2N), which become the slopes; the mean loss.
pub fn contrastive(gpu: &Gpu, cosines: Array, scale: f64) -> Result<Fresh> {
    let views = cosines.dims[0];
    let losses = Fresh::new(gpu, &[views], DType::F64)?;
    let arguments = [losses.array().into(), cosines.into(), (views as i32).into(), scale.into()];
    // SAFETY: there is a loss for each row.
    unsafe { gpu.launch(SOURCE, DType::F32, "contrastive_rows", Grid::rows(views, THREADS), &arguments)? };
    mean(gpu, losses.array())
}

fn mean(gpu: &Gpu, losses: Array) -> Result<Fresh> {
    let loss = Fresh::new(gpu, &[], DType::F32)?;
    let arguments = [loss.array().into(), losses.into(), (losses.len() as i32).into()];
    // SAFETY: there are so many losses.
    unsafe { gpu.launch(SOURCE, DType::F32, "mean_loss", Grid::rows(1, 1024), &arguments)? };
    Ok(loss)
}

/// Slopes (N, C) times the gradient of the mean loss, over N.
pub fn scaled(gpu: &Gpu, slopes: Array, of_loss: Array) -> Result<Fresh> {
    let into = Fresh::new(gpu, slopes.dims, DType::F32)?;
    let (len, rows) = (slopes.len(), slopes.dims[0] as i32);
    let arguments = [into.array().into(), of_loss.into(), slopes.into(), len.into(), rows.into()];
    // SAFETY: both have this many values.
    unsafe { gpu.launch(SOURCE, DType::F32, "scaled_slopes", Grid::over(len), &arguments)? };
    Ok(into)
}
