//! Data sets: images as u8 in memory, from the program itself, from files, or downloaded.

pub mod augment;
pub mod batches;
pub mod catalogue;
pub mod cifar;
mod claim;
pub mod digits;
pub mod download;
pub mod folder;
mod given_images;
mod guard;
pub mod identity;
pub mod idx;
pub mod named;
pub mod npy;
pub mod parquet;
pub mod parts;
pub mod picture;
pub mod placed;
pub mod shapes;
pub mod splits;
pub mod summary;
pub mod supply;
pub mod test_part;
mod tiff;
pub mod views;
#[cfg(feature = "candle-datasets")]
pub mod vision;
mod walk;
pub mod warp;

pub use crate::image_shape::ImageShape;
pub use given_images::{GivenImages, read_images};
#[doc(hidden)]
pub use guard::silence_decoder_panics;
use std::path::Path;

use anyhow::{Result, bail};
use rayon::prelude::*;

use crate::error::Failure;
use summary::Source;
use test_part::TestPart;

/// The most pixels (bytes) that one part of a data set may hold in memory: 4 GiB. A file that claims more is refused.
pub const MAX_PIXELS: u64 = 4 << 30;

/// The most classes that a set may have. A file that claims more is refused.
pub const MAX_CLASSES: u32 = 1 << 16;

/// Called while bytes arrive: file name, bytes so far, total if known.
pub type OnBytes<'a> = &'a dyn Fn(&str, u64, Option<u64>);

/// A set of images of one size, row after row, channels last, with a class for each where it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// (N, height, width, channels)
    pub pixels: Vec<u8>,
    /// One class index an image; empty where the source has no labels.
    pub labels: Vec<u32>,
}

impl Images {
    /// No images, of `shape`.
    pub fn empty(shape: ImageShape) -> Self {
        let ImageShape { height, width, channels } = shape;
        Self { height, width, channels, pixels: Vec::new(), labels: Vec::new() }
    }

    pub fn shape(&self) -> ImageShape {
        ImageShape { height: self.height, width: self.width, channels: self.channels }
    }

    /// Bytes an image.
    pub fn stride(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.pixels.len() / self.stride().max(1)
    }

    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// The first `count` images and their labels, or all where there are fewer.
    pub fn first(&self, count: usize) -> Self {
        let count = count.min(self.len());
        let pixels = self.pixels[..count * self.stride()].to_vec();
        let labels = self.labels[..count.min(self.labels.len())].to_vec();
        Self { pixels, labels, ..Self::empty(self.shape()) }
    }

    /// The images at `indices`, in their order, with their labels. An index must be below [`len`](Self::len).
    pub fn select(&self, indices: &[u32]) -> Self {
        let stride = self.stride();
        let mut pixels = Vec::with_capacity(indices.len() * stride);
        for &index in indices {
            pixels.extend_from_slice(&self.pixels[index as usize * stride..][..stride]);
        }
        let labels = match self.labels.is_empty() {
            true => Vec::new(),
            false => indices.iter().map(|index| self.labels[*index as usize]).collect(),
        };
        Self { pixels, labels, ..Self::empty(self.shape()) }
    }

    /// The images in `shape`: themselves where they have it, else cropped, resized and converted as
    /// [`picture::fit_into`] says. [`Failure::Input`] where they would take more than [`MAX_PIXELS`].
    pub fn fit(self, shape: ImageShape) -> Result<Self> {
        if self.shape() == shape {
            return Ok(self);
        }
        let mut pixels = room(self.len(), shape)?;
        pixels.par_chunks_mut(shape.stride()).zip(self.pixels.par_chunks(self.stride())).try_for_each(
            |(fitted, pixels)| {
                let image = picture::from_pixels(pixels, self.shape())?;
                picture::fit_into(image, shape, fitted)
            },
        )?;
        Ok(Self { pixels, labels: self.labels, ..Self::empty(shape) })
    }
}

/// Zeroed pixels for `count` images of `shape`; [`Failure::Input`] above [`MAX_PIXELS`].
fn room(count: usize, shape: ImageShape) -> Result<Vec<u8>> {
    match count.checked_mul(shape.stride()) {
        Some(bytes) if bytes as u64 <= MAX_PIXELS => Ok(vec![0; bytes]),
        _ => bail!(Failure::Input(format!(
            "--data: {count} images of {}x{}x{} take more than {} GiB of memory; use fewer",
            shape.height,
            shape.width,
            shape.channels,
            MAX_PIXELS >> 30
        ))),
    }
}

