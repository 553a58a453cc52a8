//! The archives of a directory.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::is_named;
use crate::data::entries;
use crate::data::splits::{Folders, Split};
use crate::error::Error;

/// Folders within folders that are looked into.
const MAX_DEPTH: usize = 3;

/// An archive of a set.
pub struct Archive {
    pub path: PathBuf,
    /// The part of the set that its folder or its name says.
    pub part: Option<Split>,
    /// Its folder below the directory of the set or of the part.
    pub folders: PathBuf,
}

/// The archive `path`, or those of that directory: in the order of their paths, first those that are in the folder of no
/// part.
pub fn archives(path: &Path) -> Result<Vec<Archive>> {
    if path.is_file() {
        return Ok(vec![Archive { path: path.to_path_buf(), part: None, folders: PathBuf::new() }]);
    }
    let parts = part_folders(path)?;
    let mut search = Search::default();
    for (_, folder) in &parts {
        search.is_read(folder)?; // each is read on its own
    }
    search.folder(path, (None, &PathBuf::new()), 0)?;
    for (part, folder) in &parts {
        search.folder(folder, (Some(*part), &PathBuf::new()), 0)?;
    }
    Ok(search.found)
}

/// Whether there are archives directly in the directory `path` or in the folder of a part.
pub fn are_near(path: &Path) -> Result<bool> {
    let has = |folder: &Path| Ok(entries(folder)?.iter().any(|path| is_archive(path)));
    let parts = part_folders(path)?;
    Ok(has(path)? || parts.iter().map(|(_, folder)| has(folder)).collect::<Result<Vec<bool>>>()?.contains(&true))
}

/// Also a link that leads nowhere: it is named where it is opened.
fn is_archive(path: &Path) -> bool {
    is_named(path) && !path.is_dir()
}

fn part_folders(path: &Path) -> Result<Vec<(Split, PathBuf)>> {
    let Folders { train, validation, test, .. } = Folders::find(path)?;
    let parts = [(Split::Train, train), (Split::Validation, validation), (Split::Test, test)];
    Ok(parts.into_iter().filter_map(|(part, folder)| Some((part, folder?))).collect())
}

/// A walk that follows links, but reads no folder twice.
#[derive(Default)]
struct Search {
    read: HashSet<PathBuf>,
    found: Vec<Archive>,
}

impl Search {
    /// Whether the folder was read before; from now on it counts as read.
    fn is_read(&mut self, folder: &Path) -> Result<bool> {
        let real = folder.canonicalize().map_err(|error| Error::reading(folder, error))?;
        Ok(!self.read.insert(real))
    }

    /// Adds the archives of `folder`, which lies in `folders` below the directory of a part.
    fn folder(&mut self, folder: &Path, (part, folders): (Option<Split>, &Path), depth: usize) -> Result<()> {
        let (inner, files): (Vec<PathBuf>, Vec<PathBuf>) = entries(folder)?.into_iter().partition(|path| path.is_dir());
        for path in files.into_iter().filter(|path| is_archive(path)) {
            let part = part.or_else(|| part_of_name(&path));
            self.found.push(Archive { path, part, folders: folders.to_path_buf() });
        }
        for path in inner.into_iter().filter(|_| depth < MAX_DEPTH) {
            if !self.is_read(&path)? {
                let folders = folders.join(path.file_name().unwrap_or_default());
                self.folder(&path, (part, &folders), depth + 1)?;
            }
        }
        Ok(())
    }
}

/// `imagenet-val-000000.tar` is for validation.
fn part_of_name(path: &Path) -> Option<Split> {
    let name = path.file_stem()?.to_string_lossy().to_lowercase();
    let mut words = name.split(|character: char| !character.is_alphabetic());
    words.find_map(|word| Split::ALL.into_iter().find(|split| split.names().contains(&word)))
}
