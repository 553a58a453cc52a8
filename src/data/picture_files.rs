//! Pictures that lie in files: all in memory, or decoded as each is asked for.

use std::borrow::Cow;
use std::time::SystemTime;

use anyhow::{Result, bail};
use image::DynamicImage;
use rayon::prelude::*;

use super::images::zeroed;
use super::picture_place::PicturePlace;
use super::summary::Original;
use super::{ImageShape, ImageSource, Images, picture};
use crate::error::Error;

/// Bytes of a file that are read for its headers, where those do not say that they need more.
const HEAD: u64 = 64 << 10;

/// Pictures of any shapes, each decoded when it is asked for.
pub struct PictureFiles {
    files: Vec<PicturePlace>,
    /// Of each file, as its headers have it.
    shapes: Vec<ImageShape>,
    /// When each file was changed last.
    changed: Vec<Option<SystemTime>>,
    /// Of each file, or empty.
    labels: Vec<u32>,
}

impl PictureFiles {
    /// The pictures in `files`, whose headers are read, and their labels, if there are any.
    ///
    /// # Errors
    /// [`Error::Input`] with the first file that is no picture by its headers.
    pub fn open(files: Vec<PicturePlace>, labels: Vec<u32>) -> Result<Self> {
        // Every file is tried, so that the one that is named is the first in order, on any number of threads.
        let shapes: Vec<Result<ImageShape>> = files.par_iter().map(shape).collect();
        let shapes = shapes.into_iter().collect::<Result<_>>()?;
        let changed = files.par_iter().map(PicturePlace::changed).collect();
        Ok(Self { shapes, changed, files, labels })
    }

    /// What the pictures are before they are made to fit. Whether one that is stored in colour has any is not looked at.
    pub fn originals(&self) -> Vec<Original> {
        self.shapes.iter().map(|shape| Original::of(*shape)).collect()
    }
}

impl ImageSource for PictureFiles {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn shape_of(&self, index: usize) -> ImageShape {
        self.shapes[index]
    }

    fn label_of(&self, index: usize) -> Option<u32> {
        self.labels.get(index).copied()
    }

    /// [`Error::Input`] with the name of the file where it has gone, cannot be decoded, or was changed since the set was
    /// opened.
    fn bytes_of(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        let (place, then) = (&self.files[index], self.shapes[index]);
        let (found, pixels) = picture::to_pixels(decode(place)?);
        if found != then || place.changed() != self.changed[index] {
            bail!(Error::reading(place.path(), "it was changed since the set was opened"));
        }
        Ok(Cow::Owned(pixels))
    }

    fn labels(&self) -> Cow<'_, [u32]> {
        Cow::Borrowed(&self.labels)
    }
}

/// The pictures in `files` in `shape`, with their labels, in memory; and what each was before. [`Error::Input`] with the
/// first file that cannot be decoded, and where they would take more than `most` bytes.
pub fn load(files: &[PicturePlace], labels: &[u32], shape: ImageShape, most: u64) -> Result<(Images, Vec<Original>)> {
    let mut pixels = zeroed(files.len(), shape, most)?;
    // Every file is tried, so that the one that is named is the first damaged one in order, on any number of threads.
    let outcomes: Vec<Result<Original>> = pixels
        .par_chunks_mut(shape.stride())
        .zip(files)
        .map(|(pixels, place)| {
            let image = decode(place)?;
            let source = picture::original(&image);
            picture::fit_into(image, shape, pixels)?;
            Ok(source)
        })
        .collect();
    let sources = outcomes.into_iter().collect::<Result<Vec<Original>>>()?;
    Ok((Images { pixels, labels: labels.to_vec(), ..Images::empty(shape) }, sources))
}

/// The picture at `place` in `shape`. [`Error::Input`] with its name where it cannot be decoded.
pub fn read_fitted(place: &PicturePlace, shape: ImageShape) -> Result<Vec<u8>> {
    let mut pixels = vec![0; shape.stride()];
    picture::fit_into(decode(place)?, shape, &mut pixels)?;
    Ok(pixels)
}

/// Whether the picture at `place` can be decoded.
pub fn is_whole(place: &PicturePlace) -> bool {
    decode(place).is_ok()
}

/// The picture at `place` as it is, and the name of its format. [`Error::Input`] with its name where it cannot be decoded.
pub fn read_with_format(place: &PicturePlace) -> Result<(DynamicImage, &'static str)> {
    let bytes = place.read()?;
    let image = picture::decode(&bytes).map_err(|error| undecodable(place, error))?;
    Ok((image, picture::format_name(&bytes)))
}

fn decode(place: &PicturePlace) -> Result<DynamicImage> {
    picture::decode(&place.read()?).map_err(|error| undecodable(place, error))
}

/// What the headers of a picture say of it.
fn shape(place: &PicturePlace) -> Result<ImageShape> {
    if let Some(length) = place.length()? {
        let head = place.begin(HEAD)?;
        if !picture::is_told_by_the_whole(&head)
            && let Ok(shape) = picture::shape(&head, length as usize)
        {
            return Ok(shape);
        }
    }
    let whole = place.read()?;
    picture::shape(&whole, whole.len()).map_err(|error| undecodable(place, error))
}

fn undecodable(place: &PicturePlace, error: anyhow::Error) -> anyhow::Error {
    Error::reading(place.path(), format!("cannot be decoded: {error}; repair it, remove it, or skip broken pictures"))
        .into()
}
