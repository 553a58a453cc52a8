use crate::kernels::cpu::parallel::{fill_tiles, write_tiles};
use crate::kernels::cpu::simd::vectorised;

/// A tile is one image: its places are added in order.
pub fn forward(x: &[f32], places: usize, channels: usize) -> Vec<f32> {
    let share = 1.0 / places as f32;
    fill_tiles(x.len() / places, channels, |image, mean| {
        vectorised(
            #[inline(always)]
            || {
                for place in x[image * places * channels..][..places * channels].chunks_exact(channels) {
                    mean.iter_mut().zip(place).for_each(|(sum, x)| *sum += x);
                }
                mean.iter_mut().for_each(|mean| *mean *= share);
            },
        );
    })
    .0
}

/// Every place of an image has the same share of its gradient.
pub fn backward(gradient: &[f32], places: usize, channels: usize) -> Vec<f32> {
    let share = 1.0 / places as f32;
    write_tiles(gradient.len() * places, places * channels, |image, output| {
        let gradient = &gradient[image * channels..][..channels];
        for place in output.chunks_exact_mut(channels) {
            place.iter_mut().zip(gradient).for_each(|(output, gradient)| *output = share * gradient);
        }
    })
    .0
}
