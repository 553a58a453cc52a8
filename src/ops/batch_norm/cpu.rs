use crate::ops::activation::Activation;
use crate::ops::activation::cpu::{activate_in_place, rows_in_a_pattern, tanh};
use crate::ops::parallel::{self, rows_of_a_tile, tile, write_tiles};
use crate::ops::simd::vectorised;
use std::ops::Range;

/// Each channel's mean and the inverse of its standard deviation.
#[derive(Clone, Copy)]
pub struct Statistics<'a> {
    pub mean: &'a [f32],
    pub scale: &'a [f32],
}

/// Reductions over rows run on blocks of up to so many columns: wide rows would leave too few rows in a tile.
const COLUMNS: usize = 256;

/// And of up to so many rows, the longest sums that are taken in f32: blocks are joined in f64. With the 512 rows that
/// a tile of 64 channels has, a running mean was 17 times as far from the truth as PyTorch's, with 32 it is nearer.
const ROWS: usize = 32;

/// How many rows of `channels` are taken as one: short rows would cost a loop each. They come out even.
fn folded(len: usize, channels: usize) -> usize {
    let rows = len / channels;
    let most = rows_in_a_pattern(channels);
    (1..=most).rev().find(|count| rows.is_multiple_of(*count)).unwrap_or(1)
}

/// The rows and columns of every block of a matrix with rows of `columns`, block columns outermost.
fn blocks(len: usize, columns: usize) -> Vec<(Range<usize>, Range<usize>)> {
    let rows = len / columns;
    let down =
        |of_columns: Range<usize>| (0..rows.div_ceil(ROWS)).map(move |row| (tile(row, ROWS, rows), of_columns.clone()));
    (0..columns.div_ceil(COLUMNS)).flat_map(|column| down(tile(column, COLUMNS, columns))).collect()
}

/// A mean, the squared distances from it, and of how many values.
#[derive(Clone, Copy, Default)]
struct Moments {
    mean: f64,
    squares: f64,
    count: f64,
}

impl Moments {
    /// Those of both sets of values (Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing
    /// sample variances", 1979).
    fn joined(self, other: Moments) -> Moments {
        let count = self.count + other.count;
        let distance = other.mean - self.mean;
        Moments {
            mean: self.mean + distance * other.count / count,
            squares: self.squares + other.squares + distance * distance * self.count * other.count / count,
            count,
        }
    }
}

/// The mean and the biased variance of each channel of `x`, rows of `channels`.
///
/// Each block takes its mean and then its squared distances from that mean, while it is in the cache; blocks are
/// joined in f64. So nothing cancels where the mean is large and the variance small.
pub fn moments(x: &[f32], channels: usize) -> (Vec<f32>, Vec<f32>) {
    let columns = channels * folded(x.len(), channels);
    let blocks = blocks(x.len(), columns);
    let parts = parallel::map(blocks.len(), |index| {
        let (rows, of_columns) = &blocks[index];
        moments_of_block(x, columns, rows.clone(), of_columns.clone())
    });
    let mut moments = vec![Moments::default(); columns];
    for ((rows, of_columns), (mean, squares)) in blocks.iter().zip(&parts) {
        for ((moments, mean), squares) in moments[of_columns.clone()].iter_mut().zip(mean).zip(squares) {
            let of_block = Moments { mean: *mean, squares: f64::from(*squares), count: rows.len() as f64 };
            *moments = moments.joined(of_block);
        }
    }
    (0..channels)
        .map(|channel| {
            let of_channel = moments[channel..].iter().step_by(channels).copied();
            let joined = of_channel.reduce(Moments::joined).unwrap_or_default();
            (joined.mean as f32, (joined.squares / joined.count) as f32)
        })
        .unzip()
}

