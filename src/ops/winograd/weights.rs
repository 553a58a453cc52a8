//! The weight of a convolution in planes.

use super::panel::PANEL;
use super::transforms::{Weights, both_axes};
use super::{PLANES, SEEN, pitch};
use crate::ops::layout::cpu::transpose;
use crate::ops::parallel::{fill_tiles, scratch, tile};
use crate::ops::simd::{load, load_end, store, with_vectors};
use pulp::{Simd, WithSimd};

/// Values of a kernel.
pub const AREA: usize = 9;

/// A weight (O, C, 3, 3) in planes: for each panel of columns PLANES x depth x PANEL.
pub struct PlanesOfWeight {
    pub planes: Vec<f32>,
    pub columns: usize,
    pub depth: usize,
}

impl PlanesOfWeight {
    /// For the convolution itself: the columns are features, the depth channels.
    pub fn forward(weight: &[f32], features: usize, channels: usize) -> Self {
        let row = channels * AREA;
        Self::new(features, channels, |columns, kernels| {
            transpose(&weight[columns.start * row..columns.end * row], columns.len(), row, kernels);
        })
    }

    /// For its adjoint in the images, a convolution with the kernels turned by half a circle: the columns are
    /// channels, the depth features.
    pub fn backward(weight: &[f32], features: usize, channels: usize) -> Self {
        Self::new(channels, features, |columns, kernels| {
            for (feature, kernels) in kernels.chunks_exact_mut(AREA * columns.len()).enumerate() {
                let start = (feature * channels + columns.start) * AREA;
                for (column, kernel) in weight[start..start + kernels.len()].chunks_exact(AREA).enumerate() {
                    for (position, value) in kernel.iter().rev().enumerate() {
                        kernels[position * columns.len() + column] = *value;
                    }
                }
            }
        })
    }

    /// `kernels` lays the kernels of some columns out as (depth, 9, columns).
    fn new(columns: usize, depth: usize, kernels: impl Fn(std::ops::Range<usize>, &mut [f32]) + Sync) -> Self {
        let panel = PLANES * pitch(depth, PANEL);
        let (planes, _) = fill_tiles(columns.div_ceil(PANEL) * panel, panel, |index, planes| {
            let of_columns = tile(index, PANEL, columns);
            scratch(depth * AREA * of_columns.len(), |memory| {
                kernels(of_columns.clone(), memory);
                with_vectors(ToPlanes { kernels: memory, columns: of_columns.len(), depth, planes });
            });
        });
        Self { planes, columns, depth }
    }

    /// The panels, each PLANES x depth x PANEL.
    pub fn panels(&self) -> impl Iterator<Item = &[f32]> {
        self.planes.chunks_exact(PLANES * pitch(self.depth, PANEL))
    }
}

struct ToPlanes<'a> {
    kernels: &'a [f32],
    columns: usize,
    depth: usize,
    planes: &'a mut [f32],
}

impl WithSimd for ToPlanes<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut down = [[simd.splat_f32s(0.0); 3]; SEEN];
        for (index, kernel) in self.kernels.chunks_exact(AREA * self.columns).enumerate() {
            for column in (0..PANEL).step_by(S::F32_LANES) {
                both_axes::<Weights, 3, SEEN, S>(
                    simd,
                    &mut down,
                    #[inline(always)]
                    |row, place| {
                        let weights = &kernel[(row * 3 + place) * self.columns..][..self.columns];
                        if column + S::F32_LANES <= weights.len() {
                            load::<S>(weights, column)
                        } else {
                            load_end(simd, weights, column)
                        }
                    },
                    #[inline(always)]
                    |row, place, value| {
                        let start = (row * SEEN + place) * pitch(self.depth, PANEL) + index * PANEL;
                        store::<S>(self.planes, start + column, value);
                    },
                );
            }
        }
    }
}
