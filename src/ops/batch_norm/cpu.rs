use crate::ops::activation::Activation;
use crate::ops::activation::cpu::{activate_in_place, through_activation};
use crate::ops::parallel::{self, TILE, fill_tiles, rows_of_a_tile, tile};
use crate::ops::simd::vectorised;
use std::ops::Range;

/// Each channel's mean and the inverse of its standard deviation.
#[derive(Clone, Copy)]
pub struct Statistics<'a> {
    pub mean: &'a [f32],
    pub scale: &'a [f32],
}

/// Reductions over rows run on blocks of up to so many channels: wide rows would leave too few rows in a tile.
const CHANNELS: usize = 256;

/// And of up to so many rows, the longest sums that are taken in f32: blocks are joined in f64. With the 512 rows that
/// a tile of 64 channels has, a running mean was 17 times as far from the truth as PyTorch's, with 32 it is nearer.
const ROWS: usize = 32;

/// The rows and channels of every block of a matrix with rows of `channels`, block columns outermost.
fn blocks(len: usize, channels: usize) -> Vec<(Range<usize>, Range<usize>)> {
    let (rows, width) = (len / channels, channels.min(CHANNELS));
    let height = (TILE / width).min(ROWS);
    let down = |of_channels: Range<usize>| {
        (0..rows.div_ceil(height)).map(move |row| (tile(row, height, rows), of_channels.clone()))
    };
    (0..channels.div_ceil(width)).flat_map(|column| down(tile(column, width, channels))).collect()
}

/// The mean and the biased variance of each channel of `x`, rows of `channels`.
///
/// Each block takes its mean and then its squared distances from that mean, while it is in the cache; blocks are
/// joined in f64 (Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
/// 1979). So nothing cancels where the mean is large and the variance small.
pub fn moments(x: &[f32], channels: usize) -> (Vec<f32>, Vec<f32>) {
    let blocks = blocks(x.len(), channels);
    let parts = parallel::map(blocks.len(), |index| {
        let (rows, of_channels) = &blocks[index];
        moments_of_block(x, channels, rows.clone(), of_channels.clone())
    });
    let (mut mean, mut squares, mut count) = (vec![0f64; channels], vec![0f64; channels], 0.0);
    for ((rows, of_channels), (mean_of_block, squares_of_block)) in blocks.iter().zip(&parts) {
        if rows.start == 0 {
            count = 0.0;
        }
        let joined = count + rows.len() as f64;
        for (offset, channel) in of_channels.clone().enumerate() {
            let distance = mean_of_block[offset] - mean[channel];
            mean[channel] += distance * rows.len() as f64 / joined;
            squares[channel] +=
                f64::from(squares_of_block[offset]) + distance * distance * count * rows.len() as f64 / joined;
        }
        count = joined;
    }
    (
        mean.into_iter().map(|mean| mean as f32).collect(),
        squares.into_iter().map(|squares| (squares / count) as f32).collect(),
    )
}

/// The mean and the sum of squared distances from it, for each of these channels over these rows. Both are taken
/// relative to the first row: a large mean would cost a distance its last digits.
fn moments_of_block(x: &[f32], channels: usize, rows: Range<usize>, of_channels: Range<usize>) -> (Vec<f64>, Vec<f32>) {
    let row = |row: usize| &x[row * channels + of_channels.start..row * channels + of_channels.end];
    let (first, count) = (row(rows.start), rows.len() as f32);
    let (mut offset, mut squares) = (vec![0f32; of_channels.len()], vec![0f32; of_channels.len()]);
    vectorised(
        #[inline(always)]
        || {
            for index in rows.clone() {
                offset.iter_mut().zip(row(index)).zip(first).for_each(|((sum, x), first)| *sum += x - first);
            }
            offset.iter_mut().for_each(|offset| *offset /= count);
            for index in rows {
                let channels = squares.iter_mut().zip(row(index)).zip(first).zip(&offset);
                channels.for_each(|(((sum, x), first), offset)| {
                    let distance = (x - first) - offset;
                    *sum += distance * distance;
                });
            }
        },
    );
    (first.iter().zip(&offset).map(|(first, offset)| f64::from(*first) + f64::from(*offset)).collect(), squares)
}

