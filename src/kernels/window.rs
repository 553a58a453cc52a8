//! A square window that slides over images: the geometry that convolutions and transposed convolutions share.
//!
//! Images are (N, H, W, C), channels last. A place of the window is where it lies on an image; its patch is what it
//! sees there, (K, K, C) flattened, with zeros outside of the image.

/// Where a window of `size` comes to lie on images, `padding` zeros around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    pub images: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub size: usize,
    pub stride: usize,
    pub padding: usize,
    /// Places down and across an image.
    pub down: usize,
    pub across: usize,
}

/// The number of places of a window along an axis of `length`, if there is any.
pub fn places(length: usize, size: usize, stride: usize, padding: usize) -> Option<usize> {
    let room = length.checked_add(padding.checked_mul(2)?)?.checked_sub(size)?;
    Some(room.checked_div(stride)? + 1)
}

impl Window {
    /// Values of a patch.
    pub fn patch(&self) -> usize {
        self.size * self.size * self.channels
    }

    /// Values of an image.
    pub fn image(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Whether the patches are the pixels, in their order.
    pub fn is_pixels(&self) -> bool {
        (self.size, self.stride, self.padding) == (1, 1, 0)
    }

    pub fn places_of_an_image(&self) -> usize {
        self.down * self.across
    }

    pub fn places(&self) -> usize {
        self.images * self.places_of_an_image()
    }
}
