//! What follows a product while its values are in the cache.

use crate::ops::activation::Activation;
use crate::ops::activation::cpu::add_bias_and_activate;
use crate::ops::batch_norm::Frozen;
use std::ops::Range;

/// What a product does to each tile of its output while the tile is in the cache.
#[derive(Clone, Copy)]
pub struct Epilogue<'a> {
    pub bias: Option<&'a [f32]>,
    pub activation: Activation,
    pub norm: Option<&'a Frozen>,
}

impl Epilogue<'_> {
    /// For products that are gradients: nothing.
    pub const NONE: Epilogue<'static> = Epilogue { bias: None, activation: Activation::Identity, norm: None };

    /// Finishes rows that have all of the output's channels.
    pub fn finish(&self, rows: &mut [f32]) {
        add_bias_and_activate(rows, self.bias, self.activation);
        if let Some(norm) = self.norm {
            norm.apply(rows, 0..norm.channels());
        }
    }

    /// Finishes rows that have the output's channels of this range.
    pub fn finish_columns(&self, rows: &mut [f32], columns: Range<usize>) {
        let bias = self.bias.map(|bias| &bias[columns.clone()]);
        add_bias_and_activate(rows, bias, self.activation);
        if let Some(norm) = self.norm {
            norm.apply(rows, columns);
        }
    }
}
