//! In which shape images are opened.

use super::ImageShape;

/// The shape that images are to come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetShape {
    /// Of images that are made to fit; of others the channels count.
    pub shape: ImageShape,
    /// Whether images keep their own height and width, for what crops them itself.
    pub keeps_sizes: bool,
}

impl TargetShape {
    /// Images in their own sizes where they can be had so, in the colours of `shape`.
    pub fn originals(shape: ImageShape) -> Self {
        Self { shape, keeps_sizes: true }
    }

    /// What becomes of an image of the shape `original`.
    pub fn of(&self, original: ImageShape) -> ImageShape {
        match self.keeps_sizes {
            true => ImageShape { channels: self.shape.channels, ..original },
            false => self.shape,
        }
    }
}

/// Made to fit.
impl From<ImageShape> for TargetShape {
    fn from(shape: ImageShape) -> Self {
        Self { shape, keeps_sizes: false }
    }
}
