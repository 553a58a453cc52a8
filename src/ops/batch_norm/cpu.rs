//! Batch normalisation on the CPU: the passes over x. The batch's statistics are in `moments.rs`.

use crate::kernels::activation::Activation;
use crate::kernels::cpu::activation::{activate_in_place, tanh};
use crate::kernels::cpu::parallel::{self, rows_of_a_tile, tile, write_tiles};
use crate::kernels::cpu::simd::{rows_in_a_pattern, vectorised};
use std::ops::Range;

/// Each channel's mean and the inverse of its standard deviation.
#[derive(Clone, Copy)]
pub struct MeanAndScale<'a> {
    pub mean: &'a [f32],
    pub scale: &'a [f32],
}

/// The gradients of weight and bias over all values that a channel's statistics are of, and how many those are.
pub struct ThroughStatistics<'a> {
    pub for_weight: &'a [f32],
    pub for_bias: &'a [f32],
    pub count: usize,
}

/// Reductions over rows run on blocks of up to so many columns: wide rows would leave too few rows in a tile.
const COLUMNS: usize = 256;

/// And of up to so many rows, the longest sums that are taken in f32: blocks are joined in f64. With the 512 rows that
/// a tile of 64 channels has, a running mean was 17 times as far from the truth as PyTorch's, with 32 it is nearer.
const ROWS: usize = 32;

/// Blocks, one below the other, that one task goes through and joins: what is left for the calling thread to join is then
/// little. Block by block that took a third of a batch norm's time on two cores.
const BLOCKS: usize = 16;

/// How many rows of `channels` are taken as one: short rows would cost a loop each. They come out even.
pub fn folded(len: usize, channels: usize) -> usize {
    let rows = len / channels;
    let most = rows_in_a_pattern(channels);
    (1..=most).rev().find(|count| rows.is_multiple_of(*count)).unwrap_or(1)
}

/// Some rows and columns of a matrix with rows of `columns`.
pub struct Region {
    pub rows: Range<usize>,
    pub of_columns: Range<usize>,
    columns: usize,
}

impl Region {
    /// The parts of `len` values that one task each goes through.
    pub fn all(len: usize, columns: usize) -> Vec<Region> {
        let (rows, most) = (len / columns, ROWS * BLOCKS);
        let across = (0..columns.div_ceil(COLUMNS)).map(|index| tile(index, COLUMNS, columns));
        across
            .flat_map(|of_columns| {
                let part =
                    move |index| Region { rows: tile(index, most, rows), of_columns: of_columns.clone(), columns };
                (0..rows.div_ceil(most)).map(part)
            })
            .collect()
    }

    pub fn width(&self) -> usize {
        self.of_columns.len()
    }

    /// The rows of each block.
    pub fn blocks(&self) -> impl Iterator<Item = Range<usize>> {
        let Range { start, end } = self.rows;
        (start..end).step_by(ROWS).map(move |row| row..(row + ROWS).min(end))
    }

    /// Its columns of a row.
    #[inline(always)]
    pub fn row<'a>(&self, values: &'a [f32], row: usize) -> &'a [f32] {
        &values[row * self.columns + self.of_columns.start..row * self.columns + self.of_columns.end]
    }

    /// Adds its columns to the channels that they are of.
    fn add_to(&self, channels: &mut [f64], sums: &[f64]) {
        for (column, sum) in self.of_columns.clone().zip(sums) {
            channels[column % channels.len()] += sum;
        }
    }
}

/// (x - mean) * scale * weight + bias, then the activation, and the backward pass of that.
///
/// The backward pass computes the sign of what went into the activation again: x is read in any case, the output need
/// not be. Constants are repeated over the channels of several rows where rows are short.
pub struct CpuNorm<'a> {
    statistics: MeanAndScale<'a>,
    /// scale * weight
    factor: Vec<f32>,
    bias: &'a [f32],
    activation: Activation,
}

