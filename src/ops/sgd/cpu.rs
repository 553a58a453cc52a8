use super::{SgdRule, SgdStep};
use crate::kernels::cpu::parallel::{self, TILE, tile};
use crate::kernels::cpu::simd::{normal_or_zero, vectorised};
use rayon::prelude::*;

/// One pass over the parameter, its gradient and its velocity; with trust, one before it for the two norms.
pub fn step(parameter: &mut [f32], gradient: &[f32], velocity: &mut [f32], step: &SgdStep) {
    let (decay, momentum) = (step.weight_decay as f32, step.momentum as f32);
    // What the direction is scaled by as it enters the velocity, and the velocity as it enters the parameter.
    let (entering, leaving) = match step.rule {
        SgdRule::Sgd => (1.0, step.lr as f32),
        SgdRule::Lars { trust: None } => (step.lr as f32, 1.0),
        SgdRule::Lars { trust: Some(trust) } => {
            ((step.lr * trust_ratio(parameter, gradient, decay, trust)) as f32, 1.0)
        }
    };
    let tiles = parameter.par_chunks_mut(TILE).zip(gradient.par_chunks(TILE)).zip(velocity.par_chunks_mut(TILE));
    tiles.for_each(|((parameter, gradient), velocity)| {
        vectorised(
            #[inline(always)]
            || {
                for ((parameter, gradient), velocity) in parameter.iter_mut().zip(gradient).zip(velocity) {
                    let direction = gradient + decay * *parameter;
                    *velocity = normal_or_zero(momentum * *velocity + entering * direction);
                    *parameter -= leaving * *velocity;
                }
            },
        );
    });
}

/// trust * |parameter| / |gradient + decay * parameter|, or 1 where either norm is 0.
fn trust_ratio(parameter: &[f32], gradient: &[f32], decay: f32, trust: f64) -> f64 {
    let len = parameter.len();
    let parts = parallel::map(len.div_ceil(TILE), |index| {
        let range = tile(index, TILE, len);
        let squares = |values: (f64, f64), (parameter, gradient): (&f32, &f32)| {
            let direction = f64::from(gradient + decay * parameter);
            (values.0 + f64::from(*parameter) * f64::from(*parameter), values.1 + direction * direction)
        };
        parameter[range.clone()].iter().zip(&gradient[range]).fold((0.0, 0.0), squares)
    });
    let sums = parts.iter().fold((0.0, 0.0), |sums, part| (sums.0 + part.0, sums.1 + part.1));
    let (of_parameter, of_direction) = (f64::sqrt(sums.0), f64::sqrt(sums.1));
    if of_parameter > 0.0 && of_direction > 0.0 { trust * of_parameter / of_direction } else { 1.0 }
}
