//! Pictures of different shapes in memory.

use std::borrow::Cow;

use anyhow::Result;
use rayon::prelude::*;

use super::{ImageShape, ImageSource};

/// Pictures of any shapes, decoded.
pub struct Pictures {
    /// The shape and the pixels of each, (height, width, channels).
    pictures: Vec<(ImageShape, Vec<u8>)>,
    /// Of each, or empty.
    labels: Vec<u32>,
}

impl Pictures {
    /// All images of `source`, decoded on all threads.
    ///
    /// # Errors
    /// Of the first image that cannot be read.
    pub fn read(source: &dyn ImageSource) -> Result<Self> {
        let read = |index: usize| Ok((source.shape_of(index), source.bytes_of(index)?.into_owned()));
        let pictures: Vec<Result<_>> = (0..source.len()).into_par_iter().map(read).collect();
        Ok(Self { pictures: pictures.into_iter().collect::<Result<_>>()?, labels: source.labels().into_owned() })
    }
}

impl ImageSource for Pictures {
    fn len(&self) -> usize {
        self.pictures.len()
    }

    fn shape_of(&self, index: usize) -> ImageShape {
        self.pictures[index].0
    }

    fn label_of(&self, index: usize) -> Option<u32> {
        self.labels.get(index).copied()
    }

    fn bytes_of(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        Ok(Cow::Borrowed(&self.pictures[index].1))
    }

    fn is_in_memory(&self) -> bool {
        true
    }

    fn labels(&self) -> Cow<'_, [u32]> {
        Cow::Borrowed(&self.labels)
    }
}
