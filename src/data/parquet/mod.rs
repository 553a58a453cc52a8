//! The Hub's parquet files: pictures as encoded bytes in a column of struct<bytes, path>, labels as integers or texts.
//!
//! So `ylecun/mnist`, `zalando-datasets/fashion_mnist` and most labelled image sets of the Hub are stored. The crate is
//! the one that candle-datasets brings; candle's own reader unwraps the decoding, and takes only 28x28 images of MNIST.

mod columns;
mod compact;
mod file;
mod footer;
mod labels;
mod pages;
mod rows;

use std::path::{Path, PathBuf};

use ::parquet::file::reader::FileReader;
use anyhow::{Result, bail};

pub use file::ParquetFile;

use super::broken::left_out;
use super::held_pictures::{decoded_size, held};
use super::holding::{Holding, holding};
use super::memory::MemorySize;
use super::picture_place::PicturePlace;
use super::{DataOptions, Dataset, ImageSet, ImageShape, MAX_PIXELS, OnBytes, TargetShape, entries};
use crate::data::guard::guarded;
use crate::data::splits::{Folders, Split};
use crate::data::summary::{Original, counts, refitted};
use crate::error::{Error, legible};
use labels::Labels;
use rows::{DecodedRows, EncodedRows, ListedRows, Rows};

/// `directory` where it is a parquet file, or the folder of parquet files that it is or holds: files directly in it, or in its folder for training (see
/// [`Split::names`]), or in the one folder in it that has files to train on, as the Hub has them (`data`, `plain_text`).
pub fn source(directory: &Path) -> Result<Option<PathBuf>> {
    if !directory.is_dir() {
        return Ok(files(directory)?.pop());
    }
    if is_source(directory)? {
        return Ok(Some(directory.to_path_buf()));
    }
    let mut found = Vec::new();
    for path in entries(directory)? {
        if path.is_dir() && files(&path)?.iter().any(|file| is_of(file, Split::Train)) {
            found.push(path);
        }
    }
    Ok(found.pop().filter(|_| found.is_empty()))
}

fn is_source(directory: &Path) -> Result<bool> {
    Ok(!files(directory)?.is_empty() || !part(directory, Split::Train)?.is_empty())
}

/// Whether the name of a file begins with one of a split's.
fn is_of(file: &Path, split: Split) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    split.names().iter().any(|begin| name.starts_with(begin))
}

/// The files of a split, in order.
fn part(directory: &Path, split: Split) -> Result<Vec<PathBuf>> {
    let mut paths = files(directory)?;
    let names_a_part = |path: &PathBuf| Split::ALL.into_iter().any(|split| is_of(path, split));
    if split == Split::Train && !paths.iter().any(names_a_part) && !paths.is_empty() {
        return Ok(paths); // of files that name no part all are to train on
    }
    paths.retain(|path| is_of(path, split));
    if !paths.is_empty() || !directory.is_dir() {
        return Ok(paths);
    }
    let folders = Folders::find(directory)?;
    let folder = match split {
        Split::Train => folders.train,
        Split::Validation => folders.validation,
        Split::Test => folders.test,
    };
    folder.map_or(Ok(Vec::new()), |folder| files(&folder))
}

/// The set in `directory`, as `target` says: from `train*.parquet`, `val*.parquet` and `test*.parquet`, or all parquet files
/// in its folders of such names ([`Split::names`]); or, where no name says a part, all files to train on. Several files
/// follow each other in the order of their names. Without test files the test part is empty. Class names are the labels themselves, sorted, where these are texts; they come from
/// the Hub's own metadata where the files carry them, else from the numbers. The images are held as [`holding()`](super::holding::holding) says.
///
/// [`Error::Input`] where there are no train files, or a file is damaged or has other columns.
pub fn open(directory: &Path, target: TargetShape, options: &DataOptions, on_bytes: OnBytes) -> Result<Dataset> {
    let train_paths = part(directory, Split::Train)?;
    if train_paths.is_empty() {
        bail!(Error::Input(format!(
            "{}: parquet files, but none to train on; looked for train*.parquet and train/*.parquet",
            directory.display()
        )));
    }
    let paths = [train_paths, part(directory, Split::Validation)?, part(directory, Split::Test)?];
    let mut files = Files::new(&paths, on_bytes)?;
    files.skips_broken = options.skip_broken;
    let Held { parts: [train, validation, test], sources, note } = match target.keeps_sizes {
        true => originals(&mut files, &paths, target, options)?,
        false => fitted(&mut files, &paths, target.shape, options)?,
    };
    if let (true, Some(first)) = (train.is_empty(), files.broken.first()) {
        let others = format!("cannot be decoded, nor can any other of {} pictures", files.broken.len());
        bail!(Error::reading(Path::new(first), others));
    }
    if train.is_empty() {
        bail!(Error::reading(directory, "its parquet files to train on hold no rows"));
    }
    let highest = [&train, &validation, &test].into_iter().filter_map(|part| part.labels().iter().max().copied()).max();
    let class_names = files.labels.classes(highest.unwrap_or(0), directory)?;
    let of = legible(&directory.display().to_string());
    let mut notes = vec![counts([&train, &validation, &test].map(|part| part.len()), class_names.len())];
    notes.extend(refitted("pictures", &sources, target));
    notes.push(note);
    let notes = notes.into_iter().map(|note| format!("{of}: {note}")).collect();
    let warnings = left_out(files.broken.len(), files.broken).map(|line| format!("{of}: {line}")).into_iter().collect();
    Ok(Dataset { validation, notes, warnings, ..Dataset::new("", class_names, train, test) })
}

