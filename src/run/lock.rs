//! One process a run. The system drops a lock when its process ends, however it ends, so the file may stay.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::error::Error;

const LOCK: &str = ".lock";

/// The lock of a run.
#[derive(Debug, Default)]
pub struct Lock {
    /// `.lock`
    file: Option<File>,
    /// The directory itself, which is locked where there is no `.lock` and none may be made.
    _directory: Option<File>,
}

impl Lock {
    /// Locks the run in `directory`, if it is there, without changing anything.
    ///
    /// # Errors
    /// [`Error::RunInUse`] where another process has it, [`Error::Storage`] where its lock cannot be opened.
    pub fn take(directory: &Path, name: &str) -> anyhow::Result<Self> {
        let path = directory.join(LOCK);
        match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => Ok(Self { file: Some(locked(file, &path, name)?), _directory: None }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let Ok(handle) = File::open(directory) else { return Ok(Self::default()) };
                if let Ok(false) = try_lock(&handle) {
                    bail!(Error::RunInUse { run: name.into(), holder: None });
                }
                Ok(Self { file: None, _directory: Some(handle) })
            }
            Err(error) => bail!(Error::writing(&path, error)),
        }
    }

    /// Makes the file where there is none; whether there was none.
    ///
    /// # Errors
    /// As [`Lock::take`].
    pub fn make(&mut self, directory: &Path, name: &str) -> anyhow::Result<bool> {
        if self.file.is_some() {
            return Ok(false);
        }
        let path = directory.join(LOCK);
        let open = |is_new| OpenOptions::new().read(true).write(true).create_new(is_new).open(&path);
        let (opened, is_new) = match open(true) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => (open(false), false),
            opened => (opened, true),
        };
        self.file = Some(locked(opened.map_err(|error| Error::writing(&path, error))?, &path, name)?);
        Ok(is_new)
    }

    /// Writes the process id into the file, for whoever meets the lock.
    ///
    /// # Errors
    /// [`Error::Storage`] where it cannot.
    pub fn sign(&mut self, directory: &Path) -> anyhow::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let written = file.rewind().and_then(|()| file.set_len(0));
        let written = written.and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(written.map_err(|error| Error::writing(&directory.join(LOCK), error))?)
    }
}

/// The path of the file in the directory of a run.
pub fn path(directory: &Path) -> PathBuf {
    directory.join(LOCK)
}

fn locked(mut file: File, path: &Path, name: &str) -> anyhow::Result<File> {
    if !try_lock(&file).map_err(|error| Error::writing(path, error))? {
        let mut holder = String::new();
        let _ = (&mut file).take(20).read_to_string(&mut holder);
        // A process that has not begun yet has not signed either: what is there may be of one that is long gone.
        let is_alive = |id: &u32| !Path::new("/proc/self").exists() || Path::new(&format!("/proc/{id}")).exists();
        let holder = holder.trim().parse::<u32>().ok().filter(is_alive);
        bail!(Error::RunInUse { run: name.into(), holder });
    }
    Ok(file)
}

/// Takes `file`'s lock. `Ok(false)`: another process holds it. A file system without locks counts as free.
fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
