use super::AdamStep;
use crate::ops::parallel::{TILE, scratch};
use crate::ops::simd::{normal_or_zero, vectorised};
use rayon::prelude::*;

/// A parameter and its moments.
pub struct Values<'a> {
    pub parameter: &'a mut [f32],
    pub first: &'a mut [f32],
    pub second: &'a mut [f32],
}

impl<'a> Values<'a> {
    /// Pieces of `size` values; the last may be shorter.
    fn pieces(self, size: usize) -> impl IndexedParallelIterator<Item = Values<'a>> {
        let moments = self.first.par_chunks_mut(size).zip(self.second.par_chunks_mut(size));
        let pieces = self.parameter.par_chunks_mut(size).zip(moments);
        pieces.map(|(parameter, (first, second))| Values { parameter, first, second })
    }
}

/// One pass over the parameter, its gradient and its moments.
pub fn step(values: Values, gradient: &[f32], step: &AdamStep) {
    let size = TILE / 4;
    values.pieces(size).zip(gradient.par_chunks(size)).for_each(|(values, gradient)| piece(values, gradient, step));
}

/// The same with the gradient in pieces of `size` values, which `write` writes.
pub fn step_in_pieces(values: Values, size: usize, write: &(dyn Fn(usize, &mut [f32]) + Sync), step: &AdamStep) {
    values.pieces(size).enumerate().with_max_len(1).for_each(|(index, values)| {
        scratch(values.parameter.len(), |gradient| {
            write(index, gradient);
            piece(values, gradient, step);
        });
    });
}

fn piece(values: Values, gradient: &[f32], step: &AdamStep) {
    let [decay, beta2] = [step.weight_decay as f32, step.beta2 as f32];
    let [share1, share2] = [(1.0 - step.beta1) as f32, (1.0 - step.beta2) as f32];
    let [step_size, eps] = step.numbers().map(|number| number as f32);
    let Values { parameter, first, second } = values;
    vectorised(
        #[inline(always)]
        || {
            let moments = first.iter_mut().zip(second);
            for ((parameter, gradient), (first, second)) in parameter.iter_mut().zip(gradient).zip(moments) {
                let gradient = gradient + decay * *parameter;
                *first = normal_or_zero(*first + share1 * (gradient - *first));
                *second = normal_or_zero(beta2 * *second + share2 * gradient * gradient);
                *parameter -= step_size * (*first / (second.sqrt() + eps));
            }
        },
    );
}
