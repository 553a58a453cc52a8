//! The rows of parquet files: decoded as they are read, or known by their places and read again one by one.

use std::borrow::Cow;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use ::parquet::data_type::ByteArray;
use ::parquet::file::reader::SerializedFileReader;
use anyhow::{Result, anyhow, bail, ensure};
use rayon::prelude::*;

use super::ParquetFile;
use crate::data::digests::{PictureDigest, digest};
use crate::data::picture_files::PictureFiles;
use crate::data::picture_place::PicturePlace;
use crate::data::pictures::{Pictures, pieces};
use crate::data::summary::Original;
use crate::data::{ImageSet, ImageShape, Images, TargetShape, picture};
use crate::error::Error;

/// What becomes of the rows of a part.
pub trait Rows {
    /// The number of rows so far.
    fn len(&self) -> usize;

    /// Those of the file `path` follow, whose pictures are in this column.
    fn begin(&mut self, path: &Path, reader: &SerializedFileReader<File>, column: usize) -> Result<()>;

    /// Adds rows: their pictures, their labels, the row group of all, and which of its rows they are.
    fn add(&mut self, pictures: &[ByteArray], labels: Vec<u32>, place: (usize, &[usize])) -> Result<()>;
}

/// Rows in memory.
pub struct DecodedRows {
    shapes: Shapes,
    /// (height, width, channels) of each row, one after the other.
    pixels: Vec<u8>,
    labels: Vec<u32>,
    originals: Vec<Original>,
    digests: Vec<PictureDigest>,
    /// Bytes that the pixels may take.
    most: u64,
}

/// What the rows are made to be.
enum Shapes {
    /// All the same.
    Fitted(ImageShape),
    /// Each as it was found when the file was read before.
    Known(Vec<ImageShape>),
}

impl DecodedRows {
    /// None of `shape`, which may take `most` bytes.
    pub fn fitted(shape: ImageShape, most: u64) -> Self {
        Self::of(Shapes::Fitted(shape), most)
    }

    /// None of those that `images` are decoded from on demand, in the same shapes.
    pub fn originals(images: &ImageSet) -> Self {
        let shapes: Vec<ImageShape> = (0..images.len()).map(|index| images.shape_of(index)).collect();
        let bytes = shapes.iter().map(ImageShape::stride).sum();
        let rows = Self::of(Shapes::Known(shapes), bytes as u64);
        Self { pixels: Vec::with_capacity(bytes), ..rows }
    }

    fn of(shapes: Shapes, most: u64) -> Self {
        let (pixels, labels, originals, digests) = Default::default();
        Self { shapes, pixels, labels, originals, digests, most }
    }

    /// The images, and what each was before.
    pub fn finish(self) -> Result<(ImageSet, Vec<Original>)> {
        let Self { shapes, pixels, labels, originals, digests, .. } = self;
        let images: ImageSet = match shapes {
            Shapes::Fitted(shape) => Images { pixels, labels, ..Images::empty(shape) }.into(),
            Shapes::Known(shapes) => {
                ensure!(shapes.len() == labels.len(), CHANGED);
                Pictures::new(shapes, pixels, labels).into_set()
            }
        };
        Ok((images.of_pictures(digests.into_iter().collect()), originals))
    }
}

const CHANGED: &str = "it was changed while it was read";

impl Rows for DecodedRows {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn begin(&mut self, _: &Path, _: &SerializedFileReader<File>, _: usize) -> Result<()> {
        Ok(())
    }

    /// Decodes pictures on all threads and adds their pixels in order.
    fn add(&mut self, pictures: &[ByteArray], labels: Vec<u32>, _: (usize, &[usize])) -> Result<()> {
        let (first, begin) = (self.labels.len(), self.pixels.len());
        let shapes = match &self.shapes {
            Shapes::Fitted(shape) => Cow::Owned(vec![*shape; pictures.len()]),
            Shapes::Known(shapes) => {
                Cow::Borrowed(shapes.get(first..first + pictures.len()).ok_or_else(|| anyhow!(CHANGED))?)
            }
        };
        let bytes = begin + shapes.iter().map(ImageShape::stride).sum::<usize>();
        ensure!(bytes as u64 <= self.most, "more than {} MiB of pixels; use fewer rows", self.most >> 20);
        self.pixels.resize(bytes, 0);
        let decode = |(row, (pixels, encoded)): (usize, (&mut [u8], &ByteArray))| -> Result<_> {
            let image = picture::decode(encoded.data()).map_err(|error| undecodable(first + row, &error))?;
            let original = picture::original(&image);
            picture::fit_into(image, shapes[row], pixels)?;
            Ok((original, digest(encoded.data())))
        };
        let places = pieces(&mut self.pixels[begin..], &shapes);
        let outcomes: Vec<Result<_>> = places.into_par_iter().zip(pictures).enumerate().map(decode).collect();
        for outcome in outcomes {
            let (original, digest) = outcome?;
            self.originals.push(original);
            self.digests.push(digest);
        }
        self.labels.extend(labels);
        Ok(())
    }
}

