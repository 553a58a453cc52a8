//! A part of a data set: images in memory or decoded on demand, and what is cut from them.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use anyhow::Result;
use rayon::prelude::*;

use super::digests::PictureDigests;
use super::fitted::Fitted;
use super::images::copied;
use super::pictures::Pictures;
use super::selection::Selection;
use super::source::common_shape;
use super::{ImageShape, ImageSource, Images, TargetShape, parts};

/// Images to train on, to choose by or to test on: an [`ImageSource`], to whose methods this derefs. A clone shares them.
#[derive(Clone)]
pub struct ImageSet {
    source: Arc<dyn ImageSource>,
    /// Of images that come from encoded pictures.
    digests: Option<PictureDigests>,
}

impl ImageSet {
    /// No images, of `shape`.
    pub fn empty(shape: ImageShape) -> Self {
        Images::empty(shape).into()
    }

    /// What trains takes its images from this.
    pub fn source(&self) -> Arc<dyn ImageSource> {
        self.source.clone()
    }

    /// The images, which come from the pictures of these hashes.
    pub(super) fn of_pictures(self, digests: PictureDigests) -> Self {
        Self { digests: Some(digests), ..self }
    }

    /// The hashes of the pictures that the images come from.
    pub(super) fn digests(&self) -> Option<&PictureDigests> {
        self.digests.as_ref()
    }

    /// The same pictures, held otherwise.
    pub(super) fn held(&self, source: impl Into<Self>) -> Self {
        Self { digests: self.digests.clone(), ..source.into() }
    }

    /// The one shape that all images have.
    ///
    /// # Errors
    /// [`Error::Input`](crate::error::Error::Input) where they differ.
    pub fn shape(&self) -> Result<ImageShape> {
        common_shape(&**self)
    }

    /// Whether there are images, and each has a label.
    pub fn is_labelled(&self) -> bool {
        !self.is_empty() && self.labels().len() == self.len()
    }

    /// The images at `indices`, in their order, with their labels. An index must be below [`len`](ImageSource::len).
    ///
    /// Images that lie in memory still do, one after the other: those in a row stay where they are, others are copied,
    /// since an accelerator takes them in one piece. Those that are decoded on demand stay so.
    pub fn select(&self, indices: &[u32]) -> Self {
        let are_in_row = indices.windows(2).all(|pair| pair[1] == pair[0] + 1);
        let selected: Self = match (self.uniform_shape(), self.contiguous()) {
            // A view would keep all the others in memory.
            (Some(shape), _) if indices.is_empty() => Self::empty(shape),
            (_, Some((shape, pixels))) if !are_in_row => copied(shape, pixels, &self.labels(), indices).into(),
            _ => Selection::new(self.source(), indices.to_vec()).into(),
        };
        Self { digests: self.digests.as_ref().map(|digests| digests.select(indices)), ..selected }
    }

    /// The first `count` images, or all where there are fewer.
    pub fn first(&self, count: usize) -> Self {
        self.select(&(0..count.min(self.len()) as u32).collect::<Vec<u32>>())
    }

    /// The indices of the images at `places`; see [`parts::at`].
    pub fn at(&self, places: Range<usize>, is_canonical: bool) -> Vec<u32> {
        parts::at(&**self, places, is_canonical)
    }

    /// The images as `target` says: themselves where they are so, else cropped, resized and converted as
    /// [`picture::fit_into`](super::picture::fit_into) says; now where they lie in memory, else as each is asked for.
    ///
    /// # Errors
    /// [`Error::Input`](crate::error::Error::Input) where images in memory would take more than
    /// [`MAX_PIXELS`](super::MAX_PIXELS).
    pub fn fit(self, target: impl Into<TargetShape>) -> Result<Self> {
        let fitted = self.fit_on_demand(target);
        match self.contiguous() {
            Some(_) if fitted.contiguous().is_none() => Ok(self.held(fitted.to_images()?)),
            _ => Ok(fitted),
        }
    }

    /// As [`fit`](Self::fit), each image when it is asked for, wherever they lie: for what is seen once.
    pub fn fit_on_demand(&self, target: impl Into<TargetShape>) -> Self {
        let target = target.into();
        let are_so = match self.uniform_shape() {
            Some(shape) => target.of(shape) == shape,
            None => (0..self.len()).map(|index| self.shape_of(index)).all(|shape| target.of(shape) == shape),
        };
        if are_so { self.clone() } else { self.held(Fitted::new(self.source(), target)) }
    }

    /// The images decoded in memory, one after the other where they have one shape.
    ///
    /// # Errors
    /// Of the first image that cannot be read.
    pub fn in_memory(&self) -> Result<Self> {
        Ok(match self.contiguous() {
            Some(_) => self.clone(),
            None => self.held(Pictures::read(&**self)?.into_set()),
        })
    }

    /// Whether any image has a colour other than grey. Looks no further than to the first that has.
    ///
    /// # Errors
    /// Where an image cannot be read or decoded any more.
    pub fn has_colour(&self) -> Result<bool> {
        let is_colour = |index: usize| {
            let is_grey = |pixel: &[u8]| pixel[0] == pixel[1] && pixel[1] == pixel[2];
            Ok(self.shape_of(index).channels == 3 && !self.bytes_of(index)?.chunks_exact(3).all(is_grey))
        };
        let found = (0..self.len()).into_par_iter().map(is_colour);
        found.find_any(|found| !matches!(found, Ok(false))).unwrap_or(Ok(false))
    }

