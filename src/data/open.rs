//! Finds the data set that a name or a path means.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::catalogue::{BUILT_IN, BuiltIn, MNIST_SHAPE, NamedSet, SETS};
use super::folder::is_compressed_tar;
use super::{
    DataOptions, Dataset, ImageShape, OnBytes, TargetShape, archives, cifar, folder, idx, named, parquet, picture,
    stacked, summary,
};
use crate::error::{Error, legible};

/// What a directory may hold.
struct Reader {
    /// In words, with an article where one is needed.
    what: &'static str,
    /// The shape of the images, where all such sets have one.
    shape: Option<ImageShape>,
    /// Where it lies in a directory; `None` where there is nothing of it.
    find: fn(&Path) -> Result<Option<PathBuf>>,
    open: fn(&Path, TargetShape, &DataOptions, OnBytes) -> Result<Dataset>,
}

/// All of them. Where a directory holds several, the first is taken.
static READERS: [Reader; 5] = [
    Reader {
        what: "CIFAR-10's binary batches or their .tar.gz",
        shape: Some(cifar::SHAPE),
        find: cifar::find,
        open: |path, target, _, _| cifar::open(path)?.fit(target),
    },
    Reader {
        what: "IDX files (MNIST's names)",
        shape: Some(MNIST_SHAPE),
        find: idx::source,
        open: |folder, target, _, _| idx::open(folder)?.fit(target),
    },
    Reader { what: "the Hub's parquet files", shape: None, find: parquet::source, open: parquet::open },
    Reader { what: "pictures in one folder a class", shape: None, find: folder::source, open: folder::open },
    // The archive that the folders beside it came in is passed over.
    Reader { what: "tar or zip files of pictures", shape: None, find: archives::source, open: archives::open },
];

/// Opens the data set that `spec` names.
///
/// It is a name of [`BUILT_IN`] or of [`SETS`] (other spellings of one, such as `MNIST`, where no directory is called
/// so), or a directory (one of such a name is given as `./mnist`): of IDX files ([`idx::open`]), of CIFAR-10's batches or
/// their archive, which may also be named itself ([`cifar::open`]), of the Hub's parquet files ([`parquet::open`]) or of
/// pictures ([`folder::open`]), which is found out by the names in it. [`DataOptions::data_dir`] is where named sets lie, each
/// in a folder of its own name, or are downloaded to; without it, the user's cache directory ([`named::cache_dir`]). The
/// images come out as `target` says. The variable [`named::MIRROR_VARIABLE`] names a mirror to use in place of the known
/// ones.
///
/// [`Error::Data`] or [`Error::DataElsewhere`] where there is nothing of that name, [`Error::Input`] where it is damaged;
/// [`Error::Storage`] where a download cannot be written.
pub fn open(spec: &str, options: &DataOptions, target: impl Into<TargetShape>, on_bytes: OnBytes) -> Result<Dataset> {
    let target = target.into();
    let data_dir = options.data_dir.as_deref();
    let mut dataset = match known(spec) {
        Some(Known::BuiltIn(set)) => {
            let (train, test) = rayon::join(|| (set.train)(target.shape), || (set.test)(target.shape));
            let classes = set.classes.iter().map(|class| class.to_string()).collect();
            Dataset::canonical(set.name, classes, train, test).fit(target)?
        }
        Some(Known::Named(set)) => named::open(set, data_dir, on_bytes)?.fit(target)?,
        Some(Known::Stacked(mnist)) => stacked::of(&named::open(mnist, data_dir, on_bytes)?, target)?,
        None => {
            let path = Path::new(spec);
            Dataset { name: directory_name(path), ..open_path(path, options, target, on_bytes)? }
        }
    };
    dataset.warnings.extend(summary::emptiness(&dataset.train)?);
    Ok(dataset)
}

/// The shape of the images of the set that `--data` names; `None` of pictures, which have many, and of what cannot be looked
/// into.
pub fn own_shape(spec: &str) -> Option<ImageShape> {
    let path = Path::new(spec);
    match known(spec) {
        Some(Known::BuiltIn(set)) => Some(set.shape),
        Some(Known::Named(set)) => Some(set.shape),
        Some(Known::Stacked(_)) => Some(stacked::SHAPE),
        None if path.is_dir() => {
            let is_found = |reader: &&Reader| (reader.find)(path).is_ok_and(|found| found.is_some());
            READERS.iter().find(is_found)?.shape
        }
        None if archives::source(path).is_ok_and(|found| found.is_some()) => None,
        None => cifar::find(path).ok()?.map(|_| cifar::SHAPE),
    }
}

/// Whether `spec` is the name of a set, not a path.
pub fn is_name(spec: &str) -> bool {
    known(spec).is_some()
}

/// Whether `spec` names the set whose modes are counted.
pub fn is_stacked_mnist(spec: &str) -> bool {
    matches!(known(spec), Some(Known::Stacked(_)))
}

