//! Convolutions by Winograd's F(4 x 4, K x K) (Lavin and Gray, 1509.09308): with windows of 3 x 3, 36 products for each
//! 4 x 4 places of the output where the plain sum has 144; with windows of 5 x 5, 64 for 400.
//!
//! The places of the window are cut into tiles of 4 x 4; what lies beyond the image's edge is zero, or left out. A
//! tile's pixels, the weight and the gradient are transformed into planes, one for each pair of points: the product is
//! then a product of matrices, tiles by channels by features, in each plane.
//!
//! With a stride of 2 every second row and column of the window meets every second one of the image: a window of 4 x 4
//! is the sum of four phases of 2 x 2, each a convolution with stride 1 of its own pixels, and has 100 products for 256.
//! To the convolution the phases are further channels, to the transposed convolution, its adjoint, further features.

mod conv;
mod conv_transpose;
mod planes;
mod tiles;
mod transforms;
mod weight_gradient;
mod weights;

use crate::kernels::cpu::epilogue::Epilogue;
use crate::kernels::cpu::matrix::kernel::{PANEL, PanelProduct};
use crate::kernels::cpu::simd::with_vectors;
use crate::kernels::window::Window;
use tiles::Tiles;
use transforms::Transforms;

/// Places of a tile along each axis, m in Lavin and Gray's F(m x m, r x r).
const M: usize = 4;

/// The products of images with a weight (O, C, K, K), as the products of patches that a [`Window`] computes.
pub trait WinogradConv {
    /// The convolution of images (N, H, W, C): (N, down, across, O), each block of it finished by `epilogue`.
    fn conv(&self, images: &[f32], weight: &[f32], epilogue: Epilogue) -> Vec<f32>;

    /// Its adjoint in the images, the transposed convolution of `values` (N, down, across, O): (N, H, W, C).
    fn conv_transpose(&self, values: &[f32], weight: &[f32], epilogue: Epilogue) -> Vec<f32>;

    /// The gradient of the weight, from the images and from that of the output (N, down, across, O).
    fn weight_gradient(&self, images: &[f32], gradient: &[f32]) -> Vec<f32>;
}

/// The products of this window, if they are faster this way than by patches. This is the only place that decides it,
/// by shape alone.
///
/// Two conditions beside the window's: channels and features enough for the products to outweigh the transforms, in
/// whole vectors or panels; and tiles that are not mostly padding. A tile costs a product of channels and features in
/// each plane, what is saved must be a third at least. The number of images has no say, so that an image has the same
/// output, to the bit, in every batch; with very few of them deep layers would be as fast without.
pub fn of(window: &Window, features: usize) -> Option<Box<dyn WinogradConv>> {
    let in_whole = |count: usize| [window.channels, features].iter().all(|of| *of > 0 && of.is_multiple_of(count));
    match (window.size, window.stride, window.padding) {
        (3, 1, 1) if in_whole(16) => Winograd::<3, 6>::new(*window, features).if_it_saves(),
        (4, 2, 1) if in_whole(PANEL) => Winograd::<2, 5>::new(*window, features).if_it_saves(),
        (5, 1, 0..=2) if in_whole(16) => Winograd::<5, 8>::new(*window, features).if_it_saves(),
        _ => None,
    }
}

/// F(M x M, R x R), with ALPHA = M + R - 1 points along each axis: as many as the pixels that a tile sees.
struct Winograd<const R: usize, const ALPHA: usize> {
    tiles: Tiles,
    features: usize,
}

impl<const R: usize, const ALPHA: usize> Winograd<R, ALPHA>
where
    Self: Transforms<R, ALPHA>,
{
    /// Planes: one for each pair of points.
    const PLANES: usize = ALPHA * ALPHA;

    /// Values of a kernel.
    const AREA: usize = R * R;

    fn new(window: Window, features: usize) -> Self {
        Self { tiles: Tiles { window }, features }
    }

    fn if_it_saves(self) -> Option<Box<dyn WinogradConv>>
    where
        Self: 'static,
    {
        let Window { size, down, across, .. } = self.tiles.window;
        let plain = size * size * down * across;
        let tiles = self.tiles.phases() * self.tiles.down() * self.tiles.across();
        let saves = 2 * plain >= 3 * Self::PLANES * tiles;
        saves.then(|| Box::new(self) as Box<dyn WinogradConv>)
    }

    /// A product of matrices in each plane: `left` (PLANES, rows, depth), `right` (PLANES, depth, PANEL) and `products`
    /// (PLANES, rows, PANEL).
    fn multiply(left: &[f32], right: &[f32], products: &mut [f32], rows: usize, depth: usize) {
        let factors = left.chunks_exact(pitch(rows, depth)).zip(right.chunks_exact(pitch(depth, PANEL)));
        for ((left, right), product) in factors.zip(products.chunks_exact_mut(pitch(rows, PANEL))) {
            with_vectors(PanelProduct {
                left,
                row_stride: depth,
                column_stride: 1,
                right: &right[..depth * PANEL],
                product: &mut product[..rows * PANEL],
                rows,
                columns: PANEL,
                stride: PANEL,
                accumulate: false,
            });
        }
    }
}

impl<const R: usize, const ALPHA: usize> WinogradConv for Winograd<R, ALPHA>
where
    Self: Transforms<R, ALPHA>,
{
    fn conv(&self, images: &[f32], weight: &[f32], epilogue: Epilogue) -> Vec<f32> {
        self.conv_by_tiles(images, weight, epilogue)
    }

    fn conv_transpose(&self, values: &[f32], weight: &[f32], epilogue: Epilogue) -> Vec<f32> {
        self.conv_transpose_by_tiles(values, weight, epilogue)
    }

    fn weight_gradient(&self, images: &[f32], gradient: &[f32]) -> Vec<f32> {
        self.gradient_of_weight(images, gradient)
    }
}

/// Values from the start of a plane of this size to the next: a cache line more than it has. Planes whose size is a
/// power of two would all fall into the same lines of the cache.
const fn pitch(rows: usize, columns: usize) -> usize {
    rows * columns + 16
}

#[cfg(test)]
mod tests;
