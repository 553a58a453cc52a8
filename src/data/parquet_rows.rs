//! The rows of parquet files: decoded as they are read, or known by their places and read again one by one.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use ::parquet::column::reader::ColumnReader;
use ::parquet::data_type::ByteArray;
use ::parquet::file::metadata::ParquetMetaData;
use ::parquet::file::properties::ReaderProperties;
use ::parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use ::parquet::file::serialized_reader::SerializedRowGroupReader;
use anyhow::{Result, anyhow, bail, ensure};
use rayon::prelude::*;

use super::digests::{PictureDigest, digest};
use super::guard::guarded;
use super::picture_files::PictureFiles;
use super::picture_place::PicturePlace;
use super::summary::Original;
use super::{ImageSet, ImageShape, Images, picture};

/// A parquet file whose pictures are read one by one.
pub struct ParquetFile {
    path: PathBuf,
    metadata: Arc<ParquetMetaData>,
    /// The column of the pictures.
    column: usize,
}

impl ParquetFile {
    /// The encoded picture in a row of a row group. Only the page that it lies in is unpacked.
    pub fn picture(&self, group: usize, row: usize) -> Result<Vec<u8>> {
        guarded(|| {
            // A file of its own: clones of one share the place at which they read, with other threads too.
            let file = Arc::new(File::open(&self.path)?);
            let properties = Arc::new(ReaderProperties::builder().build());
            let index = self.metadata.page_index_for_row_group(group);
            let group = SerializedRowGroupReader::new(file, self.metadata.row_group(group), index, properties)?;
            let ColumnReader::ByteArrayColumnReader(mut pictures) = group.get_column_reader(self.column)? else {
                bail!("the column of pictures holds no bytes");
            };
            let (mut found, mut levels): (Vec<ByteArray>, Vec<i16>) = (Vec::new(), Vec::new());
            if pictures.skip_records(row)? == row {
                pictures.read_records(1, Some(&mut levels), None, &mut found)?;
            }
            Ok(found.first().ok_or_else(|| anyhow!("the row has gone since the set was opened"))?.data().to_vec())
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Debug for ParquetFile {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_tuple("ParquetFile").field(&self.path).finish()
    }
}

/// What becomes of the rows of a part.
pub enum Rows {
    Decoded(DecodedRows),
    Encoded(EncodedRows),
}

/// Rows in memory.
pub struct DecodedRows {
    images: Images,
    originals: Vec<Original>,
    digests: Vec<PictureDigest>,
    /// Bytes that the pixels may take.
    most: u64,
}

impl DecodedRows {
    /// None of `shape`, which may take `most` bytes.
    pub fn new(shape: ImageShape, most: u64) -> Self {
        Self { images: Images::empty(shape), originals: Vec::new(), digests: Vec::new(), most }
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

impl Rows {
    /// The number of rows so far.
    pub fn len(&self) -> usize {
        match self {
            Self::Decoded(rows) => rows.images.labels.len(),
            Self::Encoded(rows) => rows.labels.len(),
        }
    }

    /// Those of the file `path` follow, whose pictures are in this column.
    pub fn begin(&mut self, path: &Path, reader: &SerializedFileReader<File>, column: usize) -> Result<()> {
        if let Self::Encoded(rows) = self {
            let metadata = std::fs::metadata(path)?;
            let file = ParquetFile { path: path.into(), metadata: Arc::new(reader.metadata().clone()), column };
            rows.file = Some((Arc::new(file), metadata.modified().ok()));
            rows.bytes += metadata.len() as usize;
        }
        Ok(())
    }

    /// Adds rows: their pictures, their labels, the row group of all and the row of the first.
    pub fn add(&mut self, pictures: &[ByteArray], labels: Vec<u32>, (group, first): (usize, usize)) -> Result<()> {
        match self {
            Self::Decoded(rows) => rows.add(pictures, labels),
            Self::Encoded(rows) => rows.add(pictures, labels, group, first),
        }
    }

    /// The images in `shape`, and what each was before.
    pub fn finish(self, shape: ImageShape) -> Result<(ImageSet, Vec<Original>)> {
        match self {
            Self::Decoded(rows) => {
                Ok((ImageSet::from(rows.images).of_pictures(rows.digests.into_iter().collect()), rows.originals))
            }
            Self::Encoded(rows) if rows.files.is_empty() => Ok((ImageSet::empty(shape), Vec::new())),
            Self::Encoded(EncodedRows { files, known, labels, .. }) => {
                let (pictures, digests) = PictureFiles::of(files, known, labels);
                let originals = pictures.originals();
                Ok((ImageSet::from(pictures).of_pictures(digests).fit(shape)?, originals))
            }
        }
    }
}

impl DecodedRows {
    /// Decodes pictures on all threads and adds their pixels in order.
    fn add(&mut self, pictures: &[ByteArray], labels: Vec<u32>) -> Result<()> {
        let (shape, first, begin) = (self.images.shape(), self.images.len(), self.images.pixels.len());
        let bytes = begin + pictures.len() * shape.stride();
        ensure!(bytes as u64 <= self.most, "more than {} MiB of pixels; use fewer rows", self.most >> 20);
        self.images.pixels.resize(bytes, 0);
        let outcomes: Vec<Result<_>> = self.images.pixels[begin..]
            .par_chunks_mut(shape.stride())
            .zip(pictures)
            .enumerate()
            .map(|(row, (pixels, encoded))| {
                let image = picture::decode(encoded.data()).map_err(|error| undecodable(first + row, &error))?;
                let original = picture::original(&image);
                picture::fit_into(image, shape, pixels)?;
                Ok((original, digest(encoded.data())))
            })
            .collect();
        for outcome in outcomes {
            let (original, digest) = outcome?;
            self.originals.push(original);
            self.digests.push(digest);
        }
        self.images.labels.extend(labels);
        Ok(())
    }
}

impl EncodedRows {
    /// Where each picture lies, with its label.
    pub fn into_places(self) -> impl Iterator<Item = (PicturePlace, u32)> {
        self.files.into_iter().zip(self.labels)
    }

    fn add(&mut self, pictures: &[ByteArray], labels: Vec<u32>, group: usize, first: usize) -> Result<()> {
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
            let (group, image, row) = (group as u32, (before + row) as u32, (first + row) as u32);
            self.files.push(PicturePlace::Row { file: file.clone(), group, row, image });
        }
        self.labels.extend(labels);
        Ok(())
    }
}

fn undecodable(image: usize, error: &anyhow::Error) -> anyhow::Error {
    anyhow!("image {image} cannot be decoded: {error}")
}
