use crate::kernels::cpu::exponential::{normal_density, normal_distribution};
use crate::kernels::cpu::parallel::{TILE, tile, write_tiles};
use crate::kernels::cpu::simd::vectorised;

pub fn forward(x: &[f32]) -> Vec<f32> {
    let (output, _) = write_tiles(x.len(), TILE, |index, output| {
        let x = &x[tile(index, TILE, x.len())];
        vectorised(
            #[inline(always)]
            || {
                for (output, x) in output.iter_mut().zip(x) {
                    *output = x * normal_distribution(*x);
                }
            },
        );
    });
    output
}

pub fn backward(x: &[f32], gradient: &[f32]) -> Vec<f32> {
    let (for_x, _) = write_tiles(x.len(), TILE, |index, for_x| {
        let range = tile(index, TILE, x.len());
        vectorised(
            #[inline(always)]
            || {
                for ((for_x, x), gradient) in for_x.iter_mut().zip(&x[range.clone()]).zip(&gradient[range]) {
                    *for_x = gradient * (normal_distribution(*x) + x * normal_density(*x));
                }
            },
        );
    });
    for_x
}
