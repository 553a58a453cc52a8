//! Where the bytes of a picture lie: in a file of its own, or within an archive, where they are read in place.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Result, bail};
use flate2::read::DeflateDecoder;

use super::picture;
use crate::error::Error;

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
        path: PathBuf,
        /// The first byte.
        offset: u64,
        /// The number of bytes.
        length: u64,
        /// Whether they are compressed, by deflate.
        is_deflated: bool,
    },
}

impl PicturePlace {
    /// How the picture is called.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Entry { path, .. } => path,
        }
    }

    /// Its bytes. [`Error::Input`] where there are more than [`picture::MAX_BYTES`].
    pub fn read(&self) -> Result<Vec<u8>> {
        let is_long = self.length()?.is_some_and(|length| length > picture::MAX_BYTES);
        let bytes = if is_long { Vec::new() } else { self.begin(picture::MAX_BYTES + 1)? };
        if is_long || bytes.len() as u64 > picture::MAX_BYTES {
            bail!(Error::reading(self.path(), "longer than the 256 MiB that are read for one picture"));
        }
        Ok(bytes)
    }

    /// Its first bytes, at most so many.
    pub fn begin(&self, most: u64) -> Result<Vec<u8>> {
        let failed = |error| Error::reading(self.path(), error);
        let mut bytes = Vec::new();
        match self {
            Self::File(path) => File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)),
            Self::Entry { archive, offset, length, is_deflated, .. } => File::open(archive).and_then(|mut file| {
                file.seek(SeekFrom::Start(*offset))?;
                let stored = file.take(*length);
                match is_deflated {
                    true => DeflateDecoder::new(stored).take(most).read_to_end(&mut bytes),
                    false => stored.take(most).read_to_end(&mut bytes),
                }
            }),
        }
        .map_err(failed)?;
        Ok(bytes)
    }

    /// When the file that it lies in was changed last; `None` where the system does not say.
    pub fn changed(&self) -> Option<SystemTime> {
        let file: &Path = match self {
            Self::File(path) => path,
            Self::Entry { archive, .. } => archive,
        };
        std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
    }

    /// The number of its bytes; `None` where they are compressed, which do not tell.
    pub fn length(&self) -> Result<Option<u64>> {
        match self {
            Self::File(path) => {
                let metadata = std::fs::metadata(path).map_err(|error| Error::reading(path, error))?;
                Ok(Some(metadata.len()))
            }
            Self::Entry { length, is_deflated, .. } => Ok((!is_deflated).then_some(*length)),
        }
    }
}