/// A data set: its name, its classes, what to train on and what to test on.
#[derive(Clone, Debug)]
pub struct Dataset {
    pub name: String,
    /// Class names in the order of the label values; empty where the source has no labels.
    pub classes: Vec<String>,
    pub train: Images,
    /// The part that the set itself keeps apart for choices made during training; empty where it has none, and one is
    /// split off the training images.
    pub validation: Images,
    /// Empty where the source has no test part.
    pub test: Images,
    /// The part of the training images that was held out to be [`test`](Self::test), where the set brings none.
    pub held_out_to_test: Option<TestPart>,
    /// Whether the first N images are what the literature takes for N images: so of the named and the built-in sets, whose
    /// order is known to be fair. Of every other set a part is a fixed choice that holds every class in proportion.
    pub is_canonical: bool,
    /// What the user should know of how the set was read, a line each: files that were passed over, for instance.
    pub notes: Vec<String>,
    /// What is probably not as the user wants it, a line or two each: pictures that show nothing, for instance.
    pub warnings: Vec<String>,
}

impl Dataset {
    /// A set without a validation part of its own, in an order that nobody vouches for.
    pub fn new(name: impl Into<String>, classes: Vec<String>, train: Images, test: Images) -> Self {
        let validation = Images::empty(train.shape());
        let (name, notes, warnings) = (name.into(), Vec::new(), Vec::new());
        let (held_out_to_test, is_canonical) = (None, false);
        Self { name, classes, train, validation, test, held_out_to_test, is_canonical, notes, warnings }
    }

    /// As [`Dataset::new`], of a named or built-in set.
    fn canonical(name: &str, classes: Vec<String>, train: Images, test: Images) -> Self {
        Self { is_canonical: true, ..Self::new(name, classes, train, test) }
    }

    /// All parts in `shape`; see [`Images::fit`].
    pub fn fit(self, shape: ImageShape) -> Result<Self> {
        let mut notes = self.notes;
        notes.extend(summary::refitted("images", &[Source::of(self.train.shape())], shape));
        let (train, validation, test) = (self.train.fit(shape)?, self.validation.fit(shape)?, self.test.fit(shape)?);
        Ok(Self { train, validation, test, notes, ..self })
    }
}

/// Opens the data set that `--data` names.
///
/// `spec` is `digits`, `shapes`, a name of [`catalogue::SETS`] (`mnist`, `fashion-mnist`, `cifar10`; other spellings of
/// one, such as `MNIST`, where no directory is called so), or a directory (one of such a name is given as `./mnist`): of
/// IDX files ([`idx::open`]), of CIFAR-10's batches or their archive, which may also be named itself ([`cifar::open`]),
/// of the Hub's parquet files ([`parquet::open`]) or of pictures ([`folder::open`]), which is found out by the names in
/// it. `data_dir` is where named sets lie, each in a folder of its own name, or are downloaded to; without it, the user's
/// cache directory ([`named::cache_dir`]). The images come out in `shape`. The variable [`named::MIRROR_VARIABLE`] names a
/// mirror to use in place of the known ones.
///
/// [`Failure::Input`] where there is nothing of that name, or it is damaged; [`Failure::Storage`] where a download
/// cannot be written.
pub fn open(spec: &str, data_dir: Option<&Path>, shape: ImageShape, on_bytes: OnBytes) -> Result<Dataset> {
    let mut dataset = match known(spec) {
        Some(Known::Digits) => {
            let (train, test) = rayon::join(digits::train, digits::test);
            let classes = (0..10).map(|digit| digit.to_string()).collect();
            Dataset::canonical(DIGITS, classes, train, test).fit(shape)?
        }
        Some(Known::Shapes) => {
            let (train, test) = rayon::join(shapes::train, shapes::test);
            let classes = shapes::CLASSES.map(str::to_string).to_vec();
            Dataset::canonical(SHAPES, classes, train, test).fit(shape)?
        }
        Some(Known::Named(set)) => named::open(set, data_dir, on_bytes)?.fit(shape)?,
        None => {
            let directory = Path::new(spec);
            Dataset { name: directory_name(directory), ..open_path(directory, data_dir, shape)? }
        }
    };
    dataset.warnings.extend(summary::emptiness(&dataset.train));
    Ok(dataset)
}

