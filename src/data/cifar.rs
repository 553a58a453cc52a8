//! CIFAR-10's binary version: six batch files in a folder, or the archive that they come in.
//!
//! A batch is a row of records of 3,073 bytes: the label, then the planes red, green and blue of 32x32, each
//! row-major. Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, and the page of the
//! data set. Of an archive nothing is unpacked to disk, so no path in it leads anywhere.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::{Dataset, ImageShape, Images, MAX_PIXELS, entries, picture};
use crate::data::idx::{hex, unpacked};
use crate::error::Error;

/// The classes in the order of their labels.
pub const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Of every image.
pub const SHAPE: ImageShape = ImageShape { height: 32, width: 32, channels: 3 };

/// The batches: five to train on, one to test on.
pub const BATCHES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];

/// The folder of the batches in the archive.
pub const FOLDER: &str = "cifar-10-batches-bin";

/// The archive's name where the set is published.
pub const ARCHIVE: &str = "cifar-10-binary.tar.gz";

/// The folder of the same batches as Python's pickles.
const PYTHON_FOLDER: &str = "cifar-10-batches-py";

/// Images in each batch of the real CIFAR-10.
pub const BATCH: usize = 10_000;

const PLANE: usize = 32 * 32;
const RECORD: usize = 1 + 3 * PLANE;

/// The batches that `path` is or holds: a folder with one of [`BATCHES`], itself or as [`FOLDER`] in it; else an archive (a
/// tar, with gzip or without), itself (known by its name) or as [`ARCHIVE`] in it. `None` where there is nothing of that.
pub fn find(path: &Path) -> Result<Option<PathBuf>> {
    if !path.is_dir() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let is_archive = [".tar.gz", ".tgz", ".tar"].iter().any(|end| name.ends_with(end)) && path.is_file();
        return Ok(is_archive.then(|| path.to_path_buf()));
    }
    for folder in [path.to_path_buf(), path.join(FOLDER)] {
        let is_batch = |path: &PathBuf| path.file_name().is_some_and(|name| BATCHES.iter().any(|batch| name == *batch));
        if folder.is_dir() && entries(&folder)?.iter().any(is_batch) {
            return Ok(Some(folder));
        }
    }
    let archive = path.join(ARCHIVE);
    Ok(archive.is_file().then_some(archive))
}

/// What to say where `path` holds CIFAR-10 as Python's pickles, as torchvision keeps it.
pub fn python_hint(path: &Path) -> Option<String> {
    let folders = [path.to_path_buf(), path.join(PYTHON_FOLDER)];
    let found =
        folders.iter().find(|folder| folder.join("data_batch_1").is_file() && folder.join("batches.meta").is_file());
    found.map(|folder| {
        format!(
            "{} holds CIFAR-10 as Python pickles ({PYTHON_FOLDER}); gan reads {FOLDER} ({ARCHIVE}) or the Hub's parquet \
             files; the former is what the data set cifar10 downloads",
            folder.display()
        )
    })
}

/// The set in `path`, a folder of batches or an archive, as [`find`] gives them: five batches to train on, one to test on, (N, 32, 32, 3).
///
/// Batches of any size are taken, if those to train on are alike; with 10,000 images a batch, as in CIFAR-10 itself,
/// the test batch must have as many. [`Error::Input`] where a batch is missing, is not a whole number of records, has a label
/// above 9, or cannot be read to its end.
pub fn open(path: &Path) -> Result<Dataset> {
    let batches: Vec<(String, Images)> = match path.is_dir() {
        true => BATCHES.par_iter().map(|name| open_file(&path.join(name))).collect::<Result<_>>()?,
        false => {
            let mut batches = BATCHES.map(|_| None);
            members(path, |at, name, content| {
                batches[at] = Some((name.to_string(), read_batch(name, content)?));
                Ok(())
            })?;
            batches.into_iter().flatten().collect()
        }
    };
    let (_, first) = &batches[0];
    for (at, (name, batch)) in batches.iter().enumerate() {
        let is_test = at == BATCHES.len() - 1;
        if batch.len() != first.len() && (!is_test || first.len() == BATCH) {
            bail!(damaged(name, &format!("{} images, where {} has {}", batch.len(), BATCHES[0], first.len())));
        }
    }
    let mut parts = batches.into_iter().map(|(_, batch)| batch);
    let mut train = Images::empty(SHAPE);
    for batch in parts.by_ref().take(BATCHES.len() - 1) {
        train.pixels.extend(batch.pixels);
        train.labels.extend(batch.labels);
    }
    let test = parts.next().unwrap_or(Images::empty(SHAPE));
    Ok(Dataset::new("", CLASSES.map(str::to_string).to_vec(), train, test))
}

