use crate::kernels::cpu::parallel::{add_in_order_f64, rows_of_a_tile, tile, write_tiles};
use crate::kernels::cpu::simd::vectorised;

/// Sums at a time: a vector of AVX-512.
const LANES: usize = 16;

/// Rows of x, each normalised, scaled and shifted.
pub fn forward(x: &[f32], weight: &[f32], bias: &[f32], eps: f32) -> Vec<f32> {
    let width = weight.len();
    let size = rows_of_a_tile(width) * width;
    let (output, _) = write_tiles(x.len(), size, |index, output| {
        let x = &x[tile(index, size, x.len())];
        vectorised(
            #[inline(always)]
            || {
                for (row, output) in x.chunks_exact(width).zip(output.chunks_exact_mut(width)) {
                    let (mean, scale) = moments(row, eps);
                    for (((output, x), weight), bias) in output.iter_mut().zip(row).zip(weight).zip(bias) {
                        *output = (x - mean) * scale * weight + bias;
                    }
                }
            },
        );
    });
    output
}

/// The gradients of x, of the weight and of the bias.
pub fn backward(x: &[f32], weight: &[f32], gradient: &[f32], eps: f32) -> [Vec<f32>; 3] {
    let width = weight.len();
    let size = rows_of_a_tile(width) * width;
    let (for_x, sums) = write_tiles(x.len(), size, |index, for_x| {
        let range = tile(index, size, x.len());
        let (x, gradient) = (&x[range.clone()], &gradient[range]);
        let mut sums = vec![0.0; 2 * width];
        vectorised(
            #[inline(always)]
            || {
                let (of_weight, of_bias) = sums.split_at_mut(width);
                let rows = x.chunks_exact(width).zip(gradient.chunks_exact(width));
                for ((row, gradient), for_x) in rows.zip(for_x.chunks_exact_mut(width)) {
                    backward_of_row((row, gradient), weight, eps, [for_x, of_weight, of_bias]);
                }
            },
        );
        sums
    });
    let sums = add_in_order_f64(&sums, 2 * width);
    let [for_weight, for_bias] =
        [&sums[..width], &sums[width..]].map(|sums| sums.iter().map(|sum| *sum as f32).collect());
    [for_x, for_weight, for_bias]
}

/// Writes the gradient of a row, and adds its parts to those of the weight and of the bias.
#[inline(always)]
fn backward_of_row(
    (row, gradient): (&[f32], &[f32]),
    weight: &[f32],
    eps: f32,
    [for_row, of_weight, of_bias]: [&mut [f32]; 3],
) {
    let (mean, scale) = moments(row, eps);
    let share = 1.0 / row.len() as f32;
    // d / scale = w g - mean(w g) - n mean(w g n), where n is the normalised row.
    for ((scaled, gradient), weight) in for_row.iter_mut().zip(gradient).zip(weight) {
        *scaled = gradient * weight;
    }
    let average = share * sum_of(for_row, row, |scaled, _| scaled);
    let along = share * sum_of(for_row, row, |scaled, x| scaled * ((x - mean) * scale));
    let of_parameters = of_weight.iter_mut().zip(of_bias);
    for (((scaled, x), gradient), (of_weight, of_bias)) in for_row.iter_mut().zip(row).zip(gradient).zip(of_parameters)
    {
        let normalised = (x - mean) * scale;
        *of_weight += gradient * normalised;
        *of_bias += gradient;
        *scaled = scale * (*scaled - average - normalised * along);
    }
}

/// The mean of a row, and one over the root of its biased variance plus `eps`.
#[inline(always)]
fn moments(row: &[f32], eps: f32) -> (f32, f32) {
    let share = 1.0 / row.len() as f32;
    let mean = share * sum_of(row, row, |x, _| x);
    let variance = share * sum_of(row, row, |x, _| (x - mean) * (x - mean));
    (mean, 1.0 / (variance + eps).sqrt())
}

/// The sum of what `term` makes of each pair of values, in lanes, which is what lets the compiler use vectors.
#[inline(always)]
fn sum_of(x: &[f32], y: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0; LANES];
    let (x_lines, y_lines) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let ends = x_lines.remainder().iter().zip(y_lines.remainder());
    for (x, y) in x_lines.zip(y_lines) {
        for lane in 0..LANES {
            sums[lane] += term(x[lane], y[lane]);
        }
    }
    for (sum, (x, y)) in sums.iter_mut().zip(ends) {
        *sum += term(*x, *y);
    }
    sums.iter().sum()
}
