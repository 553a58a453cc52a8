//! Pictures in tar and zip files, which are read in place: WebDataset's shards, and folders that were packed.

mod find;
mod index;
mod listing;
mod passed;
mod tape;

use std::path::{Path, PathBuf};

use anyhow::Result;

pub use listing::{ArchivedPicture, Archives};

use super::broken::without_broken;
use super::folder::{self, directly_in};
use super::held_pictures::HeldPictures;
use super::splits::Split;
use super::summary::{counts, refitted};
use super::walk::has_pictures;
use super::{DataOptions, Dataset, OnBytes, TargetShape};
use crate::error::{Error, legible};

/// Whether the name ends as an archive's that is read in place.
pub fn is_named(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    ["tar", "zip"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// `path` where it is a zip file or a tar file that holds pictures, or a directory without pictures directly in it that holds
/// archives: directly or in its folders for training, validation and test, or in other folders, if no picture lies there.
pub fn source(path: &Path) -> Result<Option<PathBuf>> {
    if !path.is_dir() {
        let is_archive = match path.extension().unwrap_or_default() {
            _ if !path.is_file() => false,
            extension if extension.eq_ignore_ascii_case("zip") => true,
            // Others may be CIFAR-10's. What is wrong with a damaged one is said when it is opened.
            extension if extension.eq_ignore_ascii_case("tar") => index::tape_has_pictures(path).unwrap_or(true),
            _ => false,
        };
        return Ok(is_archive.then(|| path.to_path_buf()));
    }
    let is_found = match directly_in(path)?.is_empty() {
        true if find::are_near(path)? => true,
        // What takes long to find out is asked last.
        true => folder::source(path)?.is_none() && !find::archives(path)?.is_empty() && !has_pictures(path)?,
        false => false,
    };
    Ok(is_found.then(|| path.to_path_buf()))
}

/// The set in the archives that `path` is or holds, in `target`'s shape. Parts and classes are as [`Archives::open`] says;
/// pictures are held as [`folder::open`](super::folder::open) holds them.
///
/// [`Error::Input`] where an archive is damaged, there is no picture to train on, a picture cannot be decoded, or another
/// part has a class that the training part lacks.
pub fn open(path: &Path, target: TargetShape, options: &DataOptions, on_bytes: OnBytes) -> Result<Dataset> {
    let Archives { pictures, classes, mut notes } = Archives::open(path)?;
    let mut parts = [Split::Train, Split::Validation, Split::Test].map(|part| {
        let of_part = pictures.iter().filter(|picture| picture.part.unwrap_or(Split::Train) == part);
        let (places, labels): (Vec<_>, Vec<_>) = of_part.map(|picture| (picture.place.clone(), picture.class)).unzip();
        (places, labels.into_iter().flatten().collect::<Vec<u32>>())
    });
    if parts[0].0.is_empty() {
        return Err(Error::reading(path, "its pictures are to validate or to test on; none is to train on").into());
    }
    let of = legible(&path.display().to_string());
    let mut warnings = Vec::new();
    if options.skip_broken {
        let parts = parts.each_mut().map(|(places, labels)| (places, labels));
        warnings.extend(without_broken(parts)?.map(|line| format!("{of}: {line}")));
    }
    let parts = parts.each_ref().map(|(places, labels)| (&places[..], &labels[..]));
    let HeldPictures { parts: [train, validation, test], sources, note } =
        HeldPictures::read(parts, target, options, on_bytes)?;
    notes.insert(0, counts(parts.map(|(places, _)| places.len()), classes.len()));
    notes.extend(refitted("pictures", &sources, target));
    notes.push(note);
    let notes = notes.into_iter().map(|note| format!("{of}: {note}")).collect();
    Ok(Dataset { validation, notes, warnings, ..Dataset::new("", classes, train, test) })
}
