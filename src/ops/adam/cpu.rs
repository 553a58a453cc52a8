use super::AdamStep;
use crate::ops::parallel::TILE;
use crate::ops::simd::{normal_or_zero, vectorised};
use rayon::prelude::*;

/// One pass over the parameter, its gradient and its moments.
pub fn step(parameter: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32], step: &AdamStep) {
    let size = TILE / 4;
    let moments = first.par_chunks_mut(size).zip(second.par_chunks_mut(size));
    let tiles = parameter.par_chunks_mut(size).zip(gradient.par_chunks(size)).zip(moments);
    let [decay, beta2] = [step.weight_decay as f32, step.beta2 as f32];
    let [share1, share2] = [(1.0 - step.beta1) as f32, (1.0 - step.beta2) as f32];
    let [step_size, eps] = step.numbers().map(|number| number as f32);
    tiles.for_each(|((parameter, gradient), (first, second))| {
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
    });
}
