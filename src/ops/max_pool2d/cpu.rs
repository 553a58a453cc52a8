use crate::ops::parallel::{fill_tiles, tile, write_tiles};
use crate::ops::simd::vectorised;

type Dims = (usize, usize, usize, usize);

/// The maxima of the windows, and the position of each in its window.
pub fn forward(x: &[f32], (count, height, width, channels): Dims, size: usize) -> (Vec<f32>, Vec<u32>) {
    let (down, across) = (height / size, width / size);
    let area = down * across * channels;
    let (output, winners) = write_tiles(count * area, area, |image, output| {
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
                            *winner = if wins { position as u32 } else { *winner };
                        }
                    }
                }
            },
        );
        winners
    });
    (output, winners.concat())
}

pub fn backward(gradient: &[f32], winners: &[u32], (count, height, width, channels): Dims, size: usize) -> Vec<f32> {
    let (down, across) = (height / size, width / size);
    let (area, of_image) = (height * width * channels, down * across * channels);
    fill_tiles(count * area, area, |image, output| {
        let windows = tile(image, of_image, gradient.len());
        let windows = gradient[windows.clone()].chunks_exact(channels).zip(winners[windows].chunks_exact(channels));
        vectorised(
            #[inline(always)]
            || {
                for (place, (gradient, winners)) in windows.enumerate() {
                    let corner = (place / across * width + place % across) * size;
                    for position in 0..size * size {
                        let pixel = corner + position / size * width + position % size;
                        let output = &mut output[pixel * channels..(pixel + 1) * channels];
                        for ((output, winner), gradient) in output.iter_mut().zip(winners).zip(gradient) {
                            *output = if *winner == position as u32 { *gradient } else { 0.0 };
                        }
                    }
                }
            },
        );
    })
    .0
}
