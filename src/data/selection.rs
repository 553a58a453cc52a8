//! Some images of a source.

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::Result;

use super::images::selected;
use super::{ImageShape, ImageSource};

/// The images of a source at some indices, in their order. Nothing is copied but the labels.
pub struct Selection {
    source: Arc<dyn ImageSource>,
    indices: Vec<u32>,
    labels: Vec<u32>,
    /// Where they lie one after the other.
    are_in_row: bool,
}

impl Selection {
    /// An index must be below the number of images of `source`.
    pub fn new(source: Arc<dyn ImageSource>, indices: Vec<u32>) -> Self {
        let labels = selected(&source.labels(), &indices);
        let are_in_row = indices.windows(2).all(|pair| pair[1] == pair[0] + 1);
        Self { source, indices, labels, are_in_row }
    }

    fn place(&self, index: usize) -> usize {
        self.indices[index] as usize
    }
}

impl ImageSource for Selection {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn shape_of(&self, index: usize) -> ImageShape {
        self.source.shape_of(self.place(index))
    }

    fn label_of(&self, index: usize) -> Option<u32> {
        self.labels.get(index).copied()
    }

    fn bytes_of(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        self.source.bytes_of(self.place(index))
    }

    fn is_in_memory(&self) -> bool {
        self.source.is_in_memory()
    }

    fn labels(&self) -> Cow<'_, [u32]> {
        Cow::Borrowed(&self.labels)
    }

    fn contiguous(&self) -> Option<(ImageShape, &[u8])> {
        let first = *self.indices.first().filter(|_| self.are_in_row)?;
        let (shape, pixels) = self.source.contiguous()?;
        Some((shape, &pixels[first as usize * shape.stride()..][..self.len() * shape.stride()]))
    }
}
