//! The named sets that are not built in: looked for in their folders, downloaded, checked.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::download;
use super::idx;
use super::{DataOptions, Dataset, ImageSet, OnBytes, cifar, entries, is_spelling, parquet, parts, pixels_of};
use crate::data::catalogue::{Files, NamedFile, NamedSet};
use crate::data::download::{Download, Downloader};
use crate::data::idx::IdxPart;
use crate::error::Error;

/// The variable that replaces the built-in mirrors: `GAN_MIRROR=http://host/path` makes
/// `http://host/path/mnist/train-images-idx3-ubyte.gz` the one source.
pub const MIRROR_VARIABLE: &str = "GAN_MIRROR";

/// The folder for downloads where `--data-dir` names none: `gan` in the user's cache directory (`XDG_CACHE_HOME` or
/// `~/.cache`; on macOS `~/Library/Caches`). [`Error::Setting`] where there is no home.
pub fn cache_dir() -> Result<PathBuf> {
    let under_home = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
    env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(under_home)))
        .map(|cache| cache.join("gan"))
        .ok_or_else(|| {
            let problem = "no home directory to keep downloads in; name a folder for them";
            Error::setting("data_dir", "", problem).into()
        })
}

/// Where `set` is downloaded from, in this order: its own mirrors, or the one under `prefix` (see [`MIRROR_VARIABLE`]).
pub fn mirrors(set: &NamedSet, prefix: Option<&str>) -> Vec<String> {
    match prefix {
        Some(prefix) if !prefix.is_empty() => vec![format!("{}/{}/", prefix.trim_end_matches('/'), set.name)],
        _ => set.mirrors.iter().map(|mirror| mirror.to_string()).collect(),
    }
}

/// Opens `set` from its folder in `data_dir` (or [`cache_dir`]); what is missing there is downloaded.
///
/// MNIST's and its relatives' files lie there under MNIST's names, packed or not, CIFAR-10's batches as [`cifar::find`]
/// finds them; either may lie there as the Hub's parquet files, or where torchvision puts them. IDX files must be the original to the byte. Of CIFAR-10,
/// which is passed on as JPEG too, a download must; what lies there must have as many images of each class.
///
/// [`Error::DataElsewhere`] where a file is not that, [`Error::NotDownloaded`] where it cannot be had; [`Error::Storage`]
/// where a download cannot be written.
pub fn open(set: &NamedSet, data_dir: Option<&Path>, on_bytes: OnBytes) -> Result<Dataset> {
    let data_dir = match data_dir {
        Some(path) => path.to_path_buf(),
        None => cache_dir()?,
    };
    let mirrors = mirrors(set, env::var(MIRROR_VARIABLE).ok().as_deref());
    open_from(set, &data_dir, &mirrors, &Downloader::default(), on_bytes)
}

/// As [`open`], from these mirrors (each ends in a slash) and with this patience.
pub fn open_from(
    set: &NamedSet,
    data_dir: &Path,
    mirrors: &[String],
    downloader: &Downloader,
    on_bytes: OnBytes,
) -> Result<Dataset> {
    let folder = place(set, data_dir)?;
    let downloads = Downloads { set, data_dir, folder: &folder, mirrors, downloader, on_bytes };
    let (train, test) = match &set.files {
        Files::Idx(files) => open_idx(&downloads, files)?,
        Files::Cifar { bytes, sha256, batch } => open_cifar(&downloads, *bytes, sha256, *batch)?,
    };
    let classes = set.classes.iter().map(|class| class.to_string()).collect();
    let dataset = Dataset::canonical(set.name, classes, train, test);
    // IDX files are the original to the byte; CIFAR-10's images may lie there in an order that somebody gave them.
    let is_canonical = match set.files {
        Files::Idx(_) => true,
        Files::Cifar { .. } => parts::are_mixed(&dataset.train.labels()) && parts::are_mixed(&dataset.test.labels()),
    };
    Ok(Dataset { is_canonical, ..dataset })
}

