use crate::kernels::cpu::simd::vectorised;
use crate::ops::activation::Activation;
use crate::ops::activation::cpu::{activate_in_place, rows_in_a_pattern};
use crate::ops::batch_norm::cpu::{normal, of_zero};
use std::ops::Range;

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

    /// It less what becomes of zero in each channel, and that. Without the activation.
    pub fn apart(self) -> (Self, Vec<f32>) {
        let zeros = vec![0.0; self.channels()];
        let shift = of_zero(&self.mean, &self.factor, &self.bias);
        let activation = Activation::Identity;
        (Self { mean: zeros.clone(), factor: self.factor, bias: zeros, activation }, shift)
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
