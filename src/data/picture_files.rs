//! Pictures that lie in files: all in memory, or decoded as each is asked for.

use std::borrow::Cow;
use std::time::SystemTime;

use anyhow::{Result, bail};
use image::DynamicImage;
use rayon::prelude::*;

use super::digests::{PictureDigest, PictureDigests, digest};
use super::images::zeroed;
use super::picture_place::PicturePlace;
use super::reading::{BATCH, Reading};
use super::summary::Original;
use super::{ImageSet, ImageShape, ImageSource, Images, picture};
use crate::error::Error;

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
    /// The pictures in `files`, each of which is read once, and their labels, if there are any; and the hashes of what was
    /// read.
    ///
    /// # Errors
    /// [`Error::Input`] with the first file that is no picture by its headers.
    pub fn open(files: Vec<PicturePlace>, labels: Vec<u32>, reading: &mut Reading) -> Result<(Self, PictureDigests)> {
        let mut found: Vec<(ImageShape, Option<SystemTime>, PictureDigest)> = Vec::with_capacity(files.len());
        for batch in files.chunks(BATCH) {
            // Every file is tried, so that the one that is named is the first in order, on any number of threads.
            let of_batch: Vec<Result<_>> = batch.par_iter().map(known).collect();
            for known in of_batch {
                found.push(known?);
            }
            reading.add(batch);
        }
        Ok(Self::of(files, found, labels))
    }

    /// The pictures in `files`, of each of which the shape, the time of its last change and the hash are known.
    pub fn of(
        files: Vec<PicturePlace>,
        known: Vec<(ImageShape, Option<SystemTime>, PictureDigest)>,
        labels: Vec<u32>,
    ) -> (Self, PictureDigests) {
        let digests = known.iter().map(|(_, _, digest)| *digest).collect();
        let (shapes, changed) = known.into_iter().map(|(shape, changed, _)| (shape, changed)).unzip();
        (Self { shapes, changed, files, labels }, digests)
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
            bail!(Error::reading(&place.path(), "it was changed since the set was opened"));
        }
        Ok(Cow::Owned(pixels))
    }

    fn labels(&self) -> Cow<'_, [u32]> {
        Cow::Borrowed(&self.labels)
    }
}

/// The pictures in `files` in `shape`, with their labels, in memory; and what each was before. [`Error::Input`] with the
/// first file that cannot be decoded, and where they would take more than `most` bytes.
pub fn load(
    files: &[PicturePlace],
    labels: &[u32],
    shape: ImageShape,
    most: u64,
    reading: &mut Reading,
) -> Result<(ImageSet, Vec<Original>)> {
    let mut pixels = zeroed(files.len(), shape, most)?;
    let mut read: Vec<(Original, PictureDigest)> = Vec::with_capacity(files.len());
    for (pixels, batch) in pixels.chunks_mut(BATCH * shape.stride()).zip(files.chunks(BATCH)) {
        // Every file is tried, so that the one that is named is the first damaged one in order, on any number of threads.
        let pixels = pixels.par_chunks_mut(shape.stride());
        let outcomes: Vec<Result<_>> = pixels
            .zip(batch)
            .map(|(pixels, place)| {
                let bytes = place.read()?;
                let image = picture::decode(&bytes).map_err(|error| undecodable(place, error))?;
                let source = picture::original(&image);
                picture::fit_into(image, shape, pixels)?;
                Ok((source, digest(&bytes)))
            })
            .collect();
        for outcome in outcomes {
            read.push(outcome?);
        }
        reading.add(batch);
    }
    let images = ImageSet::from(Images { pixels, labels: labels.to_vec(), ..Images::empty(shape) });
    let digests = read.iter().map(|(_, digest)| *digest).collect();
    Ok((images.of_pictures(digests), read.into_iter().map(|(source, _)| source).collect()))
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

/// What is known of a picture that is not decoded: the shape that its headers say, when it was changed last, the hash of
/// its bytes.
fn known(place: &PicturePlace) -> Result<(ImageShape, Option<SystemTime>, PictureDigest)> {
    let changed = place.changed(); // before it is read: what changes it meanwhile is noticed later
    let bytes = place.read()?;
    let shape = picture::shape(&bytes, bytes.len()).map_err(|error| undecodable(place, error))?;
    Ok((shape, changed, digest(&bytes)))
}

fn undecodable(place: &PicturePlace, error: anyhow::Error) -> anyhow::Error {
    Error::BrokenPicture { path: place.path().into_owned(), problem: error.to_string() }.into()
}
