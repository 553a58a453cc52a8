use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use rayon::prelude::*;

use super::find::Archive;
use super::index::{ArchiveEntry, ArchiveIndex, index};
use super::passed::Passed;
use crate::data::picture_place::PicturePlace;
use crate::data::splits::Split;
use crate::data::{MAX_CLASSES, picture};
use crate::error::Error;

/// A picture in an archive.
pub struct ArchivedPicture {
    pub place: PicturePlace,
    /// The part of the set that it belongs to, where that is said.
    pub part: Option<Split>,
    /// Its class.
    pub class: Option<u32>,
}

/// The pictures of some archives.
pub struct Archives {
    /// Archive by archive, in the order of their names there.
    pub pictures: Vec<ArchivedPicture>,
    /// Names of the classes in the order of their labels; empty where there are none.
    pub classes: Vec<String>,
    pub notes: Vec<String>,
}

/// A picture, before its class has a number.
struct Found {
    place: PicturePlace,
    /// Its path in the archive, behind the folders that the archive lies in.
    name: PathBuf,
    part: Option<Split>,
    /// Of WebDataset's `.cls` beside it.
    label: Option<String>,
}

/// The longest `.cls`, in bytes.
const LONGEST_LABEL: u64 = 256;

impl Archives {
    /// The pictures in the archive `path`, or in the archives of that directory.
    ///
    /// The class of a picture is what the `.cls` of the same name says (WebDataset), else the folder that it lies in: below
    /// the directory, as if each archive were unpacked where it lies. A folder around all others is passed over. Its part is
    /// what the folder or the name of the archive says (`imagenet-val-000000.tar`), else the first folder in it.
    pub fn open(path: &Path) -> Result<Self> {
        // All are read, so that the error is that of the first, on any number of threads.
        let archives = super::find::archives(path)?;
        let listed: Vec<Result<_>> = archives.par_iter().map(pictures).collect();
        let (mut found, mut passed) = (Vec::new(), Passed::default());
        for of_archive in listed {
            let (pictures, of_pictures) = of_archive?;
            found.extend(pictures);
            passed += of_pictures;
        }
        let notes = passed.notes();
        if found.is_empty() {
            let what = notes.first().map_or(String::new(), |note| format!("; {note}"));
            bail!(Error::reading(path, format!("its archives hold no {} files{what}", picture::FORMAT_NAMES)));
        }
        let labelled = found.iter().filter(|picture| picture.label.is_some()).count();
        if labelled == 0 {
            by_folders(&mut found);
        } else if let Some(picture) = found.iter().find(|picture| picture.label.is_none()) {
            bail!(Error::reading(
                &picture.place.path(),
                format!("has no .cls, where {labelled} of {} have one", found.len())
            ));
        }
        let classes = classes(&found).map_err(|error| Error::reading(path, error))?;
        let number: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
        let class = |label: &Option<String>| number.get(label.as_deref()?).copied();
        let pictures = found.iter().map(|picture| ArchivedPicture {
            place: picture.place.clone(),
            part: picture.part,
            class: class(&picture.label),
        });
        Ok(Self { pictures: pictures.collect(), classes: classes.clone(), notes })
    }
}

/// The pictures of an archive, and what else it holds.
fn pictures(archive: &Archive) -> Result<(Vec<Found>, Passed)> {
    let Archive { path: archive, part, folders } = archive;
    let mut found = Vec::new();
    let shared: Arc<Path> = archive.as_path().into();
    let place = |entry: &ArchiveEntry| PicturePlace::Entry {
        archive: shared.clone(),
        path: archive.join(&entry.name).into(),
        offset: entry.offset,
        length: entry.length,
        is_deflated: entry.is_deflated,
    };
    let mut labels = BTreeMap::new();
    let ArchiveIndex { entries, passed } = index(archive)?;
    for entry in entries.iter().filter(|entry| entry.name.extension() == Some(OsStr::new("cls"))) {
        let text = place(entry).begin(LONGEST_LABEL)?;
        labels.insert(key(&entry.name), String::from_utf8_lossy(&text).trim().to_string());
    }
    let is_hidden =
        |name: &Path| name.iter().any(|part| part.as_encoded_bytes().starts_with(b".") || part == "__MACOSX");
    for entry in entries.iter().filter(|entry| picture::is_named(&entry.name) && !is_hidden(&entry.name)) {
        let (name, label) = (folders.join(&entry.name), labels.get(&key(&entry.name)).cloned());
        found.push(Found { place: place(entry), name, part: *part, label });
    }
    Ok((found, passed))
}

/// What the files of one example have in common: their names up to the first dot (WebDataset's rule).
fn key(name: &Path) -> PathBuf {
    let file = name.file_name().unwrap_or_default().to_string_lossy();
    name.with_file_name(file.split('.').next().unwrap_or_default())
}

/// Takes classes, and parts where there are none yet, from the folders within the archives.
fn by_folders(found: &mut [Found]) {
    let folders = |name: &Path| -> Vec<String> {
        let parts = name.components().filter_map(|part| match part {
            Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
            _ => None,
        });
        let mut parts: Vec<String> = parts.collect();
        parts.pop(); // the file
        parts
    };
    let mut paths: Vec<Vec<String>> = found.iter().map(|picture| folders(&picture.name)).collect();
    // A folder around all others.
    while paths.iter().all(|path| path.len() > 1 && path[0] == paths[0][0] && part_of(&path[0]).is_none()) {
        paths.iter_mut().for_each(|path| drop(path.remove(0)));
    }
    for (picture, path) in found.iter_mut().zip(&mut paths) {
        if let (None, Some(part)) = (picture.part, path.first().and_then(|folder| part_of(folder))) {
            picture.part = Some(part);
            path.remove(0);
        }
    }
    if paths.iter().all(|path| !path.is_empty()) {
        found.iter_mut().zip(paths).for_each(|(picture, path)| picture.label = path.into_iter().next());
    }
}

fn part_of(folder: &str) -> Option<Split> {
    let folder = folder.to_lowercase();
    Split::ALL.into_iter().find(|split| split.names().contains(&folder.as_str()))
}

/// The names of the classes, in the order of their labels: numbers are labels as they are.
fn classes(found: &[Found]) -> Result<Vec<String>> {
    let mut names: Vec<&str> = found.iter().filter_map(|picture| picture.label.as_deref()).collect();
    names.sort_unstable();
    names.dedup();
    ensure!(names.len() <= MAX_CLASSES as usize, "{} classes; at most {MAX_CLASSES} are taken", names.len());
    let numbers: Option<Vec<u32>> = names.iter().map(|name| name.parse().ok()).collect();
    match numbers.and_then(|numbers| numbers.into_iter().max()) {
        Some(largest) => {
            ensure!(largest < MAX_CLASSES, "a class {largest}; expected 0 to {}", MAX_CLASSES - 1);
            Ok((0..=largest).map(|class| class.to_string()).collect())
        }
        None => Ok(names.into_iter().map(str::to_string).collect()),
    }
}
