use super::Activation;
use crate::kernels::cpu::parallel::{self, TILE, rows_of_a_tile, tile, write_tiles};
use crate::kernels::cpu::simd::vectorised;
use std::borrow::Cow;

/// tanh by the rational approximation of Eigen and XLA: odd, within [-1, 1], absolute error below 5e-7.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let x = x.clamp(-7.905_311, 7.905_311); // beyond, tanh is 1 in f32; NaN passes
    let y = x * x;
    let mut odd = -2.760_768_5e-16;
    for coefficient in [2.000_188e-13, -8.604_672e-11, 5.122_297e-8, 1.485_722_4e-5, 6.372_619e-4, 4.893_524_6e-3] {
        odd = odd * y + coefficient;
    }
    let mut even = 1.198_258_4e-6;
    for coefficient in [1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3] {
        even = even * y + coefficient;
    }
    (x * odd / even).clamp(-1.0, 1.0)
}

/// The comparisons are such that NaN stays NaN: `max(NaN, 0)` would be 0 and hide that training has diverged.
#[inline(always)]
fn activate_all(values: &mut [f32], activation: Activation) {
    match activation {
        Activation::Identity => {}
        Activation::Relu => values.iter_mut().for_each(|x| *x = if *x <= 0.0 { 0.0 } else { *x }),
        Activation::LeakyRelu(slope) => {
            values.iter_mut().for_each(|x| *x = if *x > 0.0 { *x } else { *x * slope });
        }
        Activation::Tanh => values.iter_mut().for_each(|x| *x = tanh(*x)),
    }
}

/// The activation of values that are in the cache.
pub fn activate_in_place(values: &mut [f32], activation: Activation) {
    if activation != Activation::Identity {
        vectorised(
            #[inline(always)]
            || activate_all(values, activation),
        );
    }
}

/// Adds `bias`, one value a column, to rows of its length, and applies the activation.
pub fn add_bias_and_activate(rows: &mut [f32], bias: Option<&[f32]>, activation: Activation) {
    if let Some(bias) = bias {
        let pattern = bias.repeat(rows_in_a_pattern(bias.len()));
        vectorised(
            #[inline(always)]
            || {
                for row in rows.chunks_mut(pattern.len()) {
                    row.iter_mut().zip(&pattern).for_each(|(value, bias)| *value += bias);
                    activate_all(row, activation);
                }
            },
        );
    } else {
        activate_in_place(rows, activation);
    }
}

/// Short rows are taken together, so that loops over columns have the length of a few vectors at least.
pub fn rows_in_a_pattern(columns: usize) -> usize {
    (256 / columns.max(1)).max(1)
}

pub fn forward(x: &[f32], activation: Activation) -> Vec<f32> {
    write_tiles(x.len(), TILE, |index, output| {
        output.copy_from_slice(&x[tile(index, TILE, x.len())]);
        activate_in_place(output, activation);
    })
    .0
}

/// The gradient before the activation, from that after it and from the activation's output. As PyTorch: NaN in the
/// output lets relu's gradient pass.
pub fn through_activation(gradient: &[f32], output: &[f32], activation: Activation, into: &mut [f32]) {
    let each = gradient.iter().zip(output);
    vectorised(
        #[inline(always)]
        || match activation {
            Activation::Identity => into.copy_from_slice(gradient),
            Activation::Relu => {
                into.iter_mut().zip(each).for_each(|(d, (g, y))| *d = if *y <= 0.0 { 0.0 } else { *g });
            }
            Activation::LeakyRelu(slope) => {
                into.iter_mut().zip(each).for_each(|(d, (g, y))| *d = if *y > 0.0 { *g } else { *g * slope });
            }
            Activation::Tanh => into.iter_mut().zip(each).for_each(|(d, (g, y))| *d = *g * (1.0 - *y * *y)),
        },
    );
}

/// [`through_activation`] for rows of `columns`, and if `with_sums` the sums of its columns: the gradient of a bias.
pub fn backward<'a>(
    gradient: &'a [f32],
    output: &[f32],
    columns: usize,
    activation: Activation,
    with_sums: bool,
) -> (Cow<'a, [f32]>, Vec<f32>) {
    let size = rows_of_a_tile(columns) * columns;
    let sums_of = |rows: &[f32]| if with_sums { column_sums(rows, columns) } else { Vec::new() };
    let (before, parts) = if activation == Activation::Identity {
        let tiles = if with_sums { gradient.len().div_ceil(size) } else { 0 };
        let parts = parallel::map(tiles, |index| sums_of(&gradient[tile(index, size, gradient.len())]));
        (Cow::Borrowed(gradient), parts)
    } else {
        let (before, parts) = write_tiles(gradient.len(), size, |index, before| {
            let of_tile = tile(index, size, gradient.len());
            through_activation(&gradient[of_tile.clone()], &output[of_tile], activation, before);
            sums_of(before)
        });
        (Cow::Owned(before), parts)
    };
    let sums = parallel::add_in_order_f64(&parts, if with_sums { columns } else { 0 });
    (before, sums.into_iter().map(|sum| sum as f32).collect())
}

fn column_sums(rows: &[f32], columns: usize) -> Vec<f32> {
    let mut sums = vec![0.0; columns * rows_in_a_pattern(columns)];
    vectorised(
        #[inline(always)]
        || {
            for row in rows.chunks(sums.len()) {
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
        },
    );
    for repetition in (columns..sums.len()).step_by(columns) {
        for column in 0..columns {
            sums[column] += sums[repetition + column];
        }
    }
    sums.truncate(columns);
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tanh_is_close_odd_and_bounded() {
        let mut worst = 0f64;
        for step in -1_000_000..=1_000_000 {
            let x = step as f32 * 1e-5;
            let y = tanh(x);
            worst = worst.max((f64::from(y) - f64::from(x).tanh()).abs());
            assert!(y.abs() <= 1.0 && tanh(-x) == -y, "tanh({x}) = {y}");
        }
        assert!(worst <= 5e-7, "{worst}");
        assert!((tanh(f32::INFINITY) - 1.0).abs() < 5e-7);
        assert!((tanh(f32::NEG_INFINITY) + 1.0).abs() < 5e-7);
        assert!(tanh(f32::NAN).is_nan());
    }
}
