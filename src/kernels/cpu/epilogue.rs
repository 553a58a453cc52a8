//! What follows a product while its values are in the cache, and the way back through it.

use crate::kernels::activation::Activation;
use crate::kernels::cpu::activation::{activate_all, activate_in_place, through_activation};
use crate::kernels::cpu::parallel::{self, rows_of_a_tile, tile, write_tiles};
use crate::kernels::cpu::simd::{rows_in_a_pattern, vectorised};
use std::borrow::Cow;
use std::ops::Range;

/// What a product does to each tile of its output while the tile is in the cache: a bias for each channel is added, then
/// the activation is applied, then each channel is scaled and shifted.
#[derive(Clone, Copy)]
pub struct Epilogue<'a> {
    pub bias: Option<&'a [f32]>,
    pub activation: Activation,
    pub scale: Option<ChannelScale<'a>>,
}

/// x times the scale plus the shift of its channel.
#[derive(Clone, Copy)]
pub struct ChannelScale<'a> {
    pub scale: &'a [f32],
    pub shift: &'a [f32],
}

impl<'a> Epilogue<'a> {
    /// For products that are gradients: nothing.
    pub const NONE: Epilogue<'static> = Epilogue { bias: None, activation: Activation::Identity, scale: None };

    /// Finishes rows that have all of the output's channels.
    pub fn finish(&self, rows: &mut [f32]) {
        add_bias_and_activate(rows, self.bias, self.activation);
        if let Some(ChannelScale { scale, shift }) = self.scale {
            scale_and_shift(rows, scale, shift);
        }
    }

    /// Finishes rows that have the output's channels of this range.
    pub fn finish_columns(&self, rows: &mut [f32], columns: Range<usize>) {
        let bias = self.bias.map(|bias| &bias[columns.clone()]);
        let of_columns = |all: ChannelScale<'a>| ChannelScale {
            scale: &all.scale[columns.clone()],
            shift: &all.shift[columns.clone()],
        };
        Epilogue { bias, scale: self.scale.map(of_columns), ..*self }.finish(rows);
    }
}

/// Adds `bias`, one value a column, to rows of its length, and applies the activation.
fn add_bias_and_activate(rows: &mut [f32], bias: Option<&[f32]>, activation: Activation) {
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

fn scale_and_shift(rows: &mut [f32], scale: &[f32], shift: &[f32]) {
    let times = rows_in_a_pattern(scale.len());
    let (scale, shift) = (scale.repeat(times), shift.repeat(times));
    vectorised(
        #[inline(always)]
        || {
            for row in rows.chunks_mut(scale.len()) {
                row.iter_mut().zip(scale.iter().zip(&shift)).for_each(|(x, (scale, shift))| *x = *x * scale + shift);
            }
        },
    );
}

/// The gradient before an epilogue without a scale, from that after it and from its output, rows of `columns`; and if `with_sums` the sums
/// of its columns: the gradient of the bias.
pub fn gradient_before<'a>(
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
