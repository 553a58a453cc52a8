//! What lies where in a tar or zip file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Component, Path, PathBuf};

use anyhow::{Result, anyhow, bail, ensure};
use zip::CompressionMethod;
use zip::result::ZipError;

use super::passed::Passed;
use super::tape::{Tape, TapeEntry, TapeKind};
use crate::data::guard::guarded;
use crate::data::picture;
use crate::error::Error;

/// A file within an archive.
pub struct ArchiveEntry {
    /// Its path in the archive.
    pub name: PathBuf,
    pub offset: u64,
    pub length: u64,
    pub is_deflated: bool,
}

/// What counts in an archive.
pub struct ArchiveIndex {
    /// Its pictures and WebDataset's labels, in the archive's order. Where several have one name, the last counts, as it
    /// does where the archive is unpacked, in the place of the first.
    pub entries: Vec<ArchiveEntry>,
    pub passed: Passed,
}

/// Where the bytes of an entry lie.
#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    length: u64,
    is_deflated: bool,
}

/// The entries found so far.
#[derive(Default)]
struct Found {
    /// In the order of their names, as a folder's are.
    places: BTreeMap<PathBuf, Place>,
    passed: Passed,
}

impl Found {
    fn add(&mut self, name: PathBuf, place: Place) {
        self.places.insert(name, place);
    }

    fn index(self) -> ArchiveIndex {
        let entry = |(name, Place { offset, length, is_deflated })| ArchiveEntry { name, offset, length, is_deflated };
        ArchiveIndex { entries: self.places.into_iter().map(entry).collect(), passed: self.passed }
    }

    /// Whether a file of that name counts.
    fn counts(&mut self, name: &Path) -> bool {
        self.passed.archives += usize::from(super::is_named(name));
        let is_outside = name.components().any(|part| part == Component::ParentDir);
        self.passed.outside += usize::from(is_outside && picture::is_named(name));
        !is_outside && (picture::is_named(name) || name.extension().is_some_and(|extension| extension == "cls"))
    }
}

/// What counts in the archive. A picture that is neither stored nor deflated, or is encrypted, is an error.
pub fn index(archive: &Path) -> Result<ArchiveIndex> {
    let read = || if is_zip(archive)? { zipped(archive) } else { taped(archive) };
    guarded(read).map(Found::index).map_err(|error| Error::reading(archive, error).into())
}

/// Whether an archive is a zip file, and else a tar file: by its content, or by its name where that does not tell.
fn is_zip(archive: &Path) -> Result<bool> {
    const OTHERS: [(&[u8], &str); 6] = [
        (b"\x1f\x8b", "gzip"),
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x28\xb5\x2f\xfd", "Zstandard"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"Rar!", "RAR"),
    ];
    const TAR_MAGIC: std::ops::Range<usize> = 257..262;
    let mut begin = Vec::new();
    File::open(archive)?.take(TAR_MAGIC.end as u64).read_to_end(&mut begin)?;
    if let Some((_, name)) = OTHERS.iter().find(|(magic, _)| begin.starts_with(magic)) {
        bail!("a {name} file, which is not read in place; unpack it to .tar");
    }
    let is_named = || archive.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip"));
    Ok(begin.get(TAR_MAGIC) != Some(b"ustar") && (begin.starts_with(b"PK\x03\x04") || is_named()))
}

/// Whether a tar file holds a picture. Looks no further than to the first.
pub fn tape_has_pictures(archive: &Path) -> Result<bool> {
    guarded(|| {
        let mut tape = Tape::open(archive)?;
        while let Some(entry) = tape.next()? {
            if picture::is_named(&entry.name) {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

fn taped(archive: &Path) -> Result<Found> {
    let mut tape = Tape::open(archive)?;
    let mut found = Found::default();
    while let Some(TapeEntry { name, kind, offset, length }) = tape.next()? {
        let name = plain(&name);
        if !found.counts(&name) {
            continue;
        }
        match kind {
            TapeKind::File => found.add(name, Place { offset, length, is_deflated: false }),
            TapeKind::Sparse => bail!("{} is stored without its zeros (sparse); pack it as it is", name.display()),
            TapeKind::HardLink(target) => {
                let target = plain(&target);
                let Some(place) = found.places.get(&target).copied() else {
                    bail!("{} is a link to {}, which is not before it", name.display(), target.display())
                };
                found.add(name, place);
            }
            TapeKind::SymbolicLink => found.passed.links += 1,
            TapeKind::Other => {}
        }
    }
    Ok(found)
}

fn zipped(archive: &Path) -> Result<Found> {
    let file = File::open(archive)?;
    let bytes = file.metadata()?.len();
    let mut zip = zip::ZipArchive::new(BufReader::new(file)).map_err(in_words)?;
    let mut found = Found::default();
    for place in 0..zip.len() {
        let entry = zip.by_index_raw(place).map_err(in_words)?;
        let (name, length) = (plain(Path::new(&*entry.name().map_err(in_words)?)), entry.compressed_size());
        if entry.is_dir() || !found.counts(&name) {
            continue;
        }
        if entry.is_symlink() {
            found.passed.links += 1;
            continue;
        }
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
        found.add(name, Place { offset, length, is_deflated });
    }
    Ok(found)
}

/// What the crate `zip` says, without its own words.
fn in_words(error: ZipError) -> anyhow::Error {
    match error {
        ZipError::UnsupportedArchive(what) => {
            anyhow!("not a zip file that can be read in place ({what}); unpack it")
        }
        ZipError::Io(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => error.into(),
        _ => anyhow!("not a zip file, damaged or cut short; copy or download it again"),
    }
}

/// Without what means nothing: `./a` and `/a` are `a`, as where an archive is unpacked.
fn plain(name: &Path) -> PathBuf {
    name.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir)).collect()
}
