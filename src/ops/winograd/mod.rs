//! Convolutions with windows of 3 x 3, stride 1 and padding 1, by Winograd's F(4 x 4, 3 x 3) (Lavin and Gray,
//! 1509.09308): 36 products for each 4 x 4 places of the output where the plain sum has 144.
//!
//! The output is cut into tiles of 4 x 4 places; what lies beyond the image's edge is zero, or left out. A tile's
//! pixels, the weight and the gradient are transformed into planes, one for each of the 6 x 6 points: the product is
//! then a product of matrices, tiles by channels by features, in each plane.

mod correlate;
mod panel;
mod planes;
mod transforms;
mod weight_gradient;
mod weights;

use super::window::Window;
use std::ops::Range;

/// Places of a tile along each axis.
const SIDE: usize = 4;

/// Points along each axis: the pixels that a tile sees.
const SEEN: usize = SIDE + 2;

/// Planes: one for each pair of points.
const PLANES: usize = SEEN * SEEN;

/// Values from the start of a plane of this size to the next: a cache line more than it has. Planes whose size is a
/// power of two would all fall into the same lines of the cache.
const fn pitch(rows: usize, columns: usize) -> usize {
    rows * columns + 16
}

/// Images cut into tiles.
#[derive(Clone, Copy, Debug)]
pub struct Tiles {
    images: usize,
    height: usize,
    width: usize,
}

impl Tiles {
    /// The tiles of a convolution, if it is one that is faster this way: forward and backward, against the products
    /// of patches. This is the only place that decides it, by shape alone.
    ///
    /// Two conditions beside the window's: channels and features enough for the products to outweigh the transforms,
    /// and whole vectors of them; and tiles that are not mostly padding. A tile costs 36 products of channels and
    /// features, what is saved must be a third at least. The number of images has no say, so that an image has the
    /// same output, to the bit, in every batch; with very few of them deep layers would be as fast without.
    pub fn of(window: &Window, features: usize) -> Option<Self> {
        let Window { images, height, width, channels, size, stride, padding, .. } = *window;
        let tiles = Self { images, height, width };
        let is_deep = |count: usize| count >= 16 && count.is_multiple_of(16);
        ((size, stride, padding) == (3, 1, 1)
            && is_deep(channels)
            && is_deep(features)
            && 2 * 9 * height * width >= 3 * PLANES * tiles.down() * tiles.across())
        .then_some(tiles)
    }

    /// Tiles across an image.
    fn across(&self) -> usize {
        self.width.div_ceil(SIDE)
    }

    /// Tiles down an image.
    fn down(&self) -> usize {
        self.height.div_ceil(SIDE)
    }

    /// Rows of tiles in all images.
    fn strips(&self) -> usize {
        self.images * self.down()
    }

    /// The first pixel of a strip, counted over all images; that of the strip after the last is the end.
    fn first_pixel(&self, strip: usize) -> usize {
        (strip / self.down() * self.height + strip % self.down() * SIDE) * self.width
    }

    /// Strips taken together, so many that they have about `tiles` tiles.
    fn strips_of_a_block(&self, tiles: usize) -> usize {
        (tiles / self.across()).max(1)
    }

    /// The tiles of these strips.
    fn of_strips(&self, strips: Range<usize>) -> Range<usize> {
        strips.start * self.across()..strips.end * self.across()
    }

    /// Image, and first row and column of a tile's places.
    fn corner(&self, tile: usize) -> (usize, usize, usize) {
        let (strip, column) = (tile / self.across(), tile % self.across());
        (strip / self.down(), strip % self.down() * SIDE, column * SIDE)
    }
}

#[cfg(test)]
mod tests;