/// a (x - mean) + b y + c z + d of rows x, y and z of as many channels as there are of each factor a, b, c and d.
pub fn combination([x, y, z]: [&[f32]; 3], mean: &[f32], factors: &[Vec<f32>; 4]) -> Vec<f32> {
    let times = folded(x.len(), mean.len());
    let (mean, [a, b, c, d]) = (mean.repeat(times), factors.each_ref().map(|factor| factor.repeat(times)));
    let columns = mean.len();
    let size = rows_of_a_tile(columns) * columns;
    write_tiles(x.len(), size, |index, output| {
        let [x, y, z] = [x, y, z].map(|values| values[tile(index, size, values.len())].chunks_exact(columns));
        let [a, b, c, d, mean] = [&a, &b, &c, &d, &mean].map(|factor| &factor[..columns]);
        vectorised(
            #[inline(always)]
            || {
                for (output, ((x, y), z)) in output.chunks_exact_mut(columns).zip(x.zip(y).zip(z)) {
                    for column in 0..columns {
                        output[column] = a[column] * (x[column] - mean[column])
                            + b[column] * y[column]
                            + c[column] * z[column]
                            + d[column];
                    }
                }
            },
        );
    })
    .0
}

/// An activation's gradient before it, from that after it and from what went into it.
trait Through: Fn(f32, f32) -> f32 + Copy + Sync {}
impl<F: Fn(f32, f32) -> f32 + Copy + Sync> Through for F {}

#[inline(always)]
fn normal(x: f32, mean: f32, factor: f32, bias: f32) -> f32 {
    (x - mean) * factor + bias
}

#[inline(always)]
fn relu(g: f32, x: f32) -> f32 {
    if x <= 0.0 { 0.0 } else { g } // NaN in x lets the gradient pass, as PyTorch's
}

impl<'a> CpuNorm<'a> {
    pub fn new(statistics: MeanAndScale<'a>, weight: &[f32], bias: &'a [f32], activation: Activation) -> Self {
        let factor = statistics.scale.iter().zip(weight).map(|(scale, weight)| scale * weight).collect();
        Self { statistics, factor, bias, activation }
    }

    pub fn forward(&self, x: &[f32]) -> Vec<f32> {
        let constants = self.constants(x.len());
        let columns = constants.bias.len();
        let size = rows_of_a_tile(columns) * columns;
        write_tiles(x.len(), size, |index, output| {
            let rows = x[tile(index, size, x.len())].chunks_exact(columns);
            let (mean, factor, bias) = constants.columns(0..columns);
            vectorised(
                #[inline(always)]
                || {
                    for (output, x) in output.chunks_exact_mut(columns).zip(rows) {
                        for column in 0..columns {
                            output[column] = normal(x[column], mean[column], factor[column], bias[column]);
                        }
                    }
                },
            );
            activate_in_place(output, self.activation);
        })
        .0
    }

    /// The gradients of the weight and of the bias.
    pub fn parameter_gradients(&self, x: &[f32], gradient: &[f32]) -> [Vec<f64>; 2] {
        match self.activation {
            Activation::Identity => self.sums(x, gradient, |g, _| g),
            Activation::Relu => self.sums(x, gradient, relu),
            Activation::LeakyRelu(slope) => self.sums(x, gradient, move |g, x| if x > 0.0 { g } else { g * slope }),
            Activation::Tanh => self.sums(x, gradient, |g, x| g * (1.0 - tanh(x) * tanh(x))),
        }
    }

    /// The gradient of the input. `through` is how its values also move their channel's mean and variance, where these are
    /// of the batch.
    pub fn input_gradient(&self, x: &[f32], gradient: &[f32], through: Option<&ThroughStatistics>) -> Vec<f32> {
        match self.activation {
            Activation::Identity => self.before(x, gradient, through, |g, _| g),
            Activation::Relu => self.before(x, gradient, through, relu),
            Activation::LeakyRelu(slope) => {
                self.before(x, gradient, through, move |g, x| if x > 0.0 { g } else { g * slope })
            }
            Activation::Tanh => self.before(x, gradient, through, |g, x| g * (1.0 - tanh(x) * tanh(x))),
        }
    }