const DIGITS: &str = "digits";
const SHAPES: &str = "shapes";

/// A set that has a name.
enum Known {
    Digits,
    Shapes,
    Named(&'static catalogue::NamedSet),
}

/// The set of that name, or, where nothing else is called so, of a name that differs in capitals, hyphens and the like.
fn known(spec: &str) -> Option<Known> {
    let find = |is_meant: &dyn Fn(&str) -> bool| match catalogue::SETS.iter().find(|set| is_meant(set.name)) {
        Some(set) => Some(Known::Named(set)),
        None if is_meant(DIGITS) => Some(Known::Digits),
        None => is_meant(SHAPES).then_some(Known::Shapes),
    };
    let is_free = || !spec.contains(std::path::is_separator) && !Path::new(spec).exists();
    find(&|name| name == spec).or_else(|| is_free().then(|| find(&|name| is_spelling(spec, name)))?)
}

/// Whether `text` is `name` but for capitals and signs: `Cifar-10`, `FashionMNIST`.
fn is_spelling(text: &str, name: &str) -> bool {
    let letters = |text: &str| text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    letters(text) == letters(name)
}

fn open_path(directory: &Path, data_dir: Option<&Path>, shape: ImageShape) -> Result<Dataset> {
    if let Some(source) = cifar::find(directory)? {
        return cifar::open(&source)?.fit(shape);
    }
    if !directory.is_dir() {
        bail!(no_directory(directory, data_dir));
    }
    if let Some(hint) = cifar::python_hint(directory) {
        bail!(Failure::Input(format!("--data {}: {hint}", directory.display())));
    }
    if let Some(folder) = idx::source(directory)? {
        return idx::open(&folder)?.fit(shape);
    }
    match parquet::source(directory)? {
        Some(folder) => parquet::open(&folder, shape),
        None => folder::open(directory, shape),
    }
}

fn no_directory(path: &Path, data_dir: Option<&Path>) -> Failure {
    let names: Vec<&str> = [DIGITS, SHAPES].into_iter().chain(catalogue::SETS.iter().map(|set| set.name)).collect();
    let meant = data_dir.map(|data_dir| data_dir.join(path)).filter(|path| path.exists());
    let found = match meant {
        Some(meant) => format!("no such directory here; the one in --data-dir is --data {}", meant.display()),
        None if path.exists() => "a file, where a directory is expected (or CIFAR-10's .tar.gz)".to_string(),
        None => "no data set and no directory".to_string(),
    };
    Failure::Input(format!(
        "--data {}: {found}\nThe data sets are: {}. A directory holds IDX files (MNIST's names), CIFAR-10's binary batches \
         or their .tar.gz, the Hub's parquet files, or pictures in one folder a class ({}).",
        path.display(),
        names.join(", "),
        picture::FORMAT_NAMES
    ))
}

/// The last part of the path, with `.` and `..` resolved.
fn directory_name(directory: &Path) -> String {
    let resolved = directory.canonicalize().unwrap_or_else(|_| directory.to_path_buf());
    resolved.file_name().unwrap_or(directory.as_os_str()).to_string_lossy().into_owned()
}

/// Names that systems and archives leave among people's files, in lower case.
const LITTER: [&str; 8] = [
    "__macosx",
    "@eadir",
    "lost+found",
    "$recycle.bin",
    "system volume information",
    "thumbs.db",
    "desktop.ini",
    "icon\r",
];

/// The names in `directory` with their paths, hidden ones and [`LITTER`] left out, sorted by name: the order never depends
/// on the file system.
fn entries(directory: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut paths = std::fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>())
        .map_err(|error| Failure::reading(directory, error))?;
    let is_meant = |name: &std::ffi::OsStr| {
        !name.as_encoded_bytes().starts_with(b".") && !LITTER.iter().any(|litter| name.eq_ignore_ascii_case(litter))
    };
    paths.retain(|path| path.file_name().is_some_and(is_meant));
    paths.sort();
    Ok(paths)
}