/// (x - mean) * scale * weight + bias, then the activation.
pub fn forward(x: &[f32], statistics: Statistics, weight: &[f32], bias: &[f32], activation: Activation) -> Vec<f32> {
    let (channels, mean) = (weight.len(), statistics.mean);
    let scale: Vec<f32> = statistics.scale.iter().zip(weight).map(|(scale, weight)| scale * weight).collect();
    let size = rows_of_a_tile(channels) * channels;
    fill_tiles(x.len(), size, |index, output| {
        let rows = x[tile(index, size, x.len())].chunks_exact(channels);
        vectorised(
            #[inline(always)]
            || {
                for (output, x) in output.chunks_exact_mut(channels).zip(rows) {
                    for channel in 0..channels {
                        output[channel] = (x[channel] - mean[channel]) * scale[channel] + bias[channel];
                    }
                }
            },
        );
        activate_in_place(output, activation);
    })
    .0
}

/// The backward pass of [`forward`].
pub struct Backward<'a> {
    pub x: &'a [f32],
    pub output: &'a [f32],
    pub gradient: &'a [f32],
    pub statistics: Statistics<'a>,
    pub activation: Activation,
}

impl Backward<'_> {
    /// Lends the gradient before the activation for this range of the values.
    #[inline(always)]
    fn before_activation<R>(&self, range: Range<usize>, work: impl FnOnce(&[f32]) -> R) -> R {
        if self.activation == Activation::Identity {
            return work(&self.gradient[range]);
        }
        parallel::scratch(range.len(), |before| {
            through_activation(&self.gradient[range.clone()], &self.output[range], self.activation, before);
            work(before)
        })
    }

    /// The gradients of the weight and of the bias.
    pub fn parameters(&self) -> (Vec<f32>, Vec<f32>) {
        let channels = self.statistics.mean.len();
        let blocks = blocks(self.x.len(), channels);
        let parts = parallel::map(blocks.len(), |index| {
            let (rows, of_channels) = blocks[index].clone();
            let mean = &self.statistics.mean[of_channels.clone()];
            let (mut products, mut sums) = (vec![0f32; mean.len()], vec![0f32; mean.len()]);
            for row in rows {
                let range = row * channels + of_channels.start..row * channels + of_channels.end;
                self.before_activation(range.clone(), |gradient| {
                    vectorised(
                        #[inline(always)]
                        || {
                            let sums = products.iter_mut().zip(sums.iter_mut());
                            for (((product, sum), (x, mean)), g) in
                                sums.zip(self.x[range].iter().zip(mean)).zip(gradient)
                            {
                                *product += g * (x - mean);
                                *sum += g;
                            }
                        },
                    );
                });
            }
            (products, sums)
        });
        let (mut for_weight, mut for_bias) = (vec![0f64; channels], vec![0f64; channels]);
        for ((_, of_channels), (products, sums)) in blocks.iter().zip(&parts) {
            for (offset, channel) in of_channels.clone().enumerate() {
                for_weight[channel] += f64::from(products[offset]);
                for_bias[channel] += f64::from(sums[offset]);
            }
        }
        let scaled = for_weight.iter().zip(self.statistics.scale).map(|(sum, scale)| (sum * f64::from(*scale)) as f32);
        (scaled.collect(), for_bias.iter().map(|sum| *sum as f32).collect())
    }

    /// The gradient of the input. `through` are the gradients of the weight and of the bias where the statistics are
    /// those of the batch: each value then also moves its channel's mean and variance.
    pub fn input(&self, weight: &[f32], through: Option<(&[f32], &[f32])>) -> Vec<f32> {
        let Statistics { mean, scale } = self.statistics;
        let channels = mean.len();
        let count = (self.x.len() / channels) as f32;
        let own: Vec<f32> = weight.iter().zip(scale).map(|(weight, scale)| weight * scale).collect();
        let (of_variance, of_mean): (Vec<f32>, Vec<f32>) = match through {
            Some((for_weight, for_bias)) => (0..channels)
                .map(|channel| {
                    let share = -own[channel] / count;
                    (share * scale[channel] * for_weight[channel], share * for_bias[channel])
                })
                .unzip(),
            None => (vec![0.0; channels], vec![0.0; channels]),
        };
        let size = rows_of_a_tile(channels) * channels;
        fill_tiles(self.x.len(), size, |index, output| {
            let range = tile(index, size, self.x.len());
            self.before_activation(range.clone(), |gradient| {
                let rows = self.x[range].chunks_exact(channels).zip(gradient.chunks_exact(channels));
                vectorised(
                    #[inline(always)]
                    || {
                        for (output, (x, gradient)) in output.chunks_exact_mut(channels).zip(rows) {
                            for channel in 0..channels {
                                output[channel] = own[channel] * gradient[channel]
                                    + of_variance[channel] * (x[channel] - mean[channel])
                                    + of_mean[channel];
                            }
                        }
                    },
                );
            });
        })
        .0
    }
}
