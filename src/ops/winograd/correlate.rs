//! Images correlated with a weight: the forward pass, and the gradient of the images.

use super::panel::{PANEL, PanelProduct};
use super::planes::{FromPlanes, ToPlanes};
use super::transforms::Pixels;
use super::weights::{AREA, PlanesOfWeight};
use super::{PLANES, Tiles, pitch};
use crate::ops::affine::Epilogue;
use crate::ops::parallel::{fill_pieces, scratch, tile};
use crate::ops::simd::with_vectors;
use std::marker::PhantomData;

/// Tiles of a block: with 64 channels their planes take 330 KiB, a third of a second-level cache; with more channels
/// they are read from the third, at a rate that the products hide.
const TILES: usize = 36;

impl Tiles {
    /// The convolution of `images` (N, H, W, C): (N, H, W, O), each block of it finished by `epilogue`.
    pub fn forward(&self, images: &[f32], weight: &[f32], features: usize, epilogue: Epilogue) -> Vec<f32> {
        let channels = weight.len() / features / AREA;
        self.correlate(images, &PlanesOfWeight::forward(weight, features, channels), epilogue)
    }

    /// The gradient of the images (N, H, W, C) from that of the output (N, H, W, O).
    pub fn input_gradient(&self, gradient: &[f32], weight: &[f32], features: usize) -> Vec<f32> {
        let channels = weight.len() / features / AREA;
        self.correlate(gradient, &PlanesOfWeight::backward(weight, features, channels), Epilogue::NONE)
    }

    fn correlate(&self, images: &[f32], weight: &PlanesOfWeight, epilogue: Epilogue) -> Vec<f32> {
        let (depth, columns) = (weight.depth, weight.columns);
        let strips = self.strips_of_a_block(TILES);
        let blocks = self.strips().div_ceil(strips);
        let start = |block: usize| self.first_pixel((block * strips).min(self.strips())) * columns;
        let sizes = (0..blocks).map(|block| start(block + 1) - start(block));
        fill_pieces(sizes, |block, output| {
            let of_tiles = self.of_strips(tile(block, strips, self.strips()));
            let count = of_tiles.len();
            let sizes = [pitch(count, depth), pitch(depth, PANEL), pitch(count, PANEL)];
            scratch(PLANES * (sizes[0] + sizes[2]), |memory| {
                let (seen, products) = memory.split_at_mut(PLANES * sizes[0]);
                with_vectors(ToPlanes {
                    transform: PhantomData::<Pixels>,
                    tiles: self,
                    of_tiles: of_tiles.clone(),
                    images,
                    channels: depth,
                    of_channels: 0..depth,
                    margin: 1,
                    group: depth,
                    planes: seen,
                });
                for (index, panel) in weight.panels().enumerate() {
                    let planes = seen.chunks_exact(sizes[0]).zip(panel.chunks_exact(sizes[1]));
                    for ((left, right), product) in planes.zip(products.chunks_exact_mut(sizes[2])) {
                        with_vectors(PanelProduct {
                            left,
                            row_stride: depth,
                            column_stride: 1,
                            right: &right[..depth * PANEL],
                            product: &mut product[..count * PANEL],
                            accumulate: false,
                        });
                    }
                    with_vectors(FromPlanes {
                        tiles: self,
                        of_tiles: of_tiles.clone(),
                        planes: products,
                        output,
                        features: columns,
                        of_features: tile(index, PANEL, columns),
                    });
                }
            });
            epilogue.finish(output);
        })
        .0
    }
}
