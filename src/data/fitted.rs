//! Images of any shapes as images of one, or in other colours.

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::Result;

use super::{ImageShape, ImageSource, TargetShape, picture};

/// The images of a source, each cropped, resized and converted to what the target makes of it when it is asked for, as
/// [`picture::fit_into`] says.
pub struct Fitted {
    source: Arc<dyn ImageSource>,
    target: TargetShape,
}

impl Fitted {
    /// The images of `source` in the shape of `target`.
    pub fn new(source: Arc<dyn ImageSource>, target: TargetShape) -> Self {
        Self { source, target }
    }
}

impl ImageSource for Fitted {
    fn len(&self) -> usize {
        self.source.len()
    }

    fn shape_of(&self, index: usize) -> ImageShape {
        self.target.of(self.source.shape_of(index))
    }

    fn uniform_shape(&self) -> Option<ImageShape> {
        match self.target.keeps_sizes {
            true => self.source.uniform_shape().map(|shape| self.target.of(shape)),
            false => Some(self.target.shape),
        }
    }

    fn label_of(&self, index: usize) -> Option<u32> {
        self.source.label_of(index)
    }

    fn bytes_of(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        let (pixels, shape) = (self.source.bytes_of(index)?, self.source.shape_of(index));
        let target = self.target.of(shape);
        if shape == target {
            return Ok(pixels);
        }
        let mut fitted = vec![0; target.stride()];
        picture::fit_into(picture::from_pixels(pixels.into_owned(), shape)?, target, &mut fitted)?;
        Ok(Cow::Owned(fitted))
    }

    fn is_in_memory(&self) -> bool {
        self.source.is_in_memory()
    }

    fn labels(&self) -> Cow<'_, [u32]> {
        self.source.labels()
    }
}
