use super::AdamStep;
use crate::kernels::cpu::parallel::{TILE, scratch};
use crate::kernels::cpu::simd::{normal_or_zero, vectorised};
use crate::ops::lerp::move_towards;
use rayon::prelude::*;
use std::ops::Range;

/// Values that stay in the cache from Adam's pass over them to that of the average.
const PIECE: usize = TILE / 4;

/// A parameter, its moments, and what follows it.
pub struct Values<'a> {
    pub parameter: &'a mut [f32],
    pub first: &'a mut [f32],
    pub second: &'a mut [f32],
    pub average: Option<&'a mut [f32]>,
}

/// What is done to each of the values.
#[derive(Clone, Copy)]
pub struct Numbers {
    pub adam: AdamStep,
    /// How far the average moves.
    pub weight: f32,
}

impl<'a> Values<'a> {
    pub fn range(self, range: Range<usize>) -> Self {
        let Values { parameter, first, second, average } = self;
        Values {
            parameter: &mut parameter[range.clone()],
            first: &mut first[range.clone()],
            second: &mut second[range.clone()],
            average: average.map(|average| &mut average[range]),
        }
    }

    /// Pieces of `size` values; the last may be shorter.
    fn pieces(self, size: usize) -> Vec<Values<'a>> {
        let moments = self.first.chunks_mut(size).zip(self.second.chunks_mut(size));
        let mut averages = self.average.map(|average| average.chunks_mut(size));
        let pieces = self.parameter.chunks_mut(size).zip(moments);
        let piece = |(parameter, (first, second))| Values {
            parameter,
            first,
            second,
            average: averages.as_mut().and_then(Iterator::next),
        };
        pieces.map(piece).collect()
    }
}

/// One pass over the parameter, its gradient, its moments and its average.
pub fn step(values: Values, gradient: &[f32], numbers: Numbers) {
    let pieces = values.pieces(PIECE).into_par_iter().zip(gradient.par_chunks(PIECE));
    pieces.for_each(|(values, gradient)| step_piece(values, gradient, numbers));
}

/// The same with the gradient in pieces of `size` values, which `write` writes.
pub fn step_in_pieces(values: Values, size: usize, write: &(dyn Fn(usize, &mut [f32]) + Sync), numbers: Numbers) {
    values.pieces(size).into_par_iter().enumerate().with_max_len(1).for_each(|(index, values)| {
        scratch(values.parameter.len(), |gradient| {
            write(index, gradient);
            let pieces = values.pieces(PIECE).into_iter().zip(gradient.chunks(PIECE));
            pieces.for_each(|(values, gradient)| step_piece(values, gradient, numbers));
        });
    });
}

fn step_piece(values: Values, gradient: &[f32], Numbers { adam, weight }: Numbers) {
    let ([decay, _], beta2, shrinkage) = (adam.decays(), adam.beta2 as f32, adam.shrinkage() as f32);
    let decay = decay as f32;
    let [share1, share2] = [(1.0 - adam.beta1) as f32, (1.0 - adam.beta2) as f32];
    let [step_size, eps, _] = adam.numbers().map(|number| number as f32);
    let Values { parameter, first, second, average } = values;
    vectorised(
        #[inline(always)]
        || {
            let moments = first.iter_mut().zip(second);
            for ((parameter, gradient), (first, second)) in parameter.iter_mut().zip(gradient).zip(moments) {
                let gradient = gradient + decay * *parameter;
                *first = normal_or_zero(*first + share1 * (gradient - *first));
                *second = normal_or_zero(beta2 * *second + share2 * gradient * gradient);
                *parameter = *parameter * shrinkage - step_size * (*first / (second.sqrt() + eps));
            }
        },
    );
    if let Some(average) = average {
        move_towards(average, parameter, weight);
    }
}