/// Rows that are decoded when they are asked for.
#[derive(Default)]
pub struct EncodedRows {
    /// The file that is read now.
    file: Option<(Arc<ParquetFile>, Option<SystemTime>)>,
    /// Its length, which bounds its rows: each takes a byte at least.
    bytes: usize,
    files: Vec<PicturePlace>,
    known: Vec<(ImageShape, Option<SystemTime>, PictureDigest)>,
    labels: Vec<u32>,
}

impl EncodedRows {
    /// The images as `target` says, each read when it is asked for, and what each was before.
    pub fn finish(self, target: TargetShape) -> Result<(ImageSet, Vec<Original>)> {
        if self.files.is_empty() {
            return Ok((ImageSet::empty(target.shape), Vec::new()));
        }
        let (pictures, digests) = PictureFiles::of(self.files, self.known, self.labels);
        let originals = pictures.originals();
        Ok((ImageSet::from(pictures).of_pictures(digests).fit(target)?, originals))
    }
}

impl Rows for EncodedRows {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn begin(&mut self, path: &Path, reader: &SerializedFileReader<File>, column: usize) -> Result<()> {
        let metadata = std::fs::metadata(path)?;
        self.file = Some((Arc::new(ParquetFile::new(path, reader, column)), metadata.modified().ok()));
        self.bytes += metadata.len() as usize;
        Ok(())
    }

    fn add(&mut self, pictures: &[ByteArray], labels: Vec<u32>, (group, places): (usize, &[usize])) -> Result<()> {
        let Some((file, changed)) = &self.file else { bail!("rows of no file") };
        ensure!(self.labels.len() + labels.len() <= self.bytes, "more rows than bytes");
        let before = self.labels.len();
        let known: Vec<Result<_>> = pictures
            .par_iter()
            .enumerate()
            .map(|(row, encoded)| {
                let shape = picture::shape(encoded.data(), encoded.len());
                let shape = shape.map_err(|error| undecodable(before + row, &error))?;
                Ok((shape, *changed, digest(encoded.data())))
            })
            .collect();
        for (row, known) in known.into_iter().enumerate() {
            self.known.push(known?);
            let (group, image, row) = (group as u32, (before + row) as u32, places[row] as u32);
            self.files.push(PicturePlace::Row { file: file.clone(), group, row, image });
        }
        self.labels.extend(labels);
        Ok(())
    }
}

/// Rows that are only counted, with the places of their pictures, whatever these are.
#[derive(Default)]
pub struct ListedRows {
    file: Option<Arc<ParquetFile>>,
    bytes: usize,
    /// Where each picture lies, with its label.
    pub places: Vec<(PicturePlace, u32)>,
}

impl Rows for ListedRows {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn begin(&mut self, path: &Path, reader: &SerializedFileReader<File>, column: usize) -> Result<()> {
        self.file = Some(Arc::new(ParquetFile::new(path, reader, column)));
        self.bytes += std::fs::metadata(path)?.len() as usize;
        Ok(())
    }

    fn add(&mut self, _: &[ByteArray], labels: Vec<u32>, (group, places): (usize, &[usize])) -> Result<()> {
        let Some(file) = &self.file else { bail!("rows of no file") };
        ensure!(self.places.len() + labels.len() <= self.bytes, "more rows than bytes");
        for (label, row) in labels.into_iter().zip(places) {
            let (group, row, image) = (group as u32, *row as u32, self.places.len() as u32);
            self.places.push((PicturePlace::Row { file: file.clone(), group, row, image }, label));
        }
        Ok(())
    }
}

/// The picture of a row, whose file is named where it is known.
fn undecodable(image: usize, error: &anyhow::Error) -> anyhow::Error {
    Error::BrokenPicture { path: format!("image {image}").into(), problem: error.to_string() }.into()
}