/// The folder of `set` in `data_dir`: the one of its own name, unless all of the set lies in one of another spelling, or,
/// as torchvision has it, in `raw` in that (`MNIST/raw`), or CIFAR-10's batches or archive directly in `data_dir`.
fn place(set: &NamedSet, data_dir: &Path) -> Result<PathBuf> {
    let own = data_dir.join(set.name);
    if !data_dir.is_dir() {
        return Ok(own);
    }
    let mut places = vec![own.clone()];
    places.extend(entries(data_dir)?.into_iter().filter(|path| is_spelling(&name_of(path), set.name)));
    for folder in places.into_iter().filter(|path| path.is_dir()) {
        let found = match set.files {
            Files::Idx(_) => idx::source(&folder)?.filter(|folder| idx_files(folder).iter().all(Option::is_some)),
            Files::Cifar { .. } => cifar::find(&folder)?.map(|_| folder.clone()),
        };
        if found.is_some() || parquet::source(&folder)?.is_some() {
            return Ok(found.unwrap_or(folder));
        }
    }
    let is_here = matches!(set.files, Files::Cifar { .. }) && cifar::find(data_dir)?.is_some();
    Ok(if is_here { data_dir.to_path_buf() } else { own })
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Train images, train labels, test images and test labels in `folder`, as far as they are there.
fn idx_files(folder: &Path) -> [Option<PathBuf>; 4] {
    let slots =
        [(IdxPart::Train, "images"), (IdxPart::Train, "labels"), (IdxPart::Test, "images"), (IdxPart::Test, "labels")];
    slots.map(|(part, what)| idx::find(folder, part, what))
}

/// Where a set's files are had.
struct Downloads<'a> {
    set: &'a NamedSet,
    data_dir: &'a Path,
    folder: &'a Path,
    mirrors: &'a [String],
    downloader: &'a Downloader,
    on_bytes: OnBytes<'a>,
}

impl Downloads<'_> {
    /// Downloads the file `name` of at most `bytes` bytes that `check` finds right; gives its path.
    fn fetch(&self, name: &str, bytes: u64, check: &dyn Fn(&Path) -> Result<(), String>) -> Result<PathBuf> {
        let path = self.folder.join(name);
        let download = Download { name, path: &path, bytes, check };
        let urls: Vec<String> = self.mirrors.iter().map(|mirror| format!("{mirror}{name}")).collect();
        match self.downloader.fetch(&download, &urls, self.on_bytes)? {
            Ok(()) => Ok(path),
            Err(reasons) => {
                let other = [self.data_dir, self.folder].into_iter().find_map(cifar::python_hint);
                let other = other.filter(|_| matches!(self.set.files, Files::Cifar { .. }));
                let hint = other.map_or(String::new(), |hint| format!("\n{hint}"));
                bail!(Error::NotDownloaded {
                    set: self.set.name,
                    file: name.to_string(),
                    folder: self.folder.to_path_buf(),
                    problem: reasons.join("; ") + &hint,
                    stand_in: self.set.stand_in,
                })
            }
        }
    }

    /// Where the Hub's parquet files lie.
    fn parquet(&self) -> Result<Option<PathBuf>> {
        if self.folder.is_dir() { parquet::source(self.folder) } else { Ok(None) }
    }
}

