//! What lies where in a tar or zip file.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use zip::CompressionMethod;

use crate::data::guard::guarded;
use crate::error::Error;

/// A file within an archive.
pub struct ArchiveEntry {
    /// Its path in the archive.
    pub name: PathBuf,
    pub offset: u64,
    pub length: u64,
    pub is_deflated: bool,
}

/// The files of the archive, in its order. What is neither stored nor deflated, or is encrypted, is an error.
pub fn index(archive: &Path) -> Result<Vec<ArchiveEntry>> {
    let is_zip = archive.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip"));
    let read = || if is_zip { zipped(archive) } else { tarred(archive) };
    guarded(read).map_err(|error| Error::reading(archive, error).into())
}

fn tarred(archive: &Path) -> Result<Vec<ArchiveEntry>> {
    let file = File::open(archive)?;
    let bytes = file.metadata()?.len();
    let mut entries = Vec::new();
    for entry in tar::Archive::new(file).entries_with_seek()? {
        let entry = entry?;
        if entry.header().entry_type().is_file() {
            let (name, offset, length) = (entry.path()?.into_owned(), entry.raw_file_position(), entry.size());
            let ends_within = offset.checked_add(length).is_some_and(|end| end <= bytes);
            ensure!(ends_within, "cut short in {}; copy or download it again", name.display());
            entries.push(ArchiveEntry { name, offset, length, is_deflated: false });
        }
    }
    Ok(entries)
}

fn zipped(archive: &Path) -> Result<Vec<ArchiveEntry>> {
    let file = File::open(archive)?;
    let bytes = file.metadata()?.len();
    let mut zip = zip::ZipArchive::new(BufReader::new(file))?;
    let mut entries = Vec::with_capacity(zip.len());
    for place in 0..zip.len() {
        let entry = zip.by_index_raw(place)?;
        if !entry.is_file() {
            continue;
        }
        let (name, length) = (PathBuf::from(&*entry.name()?), entry.compressed_size());
        let method = entry.compression();
        let is_deflated = method == CompressionMethod::Deflated;
        ensure!(!entry.encrypted(), "{} is encrypted; unpack it", name.display());
        ensure!(
            is_deflated || method == CompressionMethod::Stored,
            "{} is compressed by {method}; unpack it",
            name.display()
        );
        let offset = entry.data_start().unwrap_or(bytes);
        let ends_within = offset.checked_add(length).is_some_and(|end| end <= bytes);
        ensure!(ends_within, "cut short in {}; copy or download it again", name.display());
        entries.push(ArchiveEntry { name, offset, length, is_deflated });
    }
    Ok(entries)
}
