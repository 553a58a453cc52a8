//! Losses of scores on CUDA.

use super::Rule;
use crate::kernels::cuda::{Argument, Array, Fresh, Gpu, Grid, Source};
use candle_core::{DType, Result};

const SOURCE: Source = Source { name: "score_loss", text: include_str!("kernel.cu") };

impl Rule {
    fn code(self) -> Argument<'static> {
        match self {
            Rule::CrossEntropy => Argument::Int(0),
            Rule::HalfSquare => Argument::Int(1),
            Rule::Hinge => Argument::Int(2),
            Rule::Product => Argument::Int(3),
        }
    }
}

/// The mean loss of the scores, a scalar.
pub fn mean(gpu: &Gpu, rule: Rule, scores: Array, target: f64) -> Result<Fresh> {
    let loss = Fresh::new(gpu, &[], DType::F32)?;
    let arguments = [loss.array().into(), scores.into(), scores.len().into(), rule.code(), target.into()];
    // SAFETY: there are so many scores.
    unsafe { gpu.launch(SOURCE, DType::F32, "score_loss", Grid::rows(1, 1024), &arguments)? };
    Ok(loss)
}

/// The gradient of [`mean`], times that of the loss.
pub fn gradient(gpu: &Gpu, rule: Rule, scores: Array, target: f64, of_loss: Array) -> Result<Fresh> {
    let into = Fresh::new(gpu, scores.dims, DType::F32)?;
    let len = scores.len();
    let arguments = [into.array().into(), of_loss.into(), scores.into(), len.into(), rule.code(), target.into()];
    // SAFETY: there are so many scores.
    unsafe { gpu.launch(SOURCE, DType::F32, "score_loss_gradient", Grid::over(len), &arguments)? };
    Ok(into)
}