/// The images of the parts of a set.
struct Held {
    parts: [ImageSet; 3],
    /// What each image of the first part was before.
    sources: Vec<Original>,
    /// A line that says how they are held.
    note: String,
}

fn fitted(files: &mut Files, paths: &[Vec<PathBuf>; 3], shape: ImageShape, options: &DataOptions) -> Result<Held> {
    let claimed = paths.iter().flatten().map(|path| claimed_rows(path)).sum::<Result<u64>>()?;
    let (holding, note) = holding(MemorySize(claimed.saturating_mul(shape.stride() as u64)), options)?;
    let most = options.memory().0.max(MAX_PIXELS); // what a file claims may be less than it holds
    let mut load = |paths: &[PathBuf]| -> Result<(ImageSet, Vec<Original>)> {
        if holding == Holding::Memory {
            return files.read(paths, DecodedRows::fitted(shape, most))?.finish();
        }
        let (images, sources) = files.read(paths, EncodedRows::default())?.finish(shape.into())?;
        Ok((held(images, &holding)?, sources))
    };
    let [train, validation, test] = paths;
    let (train, sources) = load(train)?;
    Ok(Held { parts: [train, load(validation)?.0, load(test)?.0], sources, note })
}

/// All are read to learn their sizes first. Those that fit into memory are read once more, since single rows are slow to
/// find.
fn originals(files: &mut Files, paths: &[Vec<PathBuf>; 3], target: TargetShape, options: &DataOptions) -> Result<Held> {
    let [train, validation, test] = paths;
    let mut encoded = |paths: &[PathBuf]| files.read(paths, EncodedRows::default())?.finish(target);
    let (of_train, sources) = encoded(train)?;
    let parts = [of_train, encoded(validation)?.0, encoded(test)?.0];
    let (holding, note) = holding(decoded_size(&parts), options)?;
    let mut again = Files::new(paths, &|_, _, _| ())?;
    again.skips_broken = files.skips_broken;
    let mut load = |images: ImageSet, paths: &[PathBuf]| match holding {
        _ if images.is_empty() => Ok(images),
        Holding::Memory => Ok(again.read(paths, DecodedRows::originals(&images))?.finish()?.0),
        _ => held(images, &holding),
    };
    let [of_train, of_validation, of_test] = parts;
    let parts = [load(of_train, train)?, load(of_validation, validation)?, load(of_test, test)?];
    Ok(Held { parts, sources, note })
}

/// Reads the files of a set.
struct Files<'a> {
    labels: Labels,
    /// Bytes that are read, of so many.
    done: u64,
    total: u64,
    on_bytes: OnBytes<'a>,
    /// Whether rows whose pictures cannot be decoded are left out, and the names of those that were.
    skips_broken: bool,
    broken: Vec<String>,
}

impl<'a> Files<'a> {
    fn new(paths: &[Vec<PathBuf>; 3], on_bytes: OnBytes<'a>) -> Result<Self> {
        let total = paths.iter().flatten().map(|path| bytes(path)).sum();
        let labels = Labels::of(&paths.iter().flatten().collect::<Vec<_>>(), columns::of_labels)?;
        Ok(Self { labels, done: 0, total, on_bytes, skips_broken: false, broken: Vec::new() })
    }

    /// Adds the rows of these files to `rows`.
    fn read<R: Rows>(&mut self, paths: &[PathBuf], mut rows: R) -> Result<R> {
        for path in paths {
            let broken = self.skips_broken.then_some(&mut self.broken);
            guarded(|| columns::read(path, &mut rows, &self.labels, broken)).map_err(|error| of_file(path, error))?;
            self.done += bytes(path);
            (self.on_bytes)("pictures", self.done, Some(self.total));
        }
        Ok(rows)
    }
}

/// An error of reading the file `path`.
fn of_file(path: &Path, error: anyhow::Error) -> Error {
    match error.downcast() {
        Ok(Error::BrokenPicture { path: image, problem }) => Error::BrokenPicture { path: path.join(image), problem },
        Ok(error) => Error::reading(path, error),
        Err(error) => Error::reading(path, error),
    }
}

fn bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// A picture where it lies, its part and its label.
pub type StoredPicture = (PicturePlace, Split, u32);

/// The pictures of the set in `directory` where they lie, part by part, each with its label; and the names of the classes.
///
/// # Errors
/// As [`open`].
pub fn pictures(directory: &Path) -> Result<(Vec<StoredPicture>, Vec<String>)> {
    let splits = [Split::Train, Split::Validation, Split::Test];
    let paths = [part(directory, splits[0])?, part(directory, splits[1])?, part(directory, splits[2])?];
    let mut files = Files::new(&paths, &|_, _, _| ())?;
    let mut pictures = Vec::new();
    for (split, paths) in splits.into_iter().zip(&paths) {
        let rows = files.read(paths, ListedRows::default())?;
        pictures.extend(rows.places.into_iter().map(|(place, label)| (place, split, label)));
    }
    let highest = pictures.iter().map(|(_, _, label)| *label).max().unwrap_or(0);
    Ok((pictures, files.labels.classes(highest, directory)?))
}

/// The rows that a file claims to have.
fn claimed_rows(path: &Path) -> Result<u64> {
    let rows = guarded(|| {
        let file = footer::open(path)?;
        Ok(u64::try_from(file.metadata().file_metadata().num_rows()).unwrap_or(0))
    });
    rows.map_err(|error| Error::reading(path, error).into())
}

/// The parquet files directly in `directory`, in order, or the file itself that is one; none where there is neither.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = if directory.is_dir() { entries(directory)? } else { vec![directory.to_path_buf()] };
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "parquet") && path.is_file());
    Ok(paths)
}
