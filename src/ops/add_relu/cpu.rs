use crate::kernels::cpu::parallel::{TILE, tile, write_tiles};
use crate::kernels::cpu::simd::vectorised;

pub fn forward(x: &[f32], y: &[f32]) -> Vec<f32> {
    write_tiles(x.len(), TILE, |index, output| {
        let range = tile(index, TILE, x.len());
        vectorised(
            #[inline(always)]
            || {
                for ((output, x), y) in output.iter_mut().zip(&x[range.clone()]).zip(&y[range]) {
                    let sum = x + y;
                    *output = if sum <= 0.0 { 0.0 } else { sum }; // NaN stays NaN
                }
            },
        );
    })
    .0
}

/// The gradient of either argument, where that of the output is the sum of two.
pub fn gradient_of_sum([first, second]: [&[f32]; 2], output: &[f32]) -> Vec<f32> {
    write_tiles(output.len(), TILE, |index, gradient| {
        let range = tile(index, TILE, output.len());
        vectorised(
            #[inline(always)]
            || {
                let given = first[range.clone()].iter().zip(&second[range.clone()]).zip(&output[range]);
                for (gradient, ((first, second), output)) in gradient.iter_mut().zip(given) {
                    let sum = first + second;
                    *gradient = if *output <= 0.0 { 0.0 } else { sum };
                }
            },
        );
    })
    .0
}
