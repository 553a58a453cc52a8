//! NT-Xent on CUDA, as on the CPU: see `cpu.rs` for the letters.

use super::EPS;
use crate::autograd::Precision;
use crate::kernels::cuda::{Array, Fresh, Gpu, Grid, Operand, Source, multiply};
use crate::ops::cross_entropy::cuda as cross_entropy;
use candle_core::{DType, Result};
use std::ops::Range;

const SOURCE: Source = Source { name: "nt_xent", text: include_str!("kernel.cu") };

/// Threads of a row.
const THREADS: u32 = 128;

/// What the forward pass leaves for the backward one.
pub struct Views {
    /// (2N, D), each of length 1.
    directions: Fresh,
    /// (2N), f64
    lengths: Fresh,
    /// (2N, 2N): 2N Q.
    slopes: Fresh,
}

/// The loss of embeddings (N, D) on the left and on the right. Similarities are f32 in any arithmetic: they are few, and
/// their differences are divided by the temperature.
pub fn forward(gpu: &Gpu, left: Array, right: Array, temperature: f64) -> Result<(Fresh, Views)> {
    let (count, dim) = (left.dims[0], left.dims[1]);
    let views = 2 * count;
    let directions = Fresh::new(gpu, &[views, dim], DType::F32)?;
    let lengths = Fresh::new(gpu, &[views], DType::F64)?;
    let slopes = Fresh::new(gpu, &[views, views], DType::F32)?;
    let arguments = [
        directions.array().into(),
        lengths.array().into(),
        left.into(),
        right.into(),
        (count as i32).into(),
        (dim as i32).into(),
        EPS.into(),
    ];
    let rows = Operand::new(directions.array(), dim);
    let cosines = Operand::new(slopes.array(), views);
    // SAFETY: there is a direction and a length for each row of both sides.
    unsafe {
        gpu.launch(SOURCE, DType::F32, "directions", Grid::rows(views, THREADS), &arguments)?;
        multiply(gpu, (views, dim, views), rows, rows.transposed(), cosines, false, Precision::F32)?;
    }
    let scale = (1.0 / temperature).min(f64::MAX);
    let loss = cross_entropy::contrastive(gpu, slopes.array(), scale)?;
    Ok((loss, Views { directions, lengths, slopes }))
}

impl Views {
    /// The gradient of each direction, times 2N: (Q + Qᵀ) Z.
    pub fn of_directions(&self, gpu: &Gpu) -> Result<Fresh> {
        let (views, dim) = (self.directions.array().dims[0], self.directions.array().dims[1]);
        let output = Fresh::new(gpu, &[views, dim], DType::F32)?;
        let slopes = Operand::new(self.slopes.array(), views);
        let rows = Operand::new(self.directions.array(), dim);
        let into = Operand::new(output.array(), dim);
        // SAFETY: the arrays have these shapes.
        unsafe {
            multiply(gpu, (views, views, dim), slopes, rows, into, false, Precision::F32)?;
            multiply(gpu, (views, views, dim), slopes.transposed(), rows, into, true, Precision::F32)?;
        }
        Ok(output)
    }

    /// The gradient by these rows of the embeddings, from [`of_directions`](Self::of_directions) and that of the loss.
    pub fn gradient(
        &self,
        gpu: &Gpu,
        of_directions: Array,
        rows: Range<usize>,
        temperature: f64,
        of_loss: Array,
    ) -> Result<Fresh> {
        let (views, dim) = (self.directions.array().dims[0], self.directions.array().dims[1]);
        let into = Fresh::new(gpu, &[rows.len(), dim], DType::F32)?;
        let arguments = [
            into.array().into(),
            of_loss.into(),
            of_directions.into(),
            self.directions.array().into(),
            self.lengths.array().into(),
            (rows.start as i32).into(),
            (views as i32).into(),
            (dim as i32).into(),
            temperature.into(),
        ];
        // SAFETY: the rows are among the views.
        unsafe { gpu.launch(SOURCE, DType::F32, "through_directions", Grid::rows(rows.len(), THREADS), &arguments)? };
        Ok(into)
    }
}