/// Whether the batches in `archive` have these SHA-256 (hexadecimal, in the order of [`BATCHES`]). The error is a text
/// that says what is wrong.
pub fn check_archive(archive: &Path, sha256: &[&str; 6]) -> Result<(), String> {
    let mut found = BATCHES.map(|_| String::new());
    let mut buffer = vec![0; 1 << 16];
    let read = members(archive, |at, name, content| {
        let mut hash = Sha256::new();
        loop {
            match content.read(&mut buffer).map_err(|error| unreadable(name, error))? {
                0 => break,
                read => hash.update(&buffer[..read]),
            }
        }
        found[at] = hex(&hash.finalize());
        Ok(())
    });
    read.map_err(|error| format!("it sent a damaged file: {error}"))?;
    match BATCHES.iter().zip(found).zip(sha256).find(|((_, found), expected)| found != *expected) {
        Some(((name, found), expected)) => Err(format!("SHA-256 of {name} is {found}, expected {expected}")),
        None => Ok(()),
    }
}

fn damaged(name: &str, text: &str) -> Error {
    Error::Input(format!("{name}: {text}; copy or download it again"))
}

fn unreadable(name: &str, error: io::Error) -> Error {
    damaged(name, &format!("cannot be read: {error}"))
}

fn open_file(path: &Path) -> Result<(String, Images)> {
    let name = path.display().to_string();
    if !path.is_file() {
        bail!(damaged(&name, "no such file, where the other batches of CIFAR-10 are"));
    }
    let mut content = unpacked(path).map_err(|error| Error::reading(path, error))?;
    let batch = read_batch(&name, &mut content)?;
    Ok((name, batch))
}

/// The images of one batch, to its end. `name` is for errors.
fn read_batch(name: &str, content: &mut dyn Read) -> Result<Images> {
    let mut images = Images::empty(SHAPE);
    let mut records = Vec::with_capacity(256 * RECORD);
    loop {
        records.clear();
        let chunk = (&mut *content).take((256 * RECORD) as u64).read_to_end(&mut records);
        chunk.map_err(|error| unreadable(name, error))?;
        if !records.len().is_multiple_of(RECORD) {
            let bytes = images.len() * RECORD + records.len();
            bail!(damaged(name, &format!("{bytes} bytes, no whole number of records of {RECORD} bytes")));
        }
        if records.is_empty() {
            break;
        }
        if (images.pixels.len() + records.len()) as u64 > MAX_PIXELS {
            bail!(damaged(name, &format!("more than {} GiB", MAX_PIXELS >> 30)));
        }
        for record in records.chunks_exact(RECORD) {
            let (label, planes) = (record[0], &record[1..]);
            if usize::from(label) >= CLASSES.len() {
                bail!(damaged(name, &format!("image {} has the label {label}, expected 0 to 9", images.len())));
            }
            images.labels.push(label.into());
            images.pixels.extend((0..PLANE).flat_map(|at| [planes[at], planes[PLANE + at], planes[2 * PLANE + at]]));
        }
    }
    if images.is_empty() {
        bail!(damaged(name, "no images"));
    }
    Ok(images)
}

/// Hands each of [`BATCHES`] in `archive` to `take`: its place in that list, its name for errors, its content. They are
/// known by the last part of their paths. Reads on to the end, where gzip's own checksum stands.
fn members(archive: &Path, mut take: impl FnMut(usize, &str, &mut dyn Read) -> Result<()>) -> Result<()> {
    let unreadable = |error| unreadable(&archive.display().to_string(), error);
    let reader = unpacked(archive).map_err(|error| Error::reading(archive, error))?;
    let mut tape = tar::Archive::new(reader.take(MAX_PIXELS));
    let (mut found, mut has_pictures) = ([false; BATCHES.len()], false);
    // Raw: extensions for long names and the like would be read into memory, however long they claim to be.
    for entry in tape.entries().map_err(unreadable)?.raw(true) {
        let mut entry = entry.map_err(unreadable)?;
        let path = entry.path_bytes().into_owned();
        has_pictures |= picture::is_named(Path::new(OsStr::from_bytes(&path)));
        let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let Some(at) = BATCHES.iter().position(|name| name.as_bytes() == last) else { continue };
        let name = format!("{}: {}", archive.display(), BATCHES[at]);
        if !entry.header().entry_type().is_file() {
            continue;
        }
        if std::mem::replace(&mut found[at], true) {
            bail!(damaged(&name, "it is there twice"));
        }
        let size = entry.size();
        let mut content = Counted { content: &mut entry, bytes: 0 };
        take(at, &name, &mut content)?;
        if content.bytes < size {
            let text = format!("{size} bytes claimed, {} there: cut short", content.bytes);
            bail!(damaged(&name, &text));
        }
    }
    io::copy(&mut tape.into_inner(), &mut io::sink()).map_err(unreadable)?;
    match found.iter().position(|found| !found) {
        Some(_) if has_pictures => bail!(Error::Input(format!(
            "{}: holds pictures, which cannot be read in place where all of it is compressed; unpack it (gunzip), and give the \
             .tar or the folder",
            archive.display()
        ))),
        Some(at) => bail!(Error::Input(format!(
            "{}: an archive without {}; expected is {ARCHIVE}, the binary version of CIFAR-10, or a \
             .tar or .zip of pictures",
            archive.display(),
            BATCHES[at]
        ))),
        None => Ok(()),
    }
}

/// Counts what is read.
struct Counted<R> {
    content: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}
