use crate::kernels::activation::Activation;
use crate::kernels::cpu::activation::activate_in_place;
use crate::kernels::cpu::parallel::{TILE, tile, write_tiles};

pub fn forward(x: &[f32], activation: Activation) -> Vec<f32> {
    write_tiles(x.len(), TILE, |index, output| {
        output.copy_from_slice(&x[tile(index, TILE, x.len())]);
        activate_in_place(output, activation);
    })
    .0
}
