//! How the places of a window are cut into tiles, and which pixels they see.

use super::M;
use crate::kernels::window::Window;
use std::ops::Range;

/// The places of a window cut into tiles of M x M. Tiles are counted over all images, row after row.
#[derive(Clone, Copy, Debug)]
pub struct Tiles {
    pub window: Window,
}

impl Tiles {
    /// Tiles across an image.
    pub fn across(&self) -> usize {
        self.window.across.div_ceil(M)
    }

    /// Tiles down an image.
    pub fn down(&self) -> usize {
        self.window.down.div_ceil(M)
    }

    /// Rows of tiles in all images.
    pub fn strips(&self) -> usize {
        self.window.images * self.down()
    }

    /// The first place of a strip, counted over all images; that of the strip after the last is the end.
    pub fn first_place(&self, strip: usize) -> usize {
        (strip / self.down() * self.window.down + strip % self.down() * M) * self.window.across
    }

    /// Strips taken together, so many that they have about `tiles` tiles.
    pub fn strips_of_a_block(&self, tiles: usize) -> usize {
        (tiles / self.across()).max(1)
    }

    /// The tiles of these strips.
    pub fn of_strips(&self, strips: Range<usize>) -> Range<usize> {
        strips.start * self.across()..strips.end * self.across()
    }

    /// Image, and first row and column of a tile's places.
    fn corner(&self, tile: usize) -> (usize, usize, usize) {
        let (strip, column) = (tile / self.across(), tile % self.across());
        (strip / self.down(), strip % self.down() * M, column * M)
    }

    /// Parts of the images and of the window that meet: a stride of 2 makes 2 x 2 of them.
    pub fn phases(&self) -> usize {
        self.window.stride * self.window.stride
    }

    /// Row and column of a phase's first value in the window.
    pub fn of_phase(&self, phase: usize) -> (usize, usize) {
        (phase / self.window.stride, phase % self.window.stride)
    }

    /// The pixels that a phase of the window sees: the first of a place's at the row and column of the place.
    pub fn pixels(&self, phase: usize) -> Grid {
        let Window { height, width, stride, padding, .. } = self.window;
        let (row, column) = self.of_phase(phase);
        Grid { tiles: *self, height, width, stride, row, column, padding }
    }

    pub fn places(&self) -> Grid {
        let Window { down, across, .. } = self.window;
        Grid { tiles: *self, height: down, width: across, stride: 1, row: 0, column: 0, padding: 0 }
    }
}

/// Every `stride`th pixel of images, from (row - padding, column - padding) on, in the tiles of a window.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    tiles: Tiles,
    height: usize,
    width: usize,
    stride: usize,
    row: usize,
    column: usize,
    padding: usize,
}

impl Grid {
    /// The pixel at a tile's first place and those that follow it to the right and below, `side` x `side` of them.
    pub fn square(&self, tile: usize, side: usize) -> Square {
        let (image, top, left) = self.tiles.corner(tile);
        let (top, left) = (top * self.stride + self.row, left * self.stride + self.column);
        let inside = |start: usize, length: usize| {
            let first = self.padding.saturating_sub(start).div_ceil(self.stride);
            first..(length + self.padding).saturating_sub(start).div_ceil(self.stride).min(side)
        };
        let row = (image * self.height + top).wrapping_sub(self.padding).wrapping_mul(self.width);
        Square {
            first: row.wrapping_add(left).wrapping_sub(self.padding),
            row: self.stride * self.width,
            column: self.stride,
            rows: inside(top, self.height),
            columns: inside(left, self.width),
        }
    }
}

/// Pixels of an image, some of them beyond its edge.
pub struct Square {
    first: usize,
    row: usize,
    column: usize,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Square {
    /// The pixel in this row and column of the square, counted over all images, if it is on the image.
    #[inline(always)]
    pub fn pixel(&self, row: usize, column: usize) -> Option<usize> {
        (self.rows.contains(&row) && self.columns.contains(&column))
            .then(|| self.first.wrapping_add(row * self.row + column * self.column))
    }
}
