//! Images of any shapes as images of one.

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::Result;

use super::{ImageShape, ImageSource, picture};

/// The images of a source, each cropped, resized and converted to one shape when it is asked for, as
/// [`picture::fit_into`] says.
pub struct Fitted {
    source: Arc<dyn ImageSource>,
    shape: ImageShape,
}

impl Fitted {
    /// The images of `source` in `shape`.
    pub fn new(source: Arc<dyn ImageSource>, shape: ImageShape) -> Self {
        Self { source, shape }
    }
}

impl ImageSource for Fitted {
    fn len(&self) -> usize {
        self.source.len()
    }

    fn shape_of(&self, _: usize) -> ImageShape {
        self.shape
    }

    fn uniform_shape(&self) -> Option<ImageShape> {
        Some(self.shape)
    }

    fn label_of(&self, index: usize) -> Option<u32> {
        self.source.label_of(index)
    }

    fn bytes_of(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        let (pixels, shape) = (self.source.bytes_of(index)?, self.source.shape_of(index));
        if shape == self.shape {
            return Ok(pixels);
        }
        let mut fitted = vec![0; self.shape.stride()];
        picture::fit_into(picture::from_pixels(pixels.into_owned(), shape)?, self.shape, &mut fitted)?;
        Ok(Cow::Owned(fitted))
    }

    fn labels(&self) -> Cow<'_, [u32]> {
        self.source.labels()
    }
}
