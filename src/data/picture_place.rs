//! Where the bytes of a picture lie: in a file of its own, or within an archive, where they are read in place.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Result, ensure};
use flate2::read::DeflateDecoder;

use super::parquet::ParquetFile;
use super::picture;
use crate::error::Error;

/// Bytes that are read before it is asked whether they begin a picture.
const HEAD: u64 = 64 << 10;

/// Of a deflated picture at most so many bytes are taken, ...
const FREE_BYTES: u64 = 16 << 20;
/// ... and beyond them so many for each that it takes in the archive. Deflate makes a thousand of one, of pictures that
/// show nothing.
const MOST_INFLATION: u64 = 128;

/// The place of a picture.
#[derive(Clone, Debug)]
pub enum PicturePlace {
    /// A file.
    File(PathBuf),
    /// Bytes of an archive.
    Entry {
        /// The archive.
        archive: Arc<Path>,
        /// The archive's path with that of the entry in it: how the picture is called.
        path: Arc<Path>,
        /// The first byte.
        offset: u64,
        /// The number of bytes.
        length: u64,
        /// Whether they are compressed, by deflate.
        is_deflated: bool,
    },
    /// A row of a parquet file.
    Row {
        /// The file.
        file: Arc<ParquetFile>,
        /// The row group.
        group: u32,
        /// The row in it.
        row: u32,
        /// The number of the image in its part of the set.
        image: u32,
    },
}

impl PicturePlace {
    /// How the picture is called.
    pub fn path(&self) -> Cow<'_, Path> {
        match self {
            Self::File(path) => Cow::Borrowed(path),
            Self::Entry { path, .. } => Cow::Borrowed(path),
            Self::Row { file, image, .. } => Cow::Owned(file.path().join(format!("image {image}"))),
        }
    }

    /// Its bytes. [`Error::Input`] where there are more than [`picture::MAX_BYTES`], or more than what they are packed in
    /// can be expected to hold. Of what is no picture by its beginning, only that is unpacked.
    pub fn read(&self) -> Result<Vec<u8>> {
        let most = match self {
            Self::Entry { length, is_deflated: true, .. } => {
                length.saturating_mul(MOST_INFLATION).saturating_add(FREE_BYTES).min(picture::MAX_BYTES)
            }
            _ => picture::MAX_BYTES,
        };
        let too_long =
            || Error::reading(&self.path(), format!("longer than the {} MiB that are read for it", most >> 20));
        let length = self.length()?;
        ensure!(length.is_none_or(|length| length <= most), too_long());
        let failed = |error| Error::reading(&self.path(), error);
        if let Self::Row { file, group, row, .. } = self {
            let picture = file.picture(*group as usize, *row as usize);
            return picture.map_err(|error| Error::reading(&self.path(), error).into());
        }
        let mut stream = self.stream().map_err(failed)?;
        let mut bytes = Vec::with_capacity(length.unwrap_or(0).min(HEAD) as usize);
        (&mut stream).take(HEAD).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 == HEAD && picture::is_begun(&bytes) {
            stream.take(most + 1 - HEAD).read_to_end(&mut bytes).map_err(failed)?;
        }
        ensure!(bytes.len() as u64 <= most, too_long());
        Ok(bytes)
    }

    /// Its first bytes, at most so many.
    pub fn begin(&self, most: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.stream().and_then(|stream| stream.take(most).read_to_end(&mut bytes));
        read.map_err(|error| Error::reading(&self.path(), error))?;
        Ok(bytes)
    }

    fn stream(&self) -> io::Result<Box<dyn Read>> {
        Ok(match self {
            Self::File(path) => Box::new(File::open(path)?),
            Self::Entry { archive, offset, length, is_deflated, .. } => {
                let mut file = File::open(archive)?;
                file.seek(SeekFrom::Start(*offset))?;
                let stored = file.take(*length);
                if *is_deflated { Box::new(DeflateDecoder::new(stored)) } else { Box::new(stored) }
            }
            Self::Row { file, group, row, .. } => {
                let picture = file.picture(*group as usize, *row as usize);
                Box::new(Cursor::new(picture.map_err(io::Error::other)?))
            }
        })
    }

    /// When the file that it lies in was changed last; `None` where the system does not say.
    pub fn changed(&self) -> Option<SystemTime> {
        let file: &Path = match self {
            Self::File(path) => path,
            Self::Entry { archive, .. } => archive,
            Self::Row { file, .. } => file.path(),
        };
        std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
    }

    /// The bytes that it takes where it lies; 0 where that cannot be said.
    pub fn stored_bytes(&self) -> u64 {
        match self {
            Self::File(path) => std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
            Self::Entry { length, .. } => *length,
            Self::Row { .. } => 0,
        }
    }

    /// The number of its bytes; `None` where they are compressed, which do not tell.
    pub fn length(&self) -> Result<Option<u64>> {
        match self {
            Self::File(path) => {
                let metadata = std::fs::metadata(path).map_err(|error| Error::reading(path, error))?;
                Ok(Some(metadata.len()))
            }
            Self::Entry { length, is_deflated, .. } => Ok((!is_deflated).then_some(*length)),
            Self::Row { .. } => Ok(None),
        }
    }
}
