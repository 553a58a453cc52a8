//! The named sets that are not built in: where they come from and what they must be.
//!
//! What is checked is the SHA-256 of each file without its gzip, so that a repacked or unpacked file passes, and one
//! from any mirror must be the original to the byte. MNIST's were computed from files whose MD5 is the published one;
//! Fashion-MNIST's are those that several independent loaders on GitHub list, the two for labels computed here too,
//! from the files of the publisher's repository.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::download::{Download, Downloader};
use super::idx::{self, Part};
use super::{Dataset, ImageShape, Images, OnBytes, parquet};
use crate::error::Failure;

/// The variable that replaces the built-in mirrors: `GAN_MIRROR=http://host/path` makes
/// `http://host/path/mnist/train-images-idx3-ubyte.gz` the one source.
pub const MIRROR_VARIABLE: &str = "GAN_MIRROR";

/// A set of four IDX files that can be had by name.
#[derive(Clone, Copy, Debug)]
pub struct NamedSet {
    pub name: &'static str,
    pub classes: &'static [&'static str],
    /// Tried in this order; each ends in a slash, and a file's name follows.
    pub mirrors: &'static [&'static str],
    /// Train images, train labels, test images, test labels.
    pub files: [NamedFile; 4],
    /// Of the images.
    pub shape: ImageShape,
}

/// One file of a set.
#[derive(Clone, Copy, Debug)]
pub struct NamedFile {
    /// On the mirror, and on disk after a download.
    pub name: &'static str,
    /// Bytes without gzip.
    pub bytes: u64,
    /// Of the content without gzip, hexadecimal.
    pub sha256: &'static str,
}

const MNIST_SHAPE: ImageShape = ImageShape { height: 28, width: 28, channels: 1 };

const fn mnist_files(sha256: [&'static str; 4]) -> [NamedFile; 4] {
    [
        NamedFile { name: "train-images-idx3-ubyte.gz", bytes: 16 + 60_000 * 784, sha256: sha256[0] },
        NamedFile { name: "train-labels-idx1-ubyte.gz", bytes: 8 + 60_000, sha256: sha256[1] },
        NamedFile { name: "t10k-images-idx3-ubyte.gz", bytes: 16 + 10_000 * 784, sha256: sha256[2] },
        NamedFile { name: "t10k-labels-idx1-ubyte.gz", bytes: 8 + 10_000, sha256: sha256[3] },
    ]
}

/// All of them.
pub const SETS: [NamedSet; 2] = [
    NamedSet {
        name: "mnist",
        classes: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        mirrors: &[
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ],
        files: mnist_files([
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ]),
        shape: MNIST_SHAPE,
    },
    NamedSet {
        name: "fashion-mnist",
        classes: &[
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ],
        mirrors: &[
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ],
        files: mnist_files([
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ]),
        shape: MNIST_SHAPE,
    },
];

/// The folder for downloads where `--data-dir` names none: `gan` in the user's cache directory (`XDG_CACHE_HOME` or
/// `~/.cache`; on macOS `~/Library/Caches`). [`Failure::Usage`] where there is no home.
pub fn cache_dir() -> Result<PathBuf> {
    let under_home = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
    env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(under_home)))
        .map(|cache| cache.join("gan"))
        .ok_or_else(|| {
            let text = "--data-dir: no home directory to keep downloads in; name a folder with --data-dir DIR";
            Failure::Usage(text.to_string()).into()
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
/// Files lie there under MNIST's names, packed or not, or as the Hub's parquet files. [`Failure::Input`] where a file
/// is not the original, or cannot be had; [`Failure::Storage`] where a download cannot be written.
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
    let folder = data_dir.join(set.name);
    let slots = [(Part::Train, "images"), (Part::Train, "labels"), (Part::Test, "images"), (Part::Test, "labels")];
    let found = slots.map(|(part, what)| idx::find(&folder, part, what));
    let in_parquet = found.iter().all(Option::is_none) && folder.is_dir() && parquet::is_source(&folder)?;
    let (train, test) = if in_parquet {
        let dataset = parquet::open(&folder, set.shape)?;
        let sources = [(); 4].map(|()| folder.clone());
        (checked(set, 0, dataset.train, &sources)?, checked(set, 2, dataset.test, &sources)?)
    } else {
        let mut paths = Vec::with_capacity(4);
        for (file, path) in set.files.iter().zip(found) {
            paths.push(match path {
                Some(path) => path,
                None => fetch(set, file, &folder, mirrors, downloader, on_bytes)?,
            });
        }
        let (train, test) = rayon::join(
            || idx::part(&paths[0], &paths[1]).and_then(|part| checked(set, 0, part, &paths)),
            || idx::part(&paths[2], &paths[3]).and_then(|part| checked(set, 2, part, &paths)),
        );
        (train?, test?)
    };
    let classes = set.classes.iter().map(|class| class.to_string()).collect();
    Ok(Dataset { name: set.name.to_string(), classes, train, test })
}

fn fetch(
    set: &NamedSet,
    file: &NamedFile,
    folder: &Path,
    mirrors: &[String],
    downloader: &Downloader,
    on_bytes: OnBytes,
) -> Result<PathBuf> {
    let path = folder.join(file.name);
    let download = Download { name: file.name, path: &path, bytes: file.bytes, sha256: file.sha256 };
    let urls: Vec<String> = mirrors.iter().map(|mirror| format!("{mirror}{}", file.name)).collect();
    match downloader.fetch(&download, &urls, on_bytes)? {
        Ok(()) => Ok(path),
        Err(reasons) => bail!(Failure::Input(format!(
            "--data {}: {} is not in {} and cannot be downloaded: {}\nPut the set's four files there, or name the \
             folder above theirs with --data-dir, or train on the built-in set: --data digits",
            set.name,
            file.name,
            folder.display(),
            reasons.join("; ")
        ))),
    }
}

/// `part` if its images and labels are those of `set.files[at]` and `set.files[at + 1]`.
fn checked(set: &NamedSet, at: usize, part: Images, sources: &[PathBuf]) -> Result<Images> {
    let (images, labels) = rayon::join(
        || idx::sha256(&[part.len(), part.height, part.width], &part.pixels),
        || idx::sha256(&[part.labels.len()], &part.labels),
    );
    for (at, found) in [(at, images), (at + 1, labels)] {
        let NamedFile { name, sha256, .. } = set.files[at];
        if found != sha256 {
            let path = sources[at].display();
            bail!(Failure::Input(format!(
                "{path}: not the {} of {}: SHA-256 of the content is {found}, expected {sha256}\nTake it away to have \
                 it downloaded, or use the files as they are by naming their folder: --data {}",
                name.trim_end_matches(".gz"),
                set.name,
                sources[at].parent().unwrap_or(&sources[at]).display(),
            )));
        }
    }
    Ok(part)
}
