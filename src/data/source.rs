//! What can be trained on: images that are read one by one, from any thread.

use std::borrow::Cow;
use std::ops::Range;

use anyhow::{Result, bail};
use rayon::prelude::*;

use super::ImageShape;
use crate::error::Error;

/// A set of images, in memory or decoded on demand. Everything that trains takes this: the plan, the prefetcher, the
/// identity and the parts of a set. An index must be below [`len`](Self::len).
///
/// A new source is one file that implements this, and one line in [`open`](super::open).
pub trait ImageSource: Send + Sync {
    /// The number of images.
    fn len(&self) -> usize;

    /// Whether there is no image.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of an image, known without decoding it. Sources may hold images of different shapes.
    fn shape_of(&self, index: usize) -> ImageShape;

    /// The class of an image; `None` where the source has no labels. All images have one, or none.
    fn label_of(&self, index: usize) -> Option<u32>;

    /// The pixels of an image: (height, width, channels) of its [`shape_of`](Self::shape_of).
    ///
    /// # Errors
    /// Where the image cannot be read or decoded any more.
    fn bytes_of(&self, index: usize) -> Result<Cow<'_, [u8]>>;

    /// Whether the images lie decoded in memory.
    fn is_in_memory(&self) -> bool {
        self.contiguous().is_some()
    }

    /// All labels in order; empty where the source has none.
    fn labels(&self) -> Cow<'_, [u32]> {
        (0..self.len()).map_while(|index| self.label_of(index)).collect()
    }

    /// The shape that all images have; `None` where they differ, or where there are none that would tell.
    fn uniform_shape(&self) -> Option<ImageShape> {
        if let Some((shape, _)) = self.contiguous() {
            return Some(shape);
        }
        let shape = (!self.is_empty()).then(|| self.shape_of(0))?;
        (1..self.len()).all(|index| self.shape_of(index) == shape).then_some(shape)
    }

    /// The fast path: the shape and the pixels of all images, where they have one shape and lie in memory one after the
    /// other.
    fn contiguous(&self) -> Option<(ImageShape, &[u8])> {
        None
    }
}

/// The pixels of the images at `indices`, in their order. Images that have to be decoded are decoded on all threads.
pub fn fetch<'a>(source: &'a dyn ImageSource, indices: &[u32]) -> Result<Vec<Cow<'a, [u8]>>> {
    let bytes_of = |index: &u32| source.bytes_of(*index as usize);
    match source.contiguous() {
        Some(_) => indices.iter().map(bytes_of).collect(),
        // Collected before an error is looked for: the error is that of the first such image, on any number of threads.
        None => indices.par_iter().map(bytes_of).collect::<Vec<_>>().into_iter().collect(),
    }
}

/// The pixels of the images in `range`, one after the other: (N, height, width, channels) where they have one shape.
///
/// # Errors
/// Where an image cannot be read or decoded any more.
pub fn pixels_of(source: &dyn ImageSource, range: Range<usize>) -> Result<Cow<'_, [u8]>> {
    if let Some((shape, pixels)) = source.contiguous() {
        return Ok(Cow::Borrowed(&pixels[range.start * shape.stride()..range.end * shape.stride()]));
    }
    let indices: Vec<u32> = (range.start as u32..range.end as u32).collect();
    Ok(Cow::Owned(fetch(source, &indices)?.concat()))
}

/// The one shape that all images have.
///
/// # Errors
/// [`Error::Input`] where they differ.
pub fn common_shape(source: &dyn ImageSource) -> Result<ImageShape> {
    if let Some(shape) = source.uniform_shape() {
        return Ok(shape);
    }
    let shapes: Vec<ImageShape> = (0..source.len()).map(|index| source.shape_of(index)).collect();
    match shapes.first().and_then(|first| Some((first, shapes.iter().find(|shape| *shape != first)?))) {
        Some((shape, other)) => {
            bail!(Error::Input(format!("a batch is of images of one shape, found {other} and {shape}")))
        }
        None => bail!(Error::Input("no images".to_string())),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::data::Images;

    /// Images that are handed out one by one, as from files.
    pub struct OneByOne(pub Images);

    impl ImageSource for OneByOne {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn shape_of(&self, _: usize) -> ImageShape {
            self.0.shape()
        }

        fn label_of(&self, index: usize) -> Option<u32> {
            self.0.labels.get(index).copied()
        }

        fn bytes_of(&self, index: usize) -> Result<Cow<'_, [u8]>> {
            Ok(Cow::Owned(self.0.bytes_of(index)?.into_owned()))
        }
    }

    #[test]
    fn images_one_by_one_are_those_in_memory() {
        let shape = ImageShape { height: 2, width: 1, channels: 3 };
        let images = Images { pixels: (0..30).collect(), labels: vec![3, 1, 2, 0, 4], ..Images::empty(shape) };
        let one_by_one = OneByOne(images.clone());
        let sources: [&dyn ImageSource; 2] = [&images, &one_by_one];
        for source in sources {
            assert_eq!((source.len(), source.is_empty(), source.shape_of(3)), (5, false, shape));
            assert_eq!((source.label_of(3), &*source.labels()), (Some(0), &[3, 1, 2, 0, 4][..]));
            let fetched = fetch(source, &[4, 0]).unwrap();
            assert_eq!(fetched, [&images.pixels[24..], &images.pixels[..6]]);
            assert_eq!(*pixels_of(source, 1..3).unwrap(), images.pixels[6..18]);
            assert_eq!((source.uniform_shape(), common_shape(source).unwrap()), (Some(shape), shape));
        }
        let unlabelled = OneByOne(Images { labels: Vec::new(), ..images });
        assert!(unlabelled.labels().is_empty() && unlabelled.label_of(0).is_none());
    }
}
