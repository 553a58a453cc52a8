//! The names in a directory that count.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::error::Error;

/// Names that systems and archives leave among people's files, in lower case.
const LITTER: [&str; 8] = [
    "__macosx",
    "@eadir",
    "lost+found",
    "$recycle.bin",
    "system volume information",
    "thumbs.db",
    "desktop.ini",
    "icon\r",
];

/// The names in `directory` with their paths, hidden ones and [`LITTER`] left out, sorted by name: the order never depends
/// on the file system.
pub fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>())
        .map_err(|error| Error::reading(directory, error))?;
    let is_meant = |name: &OsStr| {
        !name.as_encoded_bytes().starts_with(b".") && !LITTER.iter().any(|litter| name.eq_ignore_ascii_case(litter))
    };
    paths.retain(|path| path.file_name().is_some_and(is_meant));
    paths.sort();
    Ok(paths)
}