fn open_idx(downloads: &Downloads, files: &[NamedFile; 4]) -> Result<(ImageSet, ImageSet)> {
    let found = idx_files(downloads.folder);
    if let Some(folder) = downloads.parquet()?.filter(|_| found.iter().all(Option::is_none)) {
        let dataset = parquet::open(&folder, downloads.set.shape.into(), &DataOptions::in_memory(), &|_, _, _| ())?;
        let sources = [(); 4].map(|()| downloads.folder.to_path_buf());
        let train = checked(downloads.set, files, 0, dataset.train, &sources)?;
        return Ok((train, checked(downloads.set, files, 2, dataset.test, &sources)?));
    }
    let mut paths = Vec::with_capacity(4);
    for (file, path) in files.iter().zip(found) {
        paths.push(match path {
            Some(path) => path,
            None => downloads
                .fetch(file.name, file.bytes, &|path| download::check_content(path, file.bytes, file.sha256))?,
        });
    }
    let (train, test) = rayon::join(
        || idx::part(&paths[0], &paths[1]).and_then(|part| checked(downloads.set, files, 0, part.into(), &paths)),
        || idx::part(&paths[2], &paths[3]).and_then(|part| checked(downloads.set, files, 2, part.into(), &paths)),
    );
    Ok((train?, test?))
}

/// `part` if its images and labels are those of `files[at]` and `files[at + 1]`.
fn checked(set: &NamedSet, files: &[NamedFile; 4], at: usize, part: ImageSet, sources: &[PathBuf]) -> Result<ImageSet> {
    // As the file has them: a label that takes more than a byte is none of these sets', and the hash says so.
    let bytes: Vec<u8> = part.labels().iter().map(|label| u8::try_from(*label).unwrap_or(u8::MAX)).collect();
    let (shape, pixels) = (part.shape()?, pixels_of(&*part, 0..part.len())?);
    let (images, labels) = rayon::join(
        || idx::sha256(&[part.len(), shape.height, shape.width], &pixels),
        || idx::sha256(&[bytes.len()], &bytes),
    );
    for (at, found) in [(at, images), (at + 1, labels)] {
        let NamedFile { name, sha256, .. } = files[at];
        if found != sha256 {
            let path = sources[at].display();
            let problem = format!(
                "{path}: not the {} of {}: SHA-256 of the content is {found}, expected {sha256}\nTake it away to have \
                 it downloaded, or use the files as they are by naming their folder",
                name.trim_end_matches(".gz"),
                set.name,
            );
            let meant = sources[at].parent().unwrap_or(&sources[at]).to_path_buf();
            bail!(Error::DataElsewhere { problem, meant });
        }
    }
    drop(pixels);
    Ok(part)
}

fn open_cifar(downloads: &Downloads, bytes: u64, sha256: &[&str; 6], batch: usize) -> Result<(ImageSet, ImageSet)> {
    let found = if downloads.folder.is_dir() { cifar::find(downloads.folder)? } else { None };
    let dataset = match (found, downloads.parquet()?) {
        (Some(source), _) => cifar::open(&source)?,
        (None, Some(folder)) => {
            parquet::open(&folder, downloads.set.shape.into(), &DataOptions::in_memory(), &|_, _, _| ())?
        }
        (None, None) => {
            let archive = downloads.fetch(cifar::ARCHIVE, bytes, &|path| cifar::check_archive(path, sha256))?;
            cifar::open(&archive)?
        }
    };
    for (what, part, count) in [("train on", &dataset.train, 5 * batch), ("test on", &dataset.test, batch)] {
        let each = count / cifar::CLASSES.len();
        let most = part.labels().iter().copied().max().unwrap_or(0) as usize;
        let mut counts = vec![0; most.max(9) + 1];
        part.labels().iter().for_each(|label| counts[*label as usize] += 1);
        if let Some(class) = (0..counts.len()).find(|&class| counts[class] != if class < 10 { each } else { 0 }) {
            let folder = downloads.folder.display();
            let problem = format!(
                "{folder}: not all of {}: {} images to {what}, {} of them with the label {class}; expected {count}, \
                 {each} for each label from 0 to 9\nTake the files away to have it downloaded, or use them as they are \
                 by naming their folder",
                downloads.set.name,
                part.len(),
                counts[class],
            );
            bail!(Error::DataElsewhere { problem, meant: downloads.folder.to_path_buf() });
        }
    }
    Ok((dataset.train, dataset.test))
}
