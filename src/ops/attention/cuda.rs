//! Attention on CUDA: cuBLAS's products of all sequences at once, head by head.

use super::Sizes;
use crate::autograd::{Precision, precision};
use crate::kernels::cuda::{Argument, Array, Batch, Fresh, Gpu, Grid, Operand, Source, multiply_batch};
use candle_core::{DType, Result};

const SOURCE: Source = Source { name: "attention", text: include_str!("kernel.cu") };

/// Threads of a row.
const THREADS: u32 = 128;

/// The matrices of one head, one for each sequence.
#[derive(Clone, Copy)]
struct Heads<'a> {
    gpu: &'a Gpu,
    sizes: Sizes,
    count: usize,
}

impl Heads<'_> {
    /// (T, d) of each sequence: columns of rows of `columns`, from `start` on.
    fn columns(self, array: Array, columns: usize, start: usize) -> Batch {
        let operand =
            Operand { pointer: array.pointer + (start * size_of::<f32>()) as u64, ..Operand::new(array, columns) };
        Batch { operand, distance: self.sizes.tokens * columns }
    }

    /// The queries (0), keys (1) or values (2) of a head.
    fn part(self, qkv: Array, which: usize, head: usize) -> Batch {
        let width = self.sizes.width;
        self.columns(qkv, 3 * width, which * width + head * self.sizes.of_head())
    }

    /// (T, T) of each sequence.
    fn square(self, array: Array) -> Batch {
        Batch { operand: Operand::new(array, self.sizes.tokens), distance: self.sizes.tokens * self.sizes.tokens }
    }

    fn new_square(self) -> Result<Fresh> {
        Fresh::new(self.gpu, &[self.count, self.sizes.tokens, self.sizes.tokens], DType::F32)
    }

    /// `into` (rows, columns) = left times right, for each sequence.
    ///
    /// # Safety
    ///
    /// The batches must have these shapes.
    unsafe fn multiply(self, dims: (usize, usize, usize), left: Batch, right: Batch, into: Batch) -> Result<()> {
        // Factors that are f32 have no bf16 products; those of tf32 are not coarser.
        let precision = if precision() == Precision::F32 { Precision::F32 } else { Precision::Tf32 };
        // SAFETY: as the caller asserts.
        unsafe { multiply_batch(self.gpu, self.count, dims, [left, right, into], precision) }
    }

    /// Runs a kernel on the rows of squares.
    fn of_rows(self, kernel: &'static str, arrays: &[Array]) -> Result<()> {
        let rows = self.count * self.sizes.tokens;
        if rows == 0 {
            return Ok(());
        }
        let numbers = [(self.sizes.tokens as i32).into(), self.sizes.scale().into()];
        let arguments: Vec<Argument> = arrays.iter().map(|array| (*array).into()).chain(numbers).collect();
        // SAFETY: the arrays have so many rows of as many values as there are tokens.
        unsafe { self.gpu.launch(SOURCE, DType::F32, kernel, Grid::rows(rows, THREADS), &arguments) }
    }

    /// How much of each token's value each token takes.
    fn shares(self, qkv: Array, head: usize) -> Result<Fresh> {
        let shares = self.new_square()?;
        let Sizes { tokens, .. } = self.sizes;
        let (queries, keys) = (self.part(qkv, 0, head), self.part(qkv, 1, head).transposed());
        let into = self.square(shares.array());
        // SAFETY: the batches have these shapes.
        unsafe { self.multiply((tokens, self.sizes.of_head(), tokens), queries, keys, into)? };
        self.of_rows("softmax_rows", &[shares.array()])?;
        Ok(shares)
    }
}

/// qkv (N, T, 3 D): (N, T, D)
pub fn forward(gpu: &Gpu, qkv: Array, sizes: Sizes) -> Result<Fresh> {
    let Sizes { tokens, width, heads } = sizes;
    let output = Fresh::new(gpu, &[qkv.dims[0], tokens, width], DType::F32)?;
    let all = Heads { gpu, sizes, count: qkv.dims[0] };
    for head in 0..heads {
        let shares = all.shares(qkv, head)?;
        let into = all.columns(output.array(), width, head * sizes.of_head());
        let dims = (tokens, tokens, sizes.of_head());
        // SAFETY: the batches have these shapes.
        unsafe { all.multiply(dims, all.square(shares.array()), all.part(qkv, 2, head), into)? };
    }
    Ok(output)
}

/// The gradient of qkv, from that of the output (N, T, D).
pub fn backward(gpu: &Gpu, qkv: Array, gradient: Array, sizes: Sizes) -> Result<Fresh> {
    let Sizes { tokens, width, heads } = sizes;
    let into = Fresh::new(gpu, qkv.dims, DType::F32)?;
    let all = Heads { gpu, sizes, count: qkv.dims[0] };
    let [to_columns, to_tokens] = [(tokens, tokens, sizes.of_head()), (tokens, sizes.of_head(), tokens)];
    for head in 0..heads {
        let (shares, for_scores) = (all.shares(qkv, head)?, all.new_square()?);
        let of_output = all.columns(gradient, width, head * sizes.of_head());
        let [queries, keys, values] = [0, 1, 2].map(|which| all.part(qkv, which, head));
        let [for_queries, for_keys, for_values] = [0, 1, 2].map(|which| all.part(into.array(), which, head));
        let [of_shares, of_scores] = [&shares, &for_scores].map(|square| all.square(square.array()));
        // SAFETY: the batches have these shapes, and the parts of `into` do not overlap.
        unsafe {
            all.multiply(to_columns, of_shares.transposed(), of_output, for_values)?;
            all.multiply(to_tokens, of_output, values.transposed(), of_scores)?;
            all.of_rows("softmax_gradient", &[for_scores.array(), shares.array()])?;
            all.multiply(to_columns, of_scores, keys, for_queries)?;
            all.multiply(to_columns, of_scores.transposed(), queries, for_keys)?;
        }
    }
    Ok(into)
}
