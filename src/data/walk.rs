//! The pictures below a directory, at any depth, and what else lies there.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::{entries, picture};
use crate::error::{Error, legible};

/// Folders within folders that are looked into. Deeper ones are passed over.
const MAX_DEPTH: usize = 32;

/// Names that are looked at below one directory. More mean that a wrong directory was given, such as `/`.
const MAX_NAMES: usize = 20_000_000;

/// Kinds of files that are named where some are passed over.
const MAX_KINDS: usize = 5;

/// What was passed over on the way: how many files of each kind.
#[derive(Debug, Default)]
pub struct PassedOver(BTreeMap<String, usize>);

impl PassedOver {
    /// Counts a file that is no picture.
    pub fn add_file(&mut self, path: &Path) {
        let kind = match path.extension() {
            _ if !path.is_file() => "no files: links that lead nowhere and the like".to_string(),
            Some(extension) => format!(".{}", extension.to_string_lossy().to_lowercase()),
            None => "without an extension".to_string(),
        };
        self.add(kind);
    }

    fn add(&mut self, kind: String) {
        *self.0.entry(kind).or_default() += 1;
    }

    /// In one line, the most frequent kinds first; `None` where nothing was passed over.
    pub fn line(&self) -> Option<String> {
        let mut kinds: Vec<(&String, &usize)> = self.0.iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count)); // stable
        let total: usize = self.0.values().sum();
        let mut names: Vec<&str> = kinds.iter().take(MAX_KINDS).map(|(kind, _)| kind.as_str()).collect();
        if kinds.len() > MAX_KINDS {
            names.push("...");
        }
        let what = if total == 1 { "1 file" } else { &format!("{total} files") };
        (total > 0).then(|| legible(&format!("{what} passed over ({})", names.join(", "))))
    }
}

/// A walk through folders. Links are followed, but no folder is read twice: where they lead back, or to the same place by
/// many ways, there would be no end.
#[derive(Debug, Default)]
pub struct Walk {
    read: HashSet<PathBuf>,
    /// The folders of the parts of a set: none is reached from another.
    parts: HashSet<PathBuf>,
}

impl Walk {
    /// Through the parts of a set, one after the other.
    pub fn through<'a>(parts: impl IntoIterator<Item = &'a Path>) -> Self {
        let parts = parts.into_iter().filter_map(|part| part.canonicalize().ok()).collect();
        Self { parts, ..Self::default() }
    }

    /// The pictures below `directory` in folders that were not read before, sorted by their paths; nearer folders are read
    /// first. Folders of `except` are left out. Hidden files are passed over without a word, others are counted in `passed`.
    pub fn pictures(&mut self, directory: &Path, except: &[&Path], passed: &mut PassedOver) -> Result<Vec<PathBuf>> {
        let (mut found, mut names) = (Vec::new(), 0);
        let mut waiting = VecDeque::from([(directory.to_path_buf(), 0)]);
        while let Some((folder, depth)) = waiting.pop_front() {
            let real = folder.canonicalize().map_err(|error| Error::reading(&folder, error))?;
            let is_other_part = folder != directory && self.parts.contains(&real);
            if is_other_part || !self.read.insert(real) {
                passed.add("links to folders that were read already".to_string());
                continue;
            }
            for path in entries(&folder)? {
                names += 1;
                if except.contains(&&*path) {
                    continue;
                }
                if path.is_dir() && depth == MAX_DEPTH {
                    passed.add(format!("folders more than {MAX_DEPTH} deep"));
                } else if path.is_dir() {
                    waiting.push_back((path, depth + 1));
                } else if picture::is_named(&path) && path.is_file() {
                    found.push(path);
                } else {
                    passed.add_file(&path);
                }
            }
            if names > MAX_NAMES {
                let text = format!("more than {MAX_NAMES} files and folders below it; name the folder of the pictures");
                bail!(Error::reading(directory, text));
            }
        }
        found.sort();
        Ok(found)
    }
}

/// The pictures below `directory`, by a walk of their own.
pub fn pictures(directory: &Path, passed: &mut PassedOver) -> Result<Vec<PathBuf>> {
    Walk::default().pictures(directory, &[], passed)
}

/// Whether there is a picture below `directory`: where there are many, much sooner than [`pictures`] says.
pub fn has_pictures(directory: &Path) -> Result<bool> {
    let has = |paths: &[PathBuf]| paths.iter().any(|path| picture::is_named(path) && path.is_file());
    Ok(has(&entries(directory)?) || !pictures(directory, &mut PassedOver::default())?.is_empty())
}