/// The mean and the sum of squared distances from it, for each of these columns over these rows. Both are taken
/// relative to the first row: a large mean would cost a distance its last digits.
fn moments_of_block(x: &[f32], columns: usize, rows: Range<usize>, of_columns: Range<usize>) -> (Vec<f64>, Vec<f32>) {
    let row = |row: usize| &x[row * columns + of_columns.start..row * columns + of_columns.end];
    let (first, count) = (row(rows.start), rows.len() as f32);
    let (mut offset, mut squares) = (vec![0f32; of_columns.len()], vec![0f32; of_columns.len()]);
    vectorised(
        #[inline(always)]
        || {
            for index in rows.clone() {
                offset.iter_mut().zip(row(index)).zip(first).for_each(|((sum, x), first)| *sum += x - first);
            }
            offset.iter_mut().for_each(|offset| *offset /= count);
            for index in rows {
                let columns = squares.iter_mut().zip(row(index)).zip(first).zip(&offset);
                columns.for_each(|(((sum, x), first), offset)| {
                    let distance = (x - first) - offset;
                    *sum += distance * distance;
                });
            }
        },
    );
    (first.iter().zip(&offset).map(|(first, offset)| f64::from(*first) + f64::from(*offset)).collect(), squares)
}

/// (x - mean) * scale * weight + bias, then the activation, and the backward pass of that.
///
/// The backward pass computes the sign of what went into the activation again: x is read in any case, the output need
/// not be. Constants are repeated over the channels of several rows where rows are short.
pub struct Affine<'a> {
    statistics: Statistics<'a>,
    /// scale * weight
    factor: Vec<f32>,
    bias: &'a [f32],
    activation: Activation,
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

impl<'a> Affine<'a> {
    pub fn new(statistics: Statistics<'a>, weight: &[f32], bias: &'a [f32], activation: Activation) -> Self {
        let factor = statistics.scale.iter().zip(weight).map(|(scale, weight)| scale * weight).collect();
        Self { statistics, factor, bias, activation }
    }

