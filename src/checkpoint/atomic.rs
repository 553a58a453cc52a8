//! Replaces a file in one step: a reader sees the old bytes or the new, whatever crashes in between.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Writes `path` in one step: a temporary file in the same directory (`.NAME.tmp-PID`) takes what `body` writes, is
/// flushed, fsynced and renamed over `path`, and the directory is fsynced. The mode is 0666 less the umask.
///
/// A symbolic link is followed: what it names is replaced. A device or a pipe (`/dev/null`, `/dev/stdout`) is written
/// to directly, since a rename would put a plain file in its place.
///
/// # Errors
/// [`Error::Storage`] on any error, of `body` too: then the old file is intact and no temporary file is left.
/// [`Error::ClosedPipe`] where `path` is a pipe whose reader has gone.
pub fn write(path: &Path, body: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    write_file(path, |out| Ok(body(out)?))
}

/// As [`write()`], for a `body` that goes back in the file, or that may fail for other reasons than the file: an error of
/// its own that is no [`io::Error`] is returned as it is.
///
/// # Errors
/// As [`write()`].
pub fn write_file(path: &Path, body: impl FnOnce(&mut BufWriter<File>) -> anyhow::Result<()>) -> anyhow::Result<()> {
    // What writes knows I/O errors alone: one of another kind is carried past it.
    let mut failure = None;
    let body = |out: &mut BufWriter<File>| {
        body(out).map_err(|error| match error.downcast::<io::Error>() {
            Ok(error) => error,
            Err(error) => {
                failure = Some(error);
                io::Error::other("stopped")
            }
        })
    };
    let written = match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(Error::writing(path, "it is a directory").into()),
        Ok(found) if !found.is_file() => write_through(path, body).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Error::ClosedPipe.into(),
            _ => Error::writing(path, error).into(),
        }),
        _ => replace(path, Durable::Yes, body).map_err(|error| Error::writing(path, error).into()),
    };
    failure.map_or(written, Err)
}

/// Refuses, before long work, what [`write()`] would refuse after it: a directory, or a name in a directory that is not
/// there.
///
/// # Errors
/// [`Error::Storage`].
pub fn check(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        return Err(Error::writing(path, "it is a directory").into());
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() && !parent.is_dir() => {
            Err(Error::writing(path, format!("there is no directory {}", parent.display())).into())
        }
        _ => Ok(()),
    }
}

/// As [`write()`], for one of many files that are easily made again: a reader still sees the old bytes or the new, but
/// nothing waits for the disk, and a machine that loses its power may lose the file.
///
/// # Errors
/// As [`write()`].
pub fn write_unsynced(path: &Path, body: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    Ok(replace(path, Durable::No, |out| body(out)).map_err(|error| Error::writing(path, error))?)
}

/// Whether a file must outlive a loss of power.
#[derive(Clone, Copy, PartialEq)]
enum Durable {
    Yes,
    No,
}

fn write_through(path: &Path, body: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(OpenOptions::new().write(true).open(path)?);
    body(&mut out)?;
    out.flush()
}

fn replace(path: &Path, durable: Durable, body: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let target = if path.is_symlink() { fs::canonicalize(path).unwrap_or(path.to_owned()) } else { path.to_owned() };
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let (mut temporary, file) = Temporary::create(directory, &target)?;
    let buffer = if durable == Durable::Yes { 1 << 18 } else { 1 << 12 }; // one large file, or one of many small ones
    let mut out = BufWriter::with_capacity(buffer, file);
    body(&mut out)?;
    out.flush()?;
    if durable == Durable::Yes {
        out.get_ref().sync_all()?;
    }
    uninterrupted(|| fs::rename(&temporary.path, &target))?;
    temporary.renamed = true;
    // The rename itself is durable only when the directory is.
    match durable {
        Durable::Yes => sync_directory(directory),
        Durable::No => Ok(()),
    }
}

/// Asks again where a signal came in between. The standard library does so for all other calls here; some network file
/// systems interrupt this one too.
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => return other,
        }
    }
}

/// A temporary file that is removed unless it was renamed. While it is being written it is locked, which is how
/// [`sweep`] tells it from one that a killed process left.
struct Temporary {
    path: PathBuf,
    renamed: bool,
}

impl Temporary {
    fn create(directory: &Path, target: &Path) -> io::Result<(Self, File)> {
        let name = target.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))?;
        let path = directory.join(format!(".{}.tmp-{}", name.to_string_lossy(), std::process::id()));
        // Process ids come round again: an abandoned file of the same name makes way.
        if abandoned(&path) {
            fs::remove_file(&path)?;
        }
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        // Some network file systems have no locks; there sweep leaves temporary files alone.
        let _ = file.try_lock();
        Ok((Self { path, renamed: false }, file))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether `path` is there and no living process writes it.
fn abandoned(path: &Path) -> bool {
    OpenOptions::new().write(true).open(path).is_ok_and(|file| file.try_lock().is_ok())
}

#[cfg(unix)]
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    match File::open(directory)?.sync_all() {
        // Some file systems know no fsync of a directory: EINVAL.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        other => other,
    }
}

#[cfg(not(unix))]
pub(crate) fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Removes the temporary files that killed processes left in `directory`; those of a living one stay.
///
/// # Errors
/// [`Error::Storage`] where the directory cannot be read or a file not removed.
pub fn sweep(directory: &Path) -> anyhow::Result<()> {
    let failed = |error| Error::writing(directory, error);
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if is_temporary(&entry.file_name().to_string_lossy()) && abandoned(&entry.path()) {
            fs::remove_file(entry.path()).map_err(|error| Error::writing(&entry.path(), error))?;
        }
    }
    Ok(())
}

fn is_temporary(name: &str) -> bool {
    let process = name.strip_prefix('.').and_then(|rest| rest.rsplit_once(".tmp-")).map(|(_, process)| process);
    process.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}
