use super::Sizes;
use crate::kernels::cpu::matrix::{Matrix, multiply_unpacked};
use crate::kernels::cpu::parallel::{scratch, write_tiles};
use crate::kernels::cpu::simd::vectorised;
use crate::ops::cross_entropy::row::{dot, softmax};

/// The heads' queries, keys and values of one sequence, rows of 3 D.
#[derive(Clone, Copy)]
struct Sequence<'a> {
    values: &'a [f32],
    sizes: Sizes,
}

impl<'a> Sequence<'a> {
    /// (T, d): what a head has of the queries (0), the keys (1) or the values (2).
    fn part(self, which: usize, head: usize) -> Matrix<'a> {
        let Sizes { tokens, width, .. } = self.sizes;
        let start = which * width + head * self.sizes.of_head();
        Matrix::strided(&self.values[start..], tokens, self.sizes.of_head(), 3 * width)
    }

    /// Writes how much of each token's value each token takes, (T, T).
    fn shares(self, head: usize, shares: &mut [f32]) {
        multiply_unpacked(self.part(0, head), self.part(1, head).transposed(), shares, false);
        let scale = self.sizes.scale();
        vectorised(
            #[inline(always)]
            || shares.chunks_exact_mut(self.sizes.tokens).for_each(|row| softmax(row, scale)),
        );
    }
}

/// A sequence a task: its scores stay in the cache.
pub fn forward(qkv: &[f32], sizes: Sizes) -> Vec<f32> {
    let Sizes { tokens, width, heads } = sizes;
    let (output, _) = write_tiles(qkv.len() / 3, tokens * width, |index, output| {
        let values = &qkv[index * 3 * tokens * width..][..3 * tokens * width];
        let sequence = Sequence { values, sizes };
        scratch(tokens * (tokens + sizes.of_head()), |memory| {
            let (shares, mixed) = memory.split_at_mut(tokens * tokens);
            for head in 0..heads {
                sequence.shares(head, shares);
                multiply_unpacked(Matrix::new(shares, tokens, tokens), sequence.part(2, head), mixed, false);
                write_columns(mixed, output, width, head * sizes.of_head(), sizes.of_head());
            }
        });
    });
    output
}

/// The gradient of qkv.
pub fn backward(qkv: &[f32], gradient: &[f32], sizes: Sizes) -> Vec<f32> {
    let Sizes { tokens, width, heads } = sizes;
    let of_head = sizes.of_head();
    let (for_qkv, _) = write_tiles(qkv.len(), 3 * tokens * width, |index, for_sequence| {
        let values = &qkv[index * 3 * tokens * width..][..3 * tokens * width];
        let (sequence, gradient) = (Sequence { values, sizes }, &gradient[index * tokens * width..]);
        scratch(tokens * (2 * tokens + of_head), |memory| {
            let (shares, rest) = memory.split_at_mut(tokens * tokens);
            let (for_scores, part) = rest.split_at_mut(tokens * tokens);
            for head in 0..heads {
                let of_output = Matrix::strided(&gradient[head * of_head..], tokens, of_head, width);
                let mut write = |which: usize, part: &[f32]| {
                    write_columns(part, for_sequence, 3 * width, which * width + head * of_head, of_head);
                };
                sequence.shares(head, shares);
                let of_shares = Matrix::new(shares, tokens, tokens);
                multiply_unpacked(of_shares.transposed(), of_output, part, false);
                write(2, part);
                multiply_unpacked(of_output, sequence.part(2, head).transposed(), for_scores, false);
                before_softmax(shares, for_scores, tokens, sizes.scale());
                let for_scores = Matrix::new(for_scores, tokens, tokens);
                multiply_unpacked(for_scores, sequence.part(1, head), part, false);
                write(0, part);
                multiply_unpacked(for_scores.transposed(), sequence.part(0, head), part, false);
                write(1, part);
            }
        });
    });
    for_qkv
}

/// Gradients of rows of shares become those of the scores that they are the softmax of.
fn before_softmax(shares: &[f32], gradients: &mut [f32], tokens: usize, scale: f32) {
    vectorised(
        #[inline(always)]
        || {
            for (row, gradient) in shares.chunks_exact(tokens).zip(gradients.chunks_exact_mut(tokens)) {
                let average = dot(row, gradient) as f32;
                for (gradient, share) in gradient.iter_mut().zip(row) {
                    *gradient = scale * share * (*gradient - average);
                }
            }
        },
    );
}

/// Rows of `len` values into rows of `width`, from the column `start` on.
fn write_columns(rows: &[f32], into: &mut [f32], width: usize, start: usize, len: usize) {
    for (row, into) in rows.chunks_exact(len).zip(into.chunks_exact_mut(width)) {
        into[start..start + len].copy_from_slice(row);
    }
}
