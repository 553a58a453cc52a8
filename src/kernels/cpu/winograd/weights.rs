//! The weight of a convolution in planes.

use super::{Winograd, pitch};
use crate::kernels::cpu::matrix::kernel::PANEL;
use crate::kernels::cpu::parallel::{scratch, tile, write_tiles};
use crate::kernels::cpu::simd::{load, load_end, store, with_vectors};
use crate::kernels::cpu::transpose::transpose;
use crate::kernels::cpu::winograd::transforms::{Transforms, both_axes};
use pulp::{Simd, WithSimd};

impl<const R: usize, const ALPHA: usize> Winograd<R, ALPHA>
where
    Self: Transforms<R, ALPHA>,
{
    /// The weight (O, C, K, K) for [`WinogradConv::conv`](crate::kernels::cpu::winograd::WinogradConv::conv): for each panel of features
    /// PLANES x depth x PANEL, the depth being phases by channels.
    pub(crate) fn features_in_planes(&self, weight: &[f32]) -> Vec<f32> {
        let (channels, phases) = (self.tiles.window.channels, self.tiles.phases());
        let row = weight.len() / self.features;
        let panel = Self::PLANES * pitch(phases * channels, PANEL);
        let (planes, _) = write_tiles(self.features.div_ceil(PANEL) * panel, panel, |index, planes| {
            let features = tile(index, PANEL, self.features);
            scratch(features.len() * row, |kernels| {
                transpose(&weight[features.start * row..features.end * row], features.len(), row, kernels);
                for phase in 0..phases {
                    with_vectors(ToPlanes::<R, ALPHA> {
                        kernels,
                        columns: features.len(),
                        size: self.tiles.window.size,
                        stride: self.tiles.window.stride,
                        first: self.tiles.of_phase(phase),
                        plane: pitch(phases * channels, PANEL),
                        planes: &mut planes[phase * channels * PANEL..],
                    });
                }
            });
        });
        planes
    }

    /// The weight for [`WinogradConv::conv_transpose`](crate::kernels::cpu::winograd::WinogradConv::conv_transpose): for each panel of channels and phase PLANES x
    /// features x PANEL.
    pub(crate) fn channels_in_planes(&self, weight: &[f32]) -> Vec<f32> {
        let (channels, size) = (self.tiles.window.channels, self.tiles.window.size);
        let area = size * size;
        let panel = Self::PLANES * pitch(self.features, PANEL);
        let panels = self.tiles.phases() * panel;
        let (planes, _) = write_tiles(channels.div_ceil(PANEL) * panels, panels, |index, planes| {
            let columns = tile(index, PANEL, channels);
            let len = columns.len() * area;
            scratch(self.features * len, |kernels| {
                for (feature, kernels) in kernels.chunks_exact_mut(len).enumerate() {
                    let start = (feature * channels + columns.start) * area;
                    for (column, kernel) in weight[start..start + len].chunks_exact(area).enumerate() {
                        for (position, value) in kernel.iter().enumerate() {
                            kernels[position * columns.len() + column] = *value;
                        }
                    }
                }
                for (phase, planes) in planes.chunks_exact_mut(panel).enumerate() {
                    with_vectors(ToPlanes::<R, ALPHA> {
                        kernels,
                        columns: columns.len(),
                        size,
                        stride: self.tiles.window.stride,
                        first: self.tiles.of_phase(phase),
                        plane: pitch(self.features, PANEL),
                        planes,
                    });
                }
            });
        });
        planes
    }
}

/// Transforms a phase of kernels (depth, K, K, columns) to planes (PLANES, depth, PANEL).
struct ToPlanes<'a, const R: usize, const ALPHA: usize> {
    kernels: &'a [f32],
    columns: usize,
    /// K
    size: usize,
    stride: usize,
    /// Row and column of the phase's first value.
    first: (usize, usize),
    plane: usize,
    planes: &'a mut [f32],
}

impl<const R: usize, const ALPHA: usize> WithSimd for ToPlanes<'_, R, ALPHA>
where
    Winograd<R, ALPHA>: Transforms<R, ALPHA>,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { columns, size, stride, first, .. } = self;
        let mut down = [[simd.splat_f32s(0.0); R]; ALPHA];
        for (index, kernel) in self.kernels.chunks_exact(size * size * columns).enumerate() {
            for column in (0..PANEL).step_by(S::F32_LANES) {
                both_axes(
                    simd,
                    &mut down,
                    #[inline(always)]
                    |line| Winograd::weights(simd, line),
                    #[inline(always)]
                    |row, place| {
                        let at = (row * stride + first.0) * size + place * stride + first.1;
                        let weights = &kernel[at * columns..][..columns];
                        if column + S::F32_LANES <= weights.len() {
                            load::<S>(weights, column)
                        } else {
                            load_end(simd, weights, column)
                        }
                    },
                    #[inline(always)]
                    |row, place, value| {
                        let start = (row * ALPHA + place) * self.plane + index * PANEL;
                        store::<S>(self.planes, start + column, value);
                    },
                );
            }
        }
    }
}
