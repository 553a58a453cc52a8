//! Lines of checkpoints. A run that goes back to an earlier checkpoint begins another line, and abandons what came after
//! that checkpoint: but only when the first checkpoint of the new line is durable. Until then the new line writes beside
//! the old one, to staged files, `.NAME.line-2`, so that the old one can still go on, to the bit.
//!
//! That first checkpoint is the switch, since the highest line counts: whatever stops the process after it, the next one
//! finds by its number which line is the newest, and makes good what is left to be done.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::checkpoint::header::LINE;
use crate::checkpoint::saved_runs::{LOG_FILE, checkpoint_path, checkpoint_steps, file_names, grid_step};
use crate::checkpoint::{atomic, format};
use crate::error::Error;

/// A line: its number, and the step of the line `parent` after which it begins. The first is number 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub number: u64,
    pub parent: u64,
    pub after: u64,
}

impl Line {
    /// Of a checkpoint with these header entries.
    pub fn of(metadata: &BTreeMap<String, String>) -> Self {
        metadata.get(LINE).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// Of the checkpoint at `path`, from its header alone; the first line where that cannot be read.
    pub fn of_file(path: &Path) -> Self {
        format::describe(path).map(|description| Self::of(&description.metadata)).unwrap_or_default()
    }

    /// Whether the checkpoint of `step` of the line `other` does not lead up to this one.
    pub fn abandons(&self, other: &Self, step: u64) -> bool {
        other.number < self.number && (step > self.after || other.number > self.parent)
    }

    /// Where this line keeps the file `name` of `directory` until its first checkpoint.
    pub fn staged(&self, directory: &Path, name: &str) -> PathBuf {
        directory.join(format!(".{name}.line-{}", self.number))
    }

    fn has_staged(&self, directory: &Path) -> bool {
        staged_in(directory).iter().any(|(_, number)| *number == self.number)
    }

    /// Puts what this line has staged in the place of what it abandons. Done again after a crash, it ends the same.
    ///
    /// # Errors
    /// [`Error::Storage`] where a file cannot be deleted or renamed.
    pub fn settle(&self, weights: &Path, samples: &Path) -> anyhow::Result<()> {
        if ![weights, samples].iter().any(|directory| self.has_staged(directory)) {
            return Ok(());
        }
        let failed = |path: &Path, error| Error::writing(path, error);
        // Whose renaming ends the first part: a grid that was put in its place in the second must not be deleted.
        let metrics = self.staged(weights, LOG_FILE);
        if metrics.exists() {
            for step in checkpoint_steps(weights).map_err(|error| failed(weights, error))? {
                let path = checkpoint_path(weights, step);
                if self.abandons(&Self::of_file(&path), step) {
                    remove(&path)?;
                }
            }
            remove_grids_after(samples, self.after)?;
            let place = weights.join(LOG_FILE);
            fs::rename(&metrics, &place).map_err(|error| failed(&place, error))?;
            atomic::sync_directory(weights).map_err(|error| failed(weights, error))?;
        }
        for directory in [weights, samples] {
            for (name, number) in staged_in(directory) {
                if number == self.number {
                    let place = directory.join(&name);
                    fs::rename(self.staged(directory, &name), &place).map_err(|error| failed(&place, error))?;
                }
            }
            atomic::sync_directory(directory).map_err(|error| failed(directory, error))?;
        }
        Ok(())
    }
}

/// Removes what lines have staged that came to no checkpoint.
///
/// # Errors
/// [`Error::Storage`] where a file cannot be deleted.
pub fn discard(directory: &Path) -> anyhow::Result<()> {
    for (name, number) in staged_in(directory) {
        remove(&Line { number, ..Line::default() }.staged(directory, &name))?;
    }
    Ok(())
}

/// Removes the grids of later steps than `step`.
///
/// # Errors
/// [`Error::Storage`] where one cannot be deleted.
pub fn remove_grids_after(samples: &Path, step: u64) -> anyhow::Result<()> {
    let names = file_names(samples).map_err(|error| Error::writing(samples, error))?;
    let later = names.iter().filter(|name| grid_step(name).is_some_and(|of_grid| of_grid > step));
    later.map(|name| samples.join(name)).try_for_each(|path| remove(&path))
}

/// Removes a file, if it is there.
pub fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::writing(path, error).into()),
        _ => Ok(()),
    }
}

/// The staged files in `directory`: the names that they will have, and the numbers of their lines.
fn staged_in(directory: &Path) -> Vec<(String, u64)> {
    let parse = |name: String| {
        let (name, number) = name.strip_prefix('.')?.rsplit_once(".line-")?;
        Some((name.to_string(), number.parse().ok()?))
    };
    file_names(directory).unwrap_or_default().into_iter().filter_map(parse).collect()
}