/// A set that has a name.
enum Known {
    BuiltIn(&'static BuiltIn),
    Named(&'static NamedSet),
    /// Of the digits of MNIST.
    Stacked(&'static NamedSet),
}

/// The set of that name, or, where nothing else is called so, of a name that differs in capitals, hyphens and the like.
fn known(spec: &str) -> Option<Known> {
    let find = |is_meant: &dyn Fn(&str) -> bool| {
        let built_in = BUILT_IN.iter().find(|set| is_meant(set.name)).map(Known::BuiltIn);
        let named = || SETS.iter().find(|set| is_meant(set.name)).map(Known::Named);
        let stacked =
            || is_meant(stacked::NAME).then(|| SETS.iter().find(|set| set.name == "mnist").map(Known::Stacked))?;
        built_in.or_else(named).or_else(stacked)
    };
    let is_free = || !spec.contains(std::path::is_separator) && !Path::new(spec).exists();
    find(&|name| name == spec).or_else(|| is_free().then(|| find(&|name| is_spelling(spec, name)))?)
}

/// Whether `text` is `name` but for capitals and signs: `Cifar-10`, `FashionMNIST`.
pub(super) fn is_spelling(text: &str, name: &str) -> bool {
    let letters = |text: &str| text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    letters(text) == letters(name)
}

fn open_path(path: &Path, options: &DataOptions, target: TargetShape, on_bytes: OnBytes) -> Result<Dataset> {
    if !path.is_dir() {
        if let Some(found) = archives::source(path)? {
            return archives::open(&found, target, options, on_bytes);
        }
        if let Some(found) = parquet::source(path)? {
            return parquet::open(&found, target, options, on_bytes);
        }
        // Of other files, CIFAR-10's archive is a set.
        return match cifar::find(path)? {
            Some(archive) => cifar::open(&archive)?.fit(target),
            None => bail!(not_found(path, options.data_dir.as_deref())),
        };
    }
    if let (Some(hint), None) = (cifar::python_hint(path), cifar::find(path)?) {
        bail!(Error::data(path.display(), hint));
    }
    for (place, reader) in READERS.iter().enumerate() {
        if let Some(found) = (reader.find)(path)? {
            let mut dataset = (reader.open)(&found, target, options, on_bytes)?;
            dataset.notes.extend(others(path, reader, &found, &READERS[place + 1..]));
            return Ok(dataset);
        }
    }
    folder::open(path, target, options, on_bytes) // an error that says what was looked for
}

/// Whether `spec` is a picture or a directory that is read as pictures, not a set of another kind.
pub(super) fn is_of_pictures(spec: &str) -> Result<bool> {
    let path = Path::new(spec);
    if known(spec).is_some() || !path.is_dir() {
        return Ok(path.is_file() && picture::is_named(path));
    }
    Ok(!is_other_set(path)? && archives_in(path)?.is_none() && cifar::python_hint(path).is_none())
}

/// The archives of pictures that `spec` is or holds, where it is no other set.
pub(super) fn archives_of(spec: &str) -> Result<Option<PathBuf>> {
    let path = Path::new(spec);
    if known(spec).is_some() || path.is_dir() && is_other_set(path)? { Ok(None) } else { archives_in(path) }
}

/// Whether a directory is a set of neither pictures nor archives of them.
fn is_other_set(directory: &Path) -> Result<bool> {
    let [sets @ .., _pictures, _archives] = &READERS;
    for reader in sets {
        if (reader.find)(directory)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The archives of pictures that `path` is or holds, where no pictures lie there.
fn archives_in(path: &Path) -> Result<Option<PathBuf>> {
    if path.is_dir() && folder::source(path)?.is_some() { Ok(None) } else { archives::source(path) }
}

/// What is said where a directory holds more than the set that was taken from it.
fn others(directory: &Path, taken: &Reader, found: &Path, rest: &[Reader]) -> Vec<String> {
    let other = |reader: &Reader| {
        // What cannot be looked into is not what was asked for.
        let place = (reader.find)(directory).ok().flatten()?;
        let how = match place == found {
            true => "move them to a directory of their own".to_string(),
            false => format!("name {}", place.display()),
        };
        let (of, what) = (legible(&directory.display().to_string()), reader.what);
        Some(format!("{of}: read as {}; it also holds {what}: to use those, {how}", taken.what))
    };
    rest.iter().filter_map(other).collect()
}

/// What a directory may hold, as an error says it.
pub(super) fn readable() -> String {
    let whats: Vec<&str> = READERS.iter().map(|reader| reader.what).collect();
    format!("{} ({})", whats.join(", or "), picture::FORMAT_NAMES)
}

fn not_found(path: &Path, data_dir: Option<&Path>) -> Error {
    if let Some(meant) = data_dir.map(|data_dir| data_dir.join(path)).filter(|path| path.exists()) {
        let problem = format!("{}: no such directory here, but one in the data directory; name it", path.display());
        return Error::DataElsewhere { problem, meant };
    }
    let problem = if path.exists() && is_compressed_tar(path) {
        "tar files cannot be read in place where all of one is compressed; unpack it, and name the .tar or the folder"
            .to_string()
    } else if path.exists() {
        "a file, where a directory is expected, or a .tar, .zip or .parquet of pictures, or CIFAR-10's .tar.gz"
            .to_string()
    } else if path.to_string_lossy().contains(['*', '{']) {
        "no such directory, and patterns are not expanded; name the directory that the files lie in".to_string()
    } else if path.is_absolute() {
        "no such directory; if the data have moved, give their new place".to_string()
    } else if path.components().count() > 1 {
        let here = std::env::current_dir().map_or(String::new(), |here| format!(" in {}", here.display()));
        format!("no such directory{here}; if the data have moved, give their new place")
    } else {
        let of_files = SETS.iter().map(|set| set.name).chain([stacked::NAME]);
        let names: Vec<&str> = BUILT_IN.iter().map(|set| set.name).chain(of_files).collect();
        let names = names.join(", ");
        format!(
            "no data set and no directory; if the data have moved, give their new place\nThe data sets are {names}."
        )
    };
    Error::data(path.display(), problem)
}

/// The last part of the path, with `.` and `..` resolved.
fn directory_name(directory: &Path) -> String {
    let resolved = directory.canonicalize().unwrap_or_else(|_| directory.to_path_buf());
    resolved.file_name().unwrap_or(directory.as_os_str()).to_string_lossy().into_owned()
}
