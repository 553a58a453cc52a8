use crate::kernels::activation::Activation;
use crate::kernels::cpu::activation::{activate_in_place, through_activation};
use crate::kernels::cpu::parallel::{fill_tiles, scratch, tile, write_tiles};
use crate::kernels::cpu::simd::vectorised;

type Dims = (usize, usize, usize, usize);

/// The largest windows: a position in one fits into a byte.
pub const LARGEST: usize = 16;

/// The maxima of the windows, activated; and for each image the position of each maximum in its window.
pub fn forward(
    x: &[f32],
    (count, height, width, channels): Dims,
    size: usize,
    activation: Activation,
) -> (Vec<f32>, Vec<Vec<u8>>) {
    let (down, across) = (height / size, width / size);
    let area = down * across * channels;
    write_tiles(count * area, area, |image, output| {
        let x = &x[image * height * width * channels..];
        let mut winners = vec![0; output.len()];
        vectorised(
            #[inline(always)]
            || {
                let windows = output.chunks_exact_mut(channels).zip(winners.chunks_exact_mut(channels));
                for (place, (largest, winners)) in windows.enumerate() {
                    let corner = (place / across * width + place % across) * size;
                    largest.copy_from_slice(&x[corner * channels..(corner + 1) * channels]);
                    for position in 1..size * size {
                        let pixel = corner + position / size * width + position % size;
                        let values = &x[pixel * channels..(pixel + 1) * channels];
                        for ((largest, winner), &value) in largest.iter_mut().zip(winners.iter_mut()).zip(values) {
                            let wins = value > *largest || value.is_nan();
                            *largest = if wins { value } else { *largest };
                            *winner = if wins { position as u8 } else { *winner };
                        }
                    }
                }
            },
        );
        activate_in_place(output, activation);
        winners
    })
}

/// `output` is that of the forward pass, after the activation.
pub fn backward(
    gradient: &[f32],
    output: &[f32],
    winners: &[Vec<u8>],
    (count, height, width, channels): Dims,
    size: usize,
    activation: Activation,
) -> Vec<f32> {
    let (down, across) = (height / size, width / size);
    let (area, of_image) = (height * width * channels, down * across * channels);
    let spread = |image: usize, before: &mut [f32]| {
        let windows = tile(image, of_image, gradient.len());
        scratch(of_image, |gradients| {
            let output = output.get(windows.clone()).unwrap_or_default();
            through_activation(&gradient[windows], output, activation, gradients);
            let windows = gradients.chunks_exact(channels).zip(winners[image].chunks_exact(channels));
            vectorised(
                #[inline(always)]
                || {
                    for (place, (gradient, winners)) in windows.enumerate() {
                        let corner = (place / across * width + place % across) * size;
                        for position in 0..size * size {
                            let pixel = corner + position / size * width + position % size;
                            let before = &mut before[pixel * channels..(pixel + 1) * channels];
                            for ((before, winner), gradient) in before.iter_mut().zip(winners).zip(gradient) {
                                *before = if *winner == position as u8 { *gradient } else { 0.0 };
                            }
                        }
                    }
                },
            );
        });
    };
    // Where every value is in a window none has to be zero before.
    let is_covered = height.is_multiple_of(size) && width.is_multiple_of(size);
    match is_covered {
        true => write_tiles(count * area, area, spread).0,
        false => fill_tiles(count * area, area, spread).0,
    }
}