    /// All images in memory. [`Error::Input`](crate::error::Error::Input) where they differ in shape, or would take more
    /// than [`MAX_PIXELS`](super::MAX_PIXELS).
    pub fn to_images(&self) -> Result<Images> {
        Images::read(&**self)
    }
}

impl<S: ImageSource + 'static> From<S> for ImageSet {
    fn from(source: S) -> Self {
        Self { source: Arc::new(source), digests: None }
    }
}

impl Deref for ImageSet {
    type Target = dyn ImageSource;

    fn deref(&self) -> &Self::Target {
        &*self.source
    }
}

impl fmt::Debug for ImageSet {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let labels: Cow<[u32]> = self.labels();
        f.debug_struct("ImageSet")
            .field("len", &self.len())
            .field("shape", &self.uniform_shape())
            .field("labels", &labels.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::source::tests::OneByOne;
    use crate::rng::Stream;

    fn images(shape: ImageShape) -> Images {
        let mut generator = Stream::new(1, "pixels").at(0);
        let pixels = (0..9 * shape.stride()).map(|_| generator.bits() as u8).collect();
        Images { pixels, labels: (0..9).map(|label| label * 5 % 9).collect(), ..Images::empty(shape) }
    }

    #[test]
    fn what_is_selected_is_the_same_in_memory_and_on_demand() {
        let shape = ImageShape::new(3, 4, 3);
        let all = images(shape);
        let (in_memory, on_demand) = (ImageSet::from(all.clone()), ImageSet::from(OneByOne(all.clone())));
        for indices in [&[2, 3, 4][..], &[7, 0, 7, 3], &[5], &[], &[0, 1, 2, 3, 4, 5, 6, 7, 8]] {
            let expected = all.select(indices);
            for (set, is_in_memory) in [(&in_memory, true), (&on_demand, false)] {
                let selected = set.select(indices);
                assert_eq!(selected.to_images().unwrap(), expected, "{indices:?}");
                assert_eq!((selected.uniform_shape(), selected.len()), (Some(shape), indices.len()));
                let is_contiguous = is_in_memory || indices.is_empty();
                assert_eq!(selected.contiguous().is_some(), is_contiguous, "{indices:?}");
                assert_eq!(selected.is_labelled(), !indices.is_empty());
                let last_first: Vec<u32> = (0..indices.len() as u32).rev().collect();
                assert_eq!(selected.select(&last_first).to_images().unwrap(), expected.select(&last_first));
            }
            if let (Some((_, view)), Some((_, whole))) =
                (in_memory.select(indices).contiguous(), in_memory.contiguous())
                && indices == [2, 3, 4]
            {
                assert_eq!(view.as_ptr(), whole[2 * shape.stride()..].as_ptr(), "nothing is copied");
            }
        }
        assert_eq!(on_demand.first(4).to_images().unwrap(), all.first(4));
        assert_eq!(on_demand.first(99).len(), 9);
    }

    /// Two pictures of different shapes, one of them grey.
    struct Two;

    impl ImageSource for Two {
        fn len(&self) -> usize {
            2
        }

        fn shape_of(&self, index: usize) -> ImageShape {
            [ImageShape::new(5, 4, 1), ImageShape::new(3, 6, 3)][index]
        }

        fn label_of(&self, index: usize) -> Option<u32> {
            Some(index as u32)
        }

        fn bytes_of(&self, index: usize) -> Result<Cow<'_, [u8]>> {
            Ok((0..self.shape_of(index).stride()).map(|place| place as u8).collect())
        }
    }

    #[test]
    fn originals_keep_their_sizes_and_become_colour() {
        let originals = ImageSet::from(Two).fit(TargetShape::originals(ImageShape::new(8, 8, 3))).unwrap();
        assert_eq!([0, 1].map(|index| originals.shape_of(index)), [ImageShape::new(5, 4, 3), ImageShape::new(3, 6, 3)]);
        assert_eq!(originals.bytes_of(0).unwrap()[..6], [0, 0, 0, 1, 1, 1], "grey in three channels");
        assert_eq!(originals.bytes_of(1).unwrap(), Two.bytes_of(1).unwrap());
        let in_memory = originals.in_memory().unwrap();
        for index in [0, 1] {
            assert_eq!(in_memory.shape_of(index), originals.shape_of(index));
            assert_eq!(in_memory.bytes_of(index).unwrap(), originals.bytes_of(index).unwrap());
        }
        assert_eq!(*in_memory.labels(), [0, 1]);
        // What is fitted of the originals is what is fitted of the pictures.
        let shape = ImageShape::new(4, 4, 3);
        let of_originals = originals.fit_on_demand(shape).to_images().unwrap();
        assert_eq!(of_originals, ImageSet::from(Two).fit(shape).unwrap().to_images().unwrap());
    }

    #[test]
    fn images_are_fitted_at_once_in_memory_and_one_by_one_on_demand() {
        let from = ImageShape::new(9, 12, 3);
        for shape in [ImageShape::new(4, 4, 3), ImageShape::new(9, 12, 1), ImageShape::new(20, 13, 3), from] {
            let all = images(from);
            let in_memory = ImageSet::from(all.clone()).fit(shape).unwrap();
            let on_demand = ImageSet::from(OneByOne(all)).fit(shape).unwrap();
            assert!(in_memory.contiguous().is_some() && on_demand.contiguous().is_none());
            assert_eq!((on_demand.shape().unwrap(), on_demand.shape_of(3)), (shape, shape));
            assert_eq!(on_demand.to_images().unwrap(), in_memory.to_images().unwrap());
        }
    }
}
