//! Images of one size in memory.

use std::borrow::Cow;

use anyhow::{Result, bail};
use rayon::prelude::*;

use super::source::common_shape;
use super::{ImageShape, ImageSource, MAX_PIXELS};
use crate::error::Error;

/// A set of images of one size, row after row, channels last, with a class for each where it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// Rows of pixels.
    pub height: usize,
    /// Pixels per row.
    pub width: usize,
    /// Values per pixel.
    pub channels: usize,
    /// (N, height, width, channels)
    pub pixels: Vec<u8>,
    /// One class index an image; empty where the source has no labels.
    pub labels: Vec<u32>,
}

impl Images {
    /// No images, of `shape`.
    pub fn empty(shape: ImageShape) -> Self {
        let ImageShape { height, width, channels } = shape;
        Self { height, width, channels, pixels: Vec::new(), labels: Vec::new() }
    }

    /// The shape of each image.
    pub fn shape(&self) -> ImageShape {
        ImageShape { height: self.height, width: self.width, channels: self.channels }
    }

    /// Bytes an image.
    pub fn stride(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.pixels.len() / self.stride().max(1)
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// The pixels of the image number `index`, which must be below [`len`](Self::len).
    pub fn image(&self, index: usize) -> &[u8] {
        let stride = self.stride();
        &self.pixels[index * stride..][..stride]
    }

    /// The first `count` images and their labels, or all where there are fewer.
    pub fn first(&self, count: usize) -> Self {
        let count = count.min(self.len());
        let pixels = self.pixels[..count * self.stride()].to_vec();
        let labels = self.labels[..count.min(self.labels.len())].to_vec();
        Self { pixels, labels, ..Self::empty(self.shape()) }
    }

    /// The images at `indices`, in their order, with their labels. An index must be below [`len`](Self::len).
    pub fn select(&self, indices: &[u32]) -> Self {
        copied(self.shape(), &self.pixels, &self.labels, indices)
    }

    /// All images of `source`, decoded on all threads. [`Error::Input`] where they differ in shape, or would take more than
    /// [`MAX_PIXELS`].
    pub fn read(source: &dyn ImageSource) -> Result<Self> {
        let shape = common_shape(source)?;
        let pixels = match source.contiguous() {
            Some((_, pixels)) => pixels.to_vec(),
            None => {
                let mut pixels = zeroed(source.len(), shape, MAX_PIXELS)?;
                let places = pixels.par_chunks_mut(shape.stride()).enumerate();
                // Collected before an error is looked for: the error is that of the first such image.
                let read = |(index, pixels): (usize, &mut [u8])| -> Result<()> {
                    pixels.copy_from_slice(&source.bytes_of(index)?);
                    Ok(())
                };
                places.map(read).collect::<Vec<_>>().into_iter().collect::<Result<()>>()?;
                pixels
            }
        };
        Ok(Self { pixels, labels: source.labels().into_owned(), ..Self::empty(shape) })
    }
}

impl ImageSource for Images {
    fn len(&self) -> usize {
        self.len()
    }

    fn shape_of(&self, _: usize) -> ImageShape {
        self.shape()
    }

    fn label_of(&self, index: usize) -> Option<u32> {
        self.labels.get(index).copied()
    }

    fn bytes_of(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        Ok(Cow::Borrowed(self.image(index)))
    }

    fn labels(&self) -> Cow<'_, [u32]> {
        Cow::Borrowed(&self.labels)
    }

    fn contiguous(&self) -> Option<(ImageShape, &[u8])> {
        Some((self.shape(), &self.pixels))
    }
}

/// The images at `indices` of those whose pixels and labels are given.
pub(super) fn copied(shape: ImageShape, all: &[u8], labels: &[u32], indices: &[u32]) -> Images {
    let mut pixels = Vec::with_capacity(indices.len() * shape.stride());
    for &index in indices {
        pixels.extend_from_slice(&all[index as usize * shape.stride()..][..shape.stride()]);
    }
    Images { pixels, labels: selected(labels, indices), ..Images::empty(shape) }
}

/// The labels at `indices`; none where there are none.
pub(super) fn selected(labels: &[u32], indices: &[u32]) -> Vec<u32> {
    match labels.is_empty() {
        true => Vec::new(),
        false => indices.iter().map(|index| labels[*index as usize]).collect(),
    }
}

/// Zeroed pixels for `count` images of `shape`; [`Error::Input`] above `most` bytes.
pub(super) fn zeroed(count: usize, shape: ImageShape, most: u64) -> Result<Vec<u8>> {
    match count.checked_mul(shape.stride()) {
        Some(bytes) if bytes as u64 <= most => Ok(vec![0; bytes]),
        _ => bail!(Error::Input(format!(
            "{count} images of {}x{}x{} take more than {} GiB of memory; use fewer",
            shape.height,
            shape.width,
            shape.channels,
            most >> 30
        ))),
    }
}
