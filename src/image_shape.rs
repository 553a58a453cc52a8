//! The size of an image: what travels from a model's preset or a saved network to whatever reads or draws pixels.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Height, width and channels of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageShape {
    /// Rows of pixels.
    pub height: usize,
    /// Pixels per row.
    pub width: usize,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
}

impl ImageShape {
    /// MNIST's, which the course's GANs are for: 28x28, grey.
    pub const COURSE: Self = Self::new(28, 28, 1);

    /// An image of `height` rows of `width` pixels of `channels` values.
    pub const fn new(height: usize, width: usize, channels: usize) -> Self {
        Self { height, width, channels }
    }

    /// Values in an image; of 8-bit pixels, its bytes.
    pub const fn stride(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Images as PyTorch has them, (N, C, H, W), from the order used here, (N, H, W, C). Only whole images are taken.
    pub fn channels_first<T: Copy>(&self, images: &[T]) -> Vec<T> {
        if self.channels == 1 {
            return images.to_vec();
        }
        let planes = |image: &[T]| -> Vec<T> {
            (0..self.channels).flat_map(|channel| image.iter().skip(channel).step_by(self.channels).copied()).collect()
        };
        images.chunks_exact(self.stride()).flat_map(planes).collect()
    }

    /// The inverse of [`channels_first`](Self::channels_first): (N, H, W, C) from (N, C, H, W).
    pub fn channels_last<T: Copy>(&self, images: &[T]) -> Vec<T> {
        if self.channels == 1 {
            return images.to_vec();
        }
        let plane = self.height * self.width;
        let pixels = |image: &[T]| -> Vec<T> {
            (0..plane).flat_map(|pixel| image.iter().skip(pixel).step_by(plane).copied()).collect()
        };
        images.chunks_exact(self.stride()).flat_map(pixels).collect()
    }
}

/// `28x28x1`: height, width, channels.
impl fmt::Display for ImageShape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}x{}x{}", self.height, self.width, self.channels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_channels_changes_and_changes_back() {
        let shape = ImageShape::new(2, 3, 3);
        let image: Vec<u32> = (0..6).flat_map(|pixel| [pixel, 10 + pixel, 20 + pixel]).collect();
        let planes: Vec<u32> = (0..6).chain(10..16).chain(20..26).collect();
        let (images, first) = (image.repeat(2), planes.repeat(2));
        assert_eq!(shape.channels_first(&images), first);
        assert_eq!(shape.channels_last(&first), images);
        let large = ImageShape::new(20, 12, 3);
        let images: Vec<usize> = (0..2 * large.stride()).collect();
        assert_eq!(large.channels_last(&large.channels_first(&images)), images);
        let grey = ImageShape::new(2, 3, 1);
        assert_eq!(grey.channels_first(&[1, 2, 3, 4, 5, 6]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(grey.to_string(), "2x3x1");
    }
}
