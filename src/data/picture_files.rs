//! Pictures that lie in files: all in memory, or decoded as each is asked for.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use image::DynamicImage;
use rayon::prelude::*;

use super::images::zeroed;
use super::summary::Original;
use super::{ImageShape, ImageSource, Images, picture};
use crate::error::Error;

/// Bytes of a file that are read for its headers, where those do not say that they need more.
const HEAD: u64 = 64 << 10;

/// Pictures of any shapes, each decoded when it is asked for.
pub struct PictureFiles {
    files: Vec<PathBuf>,
    /// Of each file, as its headers have it.
    shapes: Vec<ImageShape>,
    /// Of each file, or empty.
    labels: Vec<u32>,
}

impl PictureFiles {
    /// The pictures in `files`, whose headers are read, and their labels, if there are any.
    ///
    /// # Errors
    /// [`Error::Input`] with the first file that is no picture by its headers.
    pub fn open(files: Vec<PathBuf>, labels: Vec<u32>) -> Result<Self> {
        // Every file is tried, so that the one that is named is the first in order, on any number of threads.
        let shapes: Vec<Result<ImageShape>> = files.par_iter().map(|path| shape(path)).collect();
        Ok(Self { shapes: shapes.into_iter().collect::<Result<_>>()?, files, labels })
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

    /// [`Error::Input`] with the name of the file where it has gone, cannot be decoded, or holds a picture of another shape
    /// than it did.
    fn bytes_of(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        let (path, then) = (&self.files[index], self.shapes[index]);
        let (found, pixels) = picture::to_pixels(decode(path)?);
        if found != then {
            bail!(Error::reading(path, format!("{found} pixels, where {then} were found when the set was opened")));
        }
        Ok(Cow::Owned(pixels))
    }

    fn labels(&self) -> Cow<'_, [u32]> {
        Cow::Borrowed(&self.labels)
    }
}

/// The pictures in `files` in `shape`, with their labels, in memory; and what each was before. [`Error::Input`] with the
/// first file that cannot be decoded, and where they would take more than `most` bytes.
pub fn load(files: &[PathBuf], labels: &[u32], shape: ImageShape, most: u64) -> Result<(Images, Vec<Original>)> {
    let mut pixels = zeroed(files.len(), shape, most)?;
    // Every file is tried, so that the one that is named is the first damaged one in order, on any number of threads.
    let outcomes: Vec<Result<Original>> = pixels
        .par_chunks_mut(shape.stride())
        .zip(files)
        .map(|(pixels, path)| {
            let image = decode(path)?;
            let source = picture::original(&image);
            picture::fit_into(image, shape, pixels)?;
            Ok(source)
        })
        .collect();
    let sources = outcomes.into_iter().collect::<Result<Vec<Original>>>()?;
    Ok((Images { pixels, labels: labels.to_vec(), ..Images::empty(shape) }, sources))
}

/// The picture in `path` in `shape`. [`Error::Input`] with its name where it cannot be decoded.
pub fn read_fitted(path: &Path, shape: ImageShape) -> Result<Vec<u8>> {
    let mut pixels = vec![0; shape.stride()];
    picture::fit_into(decode(path)?, shape, &mut pixels)?;
    Ok(pixels)
}

/// Whether the picture in `path` can be decoded.
pub fn is_whole(path: &Path) -> bool {
    decode(path).is_ok()
}

/// The picture in `path` as it is, and the name of its format. [`Error::Input`] with its name where it cannot be decoded.
pub fn read_with_format(path: &Path) -> Result<(DynamicImage, &'static str)> {
    let bytes = read_file(path)?;
    let image = picture::decode(&bytes).map_err(|error| undecodable(path, error))?;
    Ok((image, picture::format_name(&bytes)))
}

fn decode(path: &Path) -> Result<DynamicImage> {
    picture::decode(&read_file(path)?).map_err(|error| undecodable(path, error))
}

/// The bytes of a picture's file. [`Error::Input`] where there are too many.
fn read_file(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(picture::MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| Error::reading(path, error))?;
    if bytes.len() as u64 > picture::MAX_BYTES {
        bail!(Error::reading(path, "longer than the 256 MiB that are read for one picture"));
    }
    Ok(bytes)
}

/// What the headers of a picture say of it.
fn shape(path: &Path) -> Result<ImageShape> {
    let mut head = Vec::new();
    let mut file = File::open(path).map_err(|error| Error::reading(path, error))?;
    let length = file.metadata().map_err(|error| Error::reading(path, error))?.len();
    if length > picture::MAX_BYTES {
        bail!(Error::reading(path, "longer than the 256 MiB that are read for one picture"));
    }
    let mut read = |most: u64, head: &mut Vec<u8>| {
        file.by_ref().take(most).read_to_end(head).map_err(|error| Error::reading(path, error))
    };
    read(HEAD, &mut head)?;
    if !picture::is_told_by_the_whole(&head)
        && let Ok(shape) = picture::shape(&head, length as usize)
    {
        return Ok(shape);
    }
    read(picture::MAX_BYTES, &mut head)?;
    picture::shape(&head, head.len()).map_err(|error| undecodable(path, error))
}

fn undecodable(path: &Path, error: anyhow::Error) -> anyhow::Error {
    Error::reading(path, format!("cannot be decoded: {error}; mend it or take it away")).into()
}