    fn sums(&self, x: &[f32], gradient: &[f32], through: impl Through) -> [Vec<f64>; 2] {
        let channels = self.bias.len();
        let constants = self.constants(x.len());
        let columns = constants.bias.len();
        let parts = Region::all(x.len(), columns);
        let found = parallel::map(parts.len(), |index| {
            let part = &parts[index];
            let width = part.width();
            let (mean, factor, bias) = constants.columns(part.of_columns.clone());
            let (mut products, mut sums) = (vec![0f32; width], vec![0f32; width]);
            let (mut all_products, mut all_sums) = (vec![0f64; width], vec![0f64; width]);
            vectorised(
                #[inline(always)]
                || {
                    let (products, sums) = (&mut products[..width], &mut sums[..width]);
                    for rows in part.blocks() {
                        products.fill(0.0);
                        sums.fill(0.0);
                        for row in rows {
                            let (x, gradient) = (part.row(x, row), part.row(gradient, row));
                            let (x, gradient) = (&x[..width], &gradient[..width]);
                            for column in 0..width {
                                let x = x[column];
                                let g =
                                    through(gradient[column], normal(x, mean[column], factor[column], bias[column]));
                                products[column] += g * (x - mean[column]);
                                sums[column] += g;
                            }
                        }
                        all_products.iter_mut().zip(&*products).for_each(|(all, product)| *all += f64::from(*product));
                        all_sums.iter_mut().zip(&*sums).for_each(|(all, sum)| *all += f64::from(*sum));
                    }
                },
            );
            (all_products, all_sums)
        });
        let (mut for_weight, mut for_bias) = (vec![0f64; channels], vec![0f64; channels]);
        for (part, (products, sums)) in parts.iter().zip(&found) {
            part.add_to(&mut for_weight, products);
            part.add_to(&mut for_bias, sums);
        }
        for_weight.iter_mut().zip(self.statistics.scale).for_each(|(sum, scale)| *sum *= f64::from(*scale));
        [for_weight, for_bias]
    }

    fn before(
        &self,
        x: &[f32],
        gradient: &[f32],
        statistics: Option<&ThroughStatistics>,
        through: impl Through,
    ) -> Vec<f32> {
        let channels = self.bias.len();
        let constants = self.constants(x.len());
        let columns = constants.bias.len();
        let (of_variance, of_mean): (Vec<f32>, Vec<f32>) = match statistics {
            Some(ThroughStatistics { for_weight, for_bias, count }) => (0..columns)
                .map(|column| {
                    let channel = column % channels;
                    let share = -self.factor[channel] / *count as f32;
                    (share * self.statistics.scale[channel] * for_weight[channel], share * for_bias[channel])
                })
                .unzip(),
            None => (vec![0.0; columns], vec![0.0; columns]),
        };
        let size = rows_of_a_tile(columns) * columns;
        write_tiles(x.len(), size, |index, output| {
            let range = tile(index, size, x.len());
            let rows = x[range.clone()].chunks_exact(columns).zip(gradient[range].chunks_exact(columns));
            let (mean, factor, bias) = constants.columns(0..columns);
            let (of_variance, of_mean) = (&of_variance[..columns], &of_mean[..columns]);
            vectorised(
                #[inline(always)]
                || {
                    for (output, (x, gradient)) in output.chunks_exact_mut(columns).zip(rows) {
                        for column in 0..columns {
                            let x = x[column];
                            let g = through(gradient[column], normal(x, mean[column], factor[column], bias[column]));
                            output[column] =
                                factor[column] * g + of_variance[column] * (x - mean[column]) + of_mean[column];
                        }
                    }
                },
            );
        })
        .0
    }

    /// The constants for so many values, taken several rows at a time.
    fn constants(&self, len: usize) -> Constants {
        let times = folded(len, self.bias.len());
        Constants {
            mean: self.statistics.mean.repeat(times),
            factor: self.factor.repeat(times),
            bias: self.bias.repeat(times),
        }
    }
}

struct Constants {
    mean: Vec<f32>,
    factor: Vec<f32>,
    bias: Vec<f32>,
}

impl Constants {
    /// Mean, factor and bias of these columns.
    fn columns(&self, range: Range<usize>) -> (&[f32], &[f32], &[f32]) {
        (&self.mean[range.clone()], &self.factor[range.clone()], &self.bias[range])
    }
}
