//! Pictures of different shapes in memory.

use std::borrow::Cow;

use anyhow::Result;
use rayon::prelude::*;

use super::{ImageSet, ImageShape, ImageSource, Images, MAX_PIXELS};

/// Pictures of any shapes, decoded.
pub struct Pictures {
    shapes: Vec<ImageShape>,
    /// Where the pixels of each begin.
    starts: Vec<usize>,
    /// (height, width, channels) of each, one after the other.
    pixels: Vec<u8>,
    /// Of each, or empty.
    labels: Vec<u32>,
}

impl Pictures {
    /// Pictures of these shapes, whose pixels, (height, width, channels) of each, lie one after the other.
    pub fn new(shapes: Vec<ImageShape>, pixels: Vec<u8>, labels: Vec<u32>) -> Self {
        let starts = shapes.iter().scan(0, |end, shape| Some(std::mem::replace(end, *end + shape.stride()))).collect();
        Self { shapes, starts, pixels, labels }
    }

    /// All images of `source`, decoded on all threads.
    ///
    /// # Errors
    /// Of the first image that cannot be read.
    pub fn read(source: &dyn ImageSource) -> Result<Self> {
        let shapes: Vec<ImageShape> = (0..source.len()).map(|index| source.shape_of(index)).collect();
        let mut pixels = vec![0; shapes.iter().map(ImageShape::stride).sum()];
        let read = |(index, pixels): (usize, &mut [u8])| -> Result<()> {
            pixels.copy_from_slice(&source.bytes_of(index)?);
            Ok(())
        };
        // Collected before an error is looked for: the error is that of the first such image.
        let outcomes: Vec<Result<()>> = pieces(&mut pixels, &shapes).into_par_iter().enumerate().map(read).collect();
        outcomes.into_iter().collect::<Result<()>>()?;
        Ok(Self::new(shapes, pixels, source.labels().into_owned()))
    }

    /// The pictures, as [`Images`] where they have one shape.
    pub fn into_set(self) -> ImageSet {
        match self.uniform_shape() {
            Some(shape) if self.pixels.len() as u64 <= MAX_PIXELS => {
                Images { pixels: self.pixels, labels: self.labels, ..Images::empty(shape) }.into()
            }
            _ => self.into(),
        }
    }
}

/// The pixels of pictures of these shapes, which lie one after the other.
pub fn pieces<'a>(mut pixels: &'a mut [u8], shapes: &[ImageShape]) -> Vec<&'a mut [u8]> {
    let piece = |shape: &ImageShape| {
        let (piece, rest) = std::mem::take(&mut pixels).split_at_mut(shape.stride());
        pixels = rest;
        piece
    };
    shapes.iter().map(piece).collect()
}

impl ImageSource for Pictures {
    fn len(&self) -> usize {
        self.shapes.len()
    }

    fn shape_of(&self, index: usize) -> ImageShape {
        self.shapes[index]
    }

    fn label_of(&self, index: usize) -> Option<u32> {
        self.labels.get(index).copied()
    }

    fn bytes_of(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        Ok(Cow::Borrowed(&self.pixels[self.starts[index]..][..self.shapes[index].stride()]))
    }

    fn is_in_memory(&self) -> bool {
        true
    }

    fn labels(&self) -> Cow<'_, [u32]> {
        Cow::Borrowed(&self.labels)
    }
}
