//! Pictures in tar and zip files, which are read in place: WebDataset's shards, and folders that were packed.

mod index;
mod listing;
mod tape;

use std::path::{Path, PathBuf};

use anyhow::Result;

pub use listing::{ArchivedPicture, Archives};

use super::broken::without_broken;
use super::folder::directly_in;
use super::held_pictures::HeldPictures;
use super::splits::{Folders, Split};
use super::summary::{counts, refitted};
use super::{DataOptions, Dataset, OnBytes, TargetShape, entries};
use crate::error::{Error, legible};

/// Whether the name ends as an archive's that is read in place.
fn is_named(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    ["tar", "zip"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// `path` where it is a zip file or a tar file that holds pictures, or a directory without pictures directly in it and with archives
/// in it or in its folders for training, validation and test.
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
    Ok((directly_in(path)?.is_empty() && !archives(path)?.is_empty()).then(|| path.to_path_buf()))
}

/// The archives of a directory, in the order of their paths, with the parts that their folders or names say.
fn archives(path: &Path) -> Result<Vec<(PathBuf, Option<Split>)>> {
    if path.is_file() {
        return Ok(vec![(path.to_path_buf(), None)]);
    }
    let in_folder = |folder: &Path, part: Option<Split>| -> Result<Vec<(PathBuf, Option<Split>)>> {
        let found = entries(folder)?.into_iter().filter(|path| is_named(path) && path.is_file());
        Ok(found.map(|path| (path.clone(), part.or_else(|| part_of_name(&path)))).collect())
    };
    let mut found = in_folder(path, None)?;
    let folders = Folders::find(path)?;
    let parts = [(Split::Train, folders.train), (Split::Validation, folders.validation), (Split::Test, folders.test)];
    for (part, folder) in parts.into_iter().filter_map(|(part, folder)| Some((part, folder?))) {
        found.extend(in_folder(&folder, Some(part))?);
    }
    Ok(found)
}

/// `imagenet-val-000000.tar` is for validation.
fn part_of_name(path: &Path) -> Option<Split> {
    let name = path.file_stem()?.to_string_lossy().to_lowercase();
    let mut words = name.split(|character: char| !character.is_alphabetic());
    words.find_map(|word| Split::ALL.into_iter().find(|split| split.names().contains(&word)))
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
