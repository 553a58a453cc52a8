//! Many images as one picture.

use crate::data::pixel_of;
use crate::image_shape::ImageShape;

/// 8-bit pixels, row after row, channels last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub width: u32,
    pub height: u32,
    /// 1 (grey) or 3 (red, green, blue)
    pub channels: usize,
    /// (height, width, channels)
    pub pixels: Vec<u8>,
}

impl Picture {
    /// A picture of one shade.
    pub fn filled(width: usize, height: usize, channels: usize, shade: u8) -> Self {
        let pixels = vec![shade; width * height * channels];
        Self { width: width as u32, height: height as u32, channels, pixels }
    }

    /// Pictures of one width and as many channels, one below another. None at all make one white pixel.
    pub(super) fn stacked(pictures: &[Picture]) -> Self {
        let Some(first) = pictures.first() else { return Self::filled(1, 1, 3, 255) };
        let height = pictures.iter().map(|picture| picture.height).sum();
        let pixels = pictures.iter().flat_map(|picture| &picture.pixels).copied().collect();
        Self { height, pixels, ..*first }
    }
}

/// How images are laid out, row by row, from the top left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Images a row; `None`: as near to a square as the count allows.
    pub columns: Option<usize>,
    /// Side in pixels of the square that one image pixel becomes.
    pub scale: usize,
    /// Pixels between images.
    pub gap: usize,
}

impl Default for Grid {
    fn default() -> Self {
        Self { columns: None, scale: 2, gap: 2 }
    }
}

/// The shade between images and of cells that hold none: told from the black of a digit's ground, yet no distraction.
pub(super) const GAP_SHADE: u8 = 64;

impl Grid {
    /// One image as it is: no enlargement, nothing around it.
    pub const SINGLE: Grid = Grid { columns: Some(1), scale: 1, gap: 0 };

    /// Rows and columns of a grid of `count` images. None at all still takes one cell.
    pub fn shape(&self, count: usize) -> (usize, usize) {
        let count = count.max(1);
        let root = count.isqrt();
        let near_square = if root * root < count { root + 1 } else { root };
        let columns = self.columns.unwrap_or(near_square).clamp(1, count);
        (count.div_ceil(columns), columns)
    }

    /// Draws the first `count` of `images` of `shape`, (N, H, W, C) in [-1, 1], mapped as the module says: the same
    /// value is the same shade in every image and every grid. Cells past the end of `images` stay empty.
    pub fn draw(&self, images: &[f32], count: usize, shape: ImageShape) -> Picture {
        let ImageShape { height, width, channels } = shape;
        let (rows, columns) = self.shape(count);
        let scale = self.scale.max(1);
        let side = |cells: usize, length: usize| cells * length * scale + (cells - 1) * self.gap;
        let mut picture = Picture::filled(side(columns, width).max(1), side(rows, height).max(1), channels, GAP_SHADE);
        let stride = picture.width as usize * channels;
        for (index, image) in images.chunks_exact(shape.stride().max(1)).take(count).enumerate() {
            let top = (index / columns) * (height * scale + self.gap);
            let left = (index % columns) * (width * scale + self.gap);
            for (y, row) in image.chunks_exact(width * channels).enumerate() {
                let start = (top + y * scale) * stride + left * channels;
                let end = start + width * scale * channels;
                let pixels = row.chunks_exact(channels).enumerate();
                for (target, (x, pixel)) in picture.pixels[start..end].chunks_exact_mut(scale * channels).zip(pixels) {
                    for (subpixel, &value) in target.iter_mut().zip(pixel.iter().cycle()) {
                        *subpixel = shade(value, (x + y) % 2 == 0);
                    }
                }
                for copy in 1..scale {
                    picture.pixels.copy_within(start..end, start + copy * stride);
                }
            }
        }
        picture
    }
}

/// round((value + 1) / 2 * 255), clamped: -1 is 0, 0 is 128, 1 is 255. Never by the image's own minimum and maximum,
/// which would hide a collapse. NaN has no shade: it is drawn as a checkerboard of black and white, which no image
/// shows by itself and no grid hides (`even` says which field of it).
fn shade(value: f32, even: bool) -> u8 {
    match value.is_nan() {
        true if even => 0,
        true => 255,
        false => pixel_of(value),
    }
}