    pub fn forward(&self, x: &[f32]) -> Vec<f32> {
        let repeated = self.repeated(x.len());
        let columns = repeated.bias.len();
        let size = rows_of_a_tile(columns) * columns;
        write_tiles(x.len(), size, |index, output| {
            let rows = x[tile(index, size, x.len())].chunks_exact(columns);
            let (mean, factor, bias) = repeated.columns(0..columns);
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
    pub fn parameter_gradients(&self, x: &[f32], gradient: &[f32]) -> (Vec<f32>, Vec<f32>) {
        match self.activation {
            Activation::Identity => self.sums(x, gradient, |g, _| g),
            Activation::Relu => self.sums(x, gradient, relu),
            Activation::LeakyRelu(slope) => self.sums(x, gradient, move |g, x| if x > 0.0 { g } else { g * slope }),
            Activation::Tanh => self.sums(x, gradient, |g, x| g * (1.0 - tanh(x) * tanh(x))),
        }
    }

    /// The gradient of the input. `through` are the gradients of the weight and of the bias where the statistics are
    /// those of the batch: each value then also moves its channel's mean and variance.
    pub fn input_gradient(&self, x: &[f32], gradient: &[f32], through: Option<(&[f32], &[f32])>) -> Vec<f32> {
        match self.activation {
            Activation::Identity => self.before(x, gradient, through, |g, _| g),
            Activation::Relu => self.before(x, gradient, through, relu),
            Activation::LeakyRelu(slope) => {
                self.before(x, gradient, through, move |g, x| if x > 0.0 { g } else { g * slope })
            }
            Activation::Tanh => self.before(x, gradient, through, |g, x| g * (1.0 - tanh(x) * tanh(x))),
        }
    }

    fn sums(&self, x: &[f32], gradient: &[f32], through: impl Through) -> (Vec<f32>, Vec<f32>) {
        let channels = self.bias.len();
        let repeated = self.repeated(x.len());
        let columns = repeated.bias.len();
        let blocks = blocks(x.len(), columns);
        let parts = parallel::map(blocks.len(), |index| {
            let (rows, of_columns) = blocks[index].clone();
            let width = of_columns.len();
            let (mean, factor, bias) = repeated.columns(of_columns.clone());
            let (mut products, mut sums) = (vec![0f32; width], vec![0f32; width]);
            vectorised(
                #[inline(always)]
                || {
                    let (products, sums) = (&mut products[..width], &mut sums[..width]);
                    for row in rows {
                        let start = row * columns + of_columns.start;
                        let (x, gradient) = (&x[start..start + width], &gradient[start..start + width]);
                        for column in 0..width {
                            let x = x[column];
                            let g = through(gradient[column], normal(x, mean[column], factor[column], bias[column]));
                            products[column] += g * (x - mean[column]);
                            sums[column] += g;
                        }
                    }
                },
            );
            (products, sums)
        });
        let (mut for_weight, mut for_bias) = (vec![0f64; channels], vec![0f64; channels]);
        for ((_, of_columns), (products, sums)) in blocks.iter().zip(&parts) {
            for (column, (product, sum)) in of_columns.clone().zip(products.iter().zip(sums)) {
                for_weight[column % channels] += f64::from(*product);
                for_bias[column % channels] += f64::from(*sum);
            }
        }
        let scaled = for_weight.iter().zip(self.statistics.scale).map(|(sum, scale)| (sum * f64::from(*scale)) as f32);
        (scaled.collect(), for_bias.iter().map(|sum| *sum as f32).collect())
    }

    fn before(
        &self,
        x: &[f32],
        gradient: &[f32],
        parameters: Option<(&[f32], &[f32])>,
        through: impl Through,
    ) -> Vec<f32> {
        let channels = self.bias.len();
        let repeated = self.repeated(x.len());
        let columns = repeated.bias.len();
        let count = (x.len() / channels) as f32;
        let (of_variance, of_mean): (Vec<f32>, Vec<f32>) = match parameters {
            Some((for_weight, for_bias)) => (0..columns)
                .map(|column| {
                    let channel = column % channels;
                    let share = -self.factor[channel] / count;
                    (share * self.statistics.scale[channel] * for_weight[channel], share * for_bias[channel])
                })
                .unzip(),
            None => (vec![0.0; columns], vec![0.0; columns]),
        };
        let size = rows_of_a_tile(columns) * columns;
        write_tiles(x.len(), size, |index, output| {
            let range = tile(index, size, x.len());
            let rows = x[range.clone()].chunks_exact(columns).zip(gradient[range].chunks_exact(columns));
            let (mean, factor, bias) = repeated.columns(0..columns);
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
    fn repeated(&self, len: usize) -> Repeated {
        let times = folded(len, self.bias.len());
        Repeated {
            mean: self.statistics.mean.repeat(times),
            factor: self.factor.repeat(times),
            bias: self.bias.repeat(times),
        }
    }
}

/// A batch norm whose statistics stand still, applied to what is in the cache: the same numbers as [`Affine::forward`].
pub struct Frozen {
    mean: Vec<f32>,
    /// The inverse of the standard deviation, times the weight.
    factor: Vec<f32>,
    bias: Vec<f32>,
    activation: Activation,
}

impl Frozen {
    pub fn new(mean: Vec<f32>, scale: &[f32], weight: &[f32], bias: Vec<f32>, activation: Activation) -> Self {
        let factor = scale.iter().zip(weight).map(|(scale, weight)| scale * weight).collect();
        Self { mean, factor, bias, activation }
    }

    pub fn channels(&self) -> usize {
        self.mean.len()
    }

    /// Normalises rows of these channels in place.
    pub fn apply(&self, rows: &mut [f32], channels: Range<usize>) {
        let times = rows_in_a_pattern(channels.len());
        let repeated = |values: &[f32]| values[channels.clone()].repeat(times);
        let [mean, factor, bias] = [&self.mean, &self.factor, &self.bias].map(|values| repeated(values));
        vectorised(
            #[inline(always)]
            || {
                for row in rows.chunks_mut(mean.len()) {
                    let constants = mean.iter().zip(&factor).zip(&bias);
                    for (x, ((mean, factor), bias)) in row.iter_mut().zip(constants) {
                        *x = normal(*x, *mean, *factor, *bias);
                    }
                }
            },
        );
        activate_in_place(rows, self.activation);
    }
}

struct Repeated {
    mean: Vec<f32>,
    factor: Vec<f32>,
    bias: Vec<f32>,
}

impl Repeated {
    /// Mean, factor and bias of these columns.
    fn columns(&self, range: Range<usize>) -> (&[f32], &[f32], &[f32]) {
        (&self.mean[range.clone()], &self.factor[range.clone()], &self.bias[range])
    }
}
