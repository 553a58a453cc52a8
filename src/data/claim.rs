//! The folder of a download, claimed by one process at a time, which leaves nothing behind but what arrived.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::error::Error;

/// How often another process may take the lock file away before this one has it.
const MAX_TRIES: usize = 100;

/// Keeps other processes from writing the same files until it is dropped. Then the lock file goes, and so do the folders
/// that were made for it and are still empty.
pub struct Claim {
    lock_path: PathBuf,
    /// Open, and locked where the file system has locks; without them two downloads at once spoil each other's part,
    /// which the checksum finds.
    lock: Option<File>,
    /// Whether the lock file is this process's own; one that an older version left stays.
    is_own: bool,
    /// The folders that were made, the innermost first.
    made: Vec<PathBuf>,
}

impl Claim {
    /// Makes `folder` where it is not there, and waits until no other process has it. [`Error::Storage`] where it
    /// cannot be written.
    pub fn take(folder: &Path) -> Result<Self> {
        let mut claim = Self { lock_path: folder.join(".lock"), lock: None, is_own: false, made: Vec::new() };
        for _ in 0..MAX_TRIES {
            claim.made.extend(missing(folder));
            fs::create_dir_all(folder).map_err(|error| Error::writing(folder, error))?;
            claim.is_own |= File::create_new(&claim.lock_path).is_ok();
            let lock = match File::create(&claim.lock_path) {
                // Whoever had the folder has just taken it away.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                lock => lock.map_err(|error| Error::writing(&claim.lock_path, error))?,
            };
            let _ = lock.lock();
            // Whoever had the lock has taken its file away, and the next process makes a file of its own.
            if is_at(&lock, &claim.lock_path).unwrap_or(false) {
                claim.lock = Some(lock);
                return Ok(claim);
            }
        }
        Err(Error::writing(&claim.lock_path, "other processes keep taking it away").into())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.is_own && self.lock.is_some() {
            let _ = fs::remove_file(&self.lock_path); // before the lock is let go
        }
        for folder in &self.made {
            let _ = fs::remove_dir(folder); // refused where something is in it
        }
    }
}

/// The folders that have to be made for `folder`, the innermost first.
fn missing(folder: &Path) -> Vec<PathBuf> {
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    folder.ancestors().take_while(is_missing).map(Path::to_path_buf).collect()
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let (open, named) = (file.metadata()?, fs::metadata(path)?);
    Ok((open.dev(), open.ino()) == (named.dev(), named.ino()))
}
