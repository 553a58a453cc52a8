//! The Hub's parquet files: pictures as encoded bytes in a column of struct<bytes, path>, labels as integers or texts.
//!
//! So `ylecun/mnist`, `zalando-datasets/fashion_mnist` and most labelled image sets of the Hub are stored. The crate is
//! the one that candle-datasets brings; candle's own reader unwraps the decoding, and takes only 28x28 images of MNIST.

use std::fs::File;
use std::path::{Path, PathBuf};

use ::parquet::basic::Type as PhysicalType;
use ::parquet::column::reader::ColumnReader;
use ::parquet::data_type::ByteArray;
use ::parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use anyhow::{Result, bail, ensure};

use super::held_pictures::held;
use super::holding::{Holding, holding};
use super::memory::MemorySize;
use super::parquet_labels::{Labels, is_labels};
use super::parquet_rows::{DecodedRows, EncodedRows, Rows};
use super::picture_place::PicturePlace;
use super::{DataOptions, Dataset, ImageSet, ImageShape, MAX_PIXELS, OnBytes, entries};
use crate::data::guard::guarded;
use crate::data::splits::{Folders, Split};
use crate::data::summary::{Original, refitted};
use crate::error::{Error, legible};

/// Rows that are held encoded and decoded together.
const ROWS: usize = 4096;

/// The folder of parquet files that `directory` is or holds: files directly in it, or in its folder for training (see
/// [`Split::names`]), or in the one folder in it that has files to train on, as the Hub has them (`data`, `plain_text`).
pub fn source(directory: &Path) -> Result<Option<PathBuf>> {
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

/// The set in `directory`, in `shape`: from `train*.parquet`, `val*.parquet` and `test*.parquet`, or all parquet files in
/// its folders of such names ([`Split::names`]); several files follow each other in the order of their names. Without test
/// files the test part is empty. Class names are the labels themselves, sorted, where these are texts; they come from the
/// Hub's own metadata where the files carry them, else from the numbers. The images are held as [`holding()`](super::holding::holding) says.
///
/// [`Error::Input`] where there are no train files, or a file is damaged or has other columns.
pub fn open(directory: &Path, shape: ImageShape, options: &DataOptions, on_bytes: OnBytes) -> Result<Dataset> {
    let train_paths = part(directory, Split::Train)?;
    if train_paths.is_empty() {
        bail!(Error::Input(format!(
            "{}: parquet files, but none to train on; looked for train*.parquet and train/*.parquet",
            directory.display()
        )));
    }
    let parts = [train_paths, part(directory, Split::Validation)?, part(directory, Split::Test)?];
    let claimed = parts.iter().flatten().map(|path| claimed_rows(path)).sum::<Result<u64>>()?;
    let wanted = MemorySize(claimed.saturating_mul(shape.stride() as u64));
    let (holding, note) = holding(wanted, options)?;
    let total = parts.iter().flatten().filter_map(|path| Some(std::fs::metadata(path).ok()?.len())).sum();
    let labels = Labels::of(&parts.iter().flatten().collect::<Vec<_>>(), label_column)?;
    let mut done = 0;
    let mut load = |paths: &[PathBuf]| -> Result<(ImageSet, Vec<Original>)> {
        let most = options.memory().0.max(MAX_PIXELS); // what a file claims may be less than it holds
        let mut rows = match holding {
            Holding::Memory => Rows::Decoded(DecodedRows::new(shape, most)),
            _ => Rows::Encoded(EncodedRows::default()),
        };
        for path in paths {
            guarded(|| read(path, &mut rows, &labels)).map_err(|error| Error::reading(path, error))?;
            done += std::fs::metadata(path).map_or(0, |metadata| metadata.len());
            on_bytes("pictures", done, Some(total));
        }
        let (images, sources) = rows.finish(shape)?;
        Ok((held(images, &holding)?, sources))
    };
    let [train, validation, test] = &parts;
    let (train, sources) = load(train)?;
    let (validation, test) = (load(validation)?.0, load(test)?.0);
    if train.is_empty() {
        bail!(Error::reading(directory, "its parquet files to train on hold no rows"));
    }
    let highest = [&train, &validation, &test].into_iter().filter_map(|part| part.labels().iter().max().copied()).max();
    let class_names = labels.classes(highest.unwrap_or(0), directory)?;
    let mut notes: Vec<String> = refitted("images", &sources, shape.into()).into_iter().collect();
    if holding != Holding::Memory {
        notes.push(format!("{}: {note}", legible(&directory.display().to_string())));
    }
    Ok(Dataset { validation, notes, ..Dataset::new("", class_names, train, test) })
}

/// A picture where it lies, its part and its label.
pub type StoredPicture = (PicturePlace, Split, u32);

/// The pictures of the set in `directory` where they lie, part by part, each with its label; and the names of the classes.
///
/// # Errors
/// As [`open`].
pub fn pictures(directory: &Path) -> Result<(Vec<StoredPicture>, Vec<String>)> {
    let mut pictures = Vec::new();
    let parts = [Split::Train, Split::Validation, Split::Test].map(|split| Ok((split, part(directory, split)?)));
    let parts = parts.into_iter().collect::<Result<Vec<_>>>()?;
    let labels = Labels::of(&parts.iter().flat_map(|(_, paths)| paths).collect::<Vec<_>>(), label_column)?;
    for (split, paths) in parts {
        let mut rows = Rows::Encoded(EncodedRows::default());
        for path in paths {
            guarded(|| read(&path, &mut rows, &labels)).map_err(|error| Error::reading(&path, error))?;
        }
        if let Rows::Encoded(rows) = rows {
            pictures.extend(rows.into_places().map(|(place, label)| (place, split, label)));
        }
    }
    let highest = pictures.iter().map(|(_, _, label)| *label).max().unwrap_or(0);
    Ok((pictures, labels.classes(highest, directory)?))
}

/// The rows that a file claims to have.
fn claimed_rows(path: &Path) -> Result<u64> {
    let rows = guarded(|| {
        let file = SerializedFileReader::new(File::open(path)?)?;
        Ok(u64::try_from(file.metadata().file_metadata().num_rows()).unwrap_or(0))
    });
    rows.map_err(|error| Error::reading(path, error).into())
}

/// The parquet files directly in `directory`, in order; none where there is no such directory.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let mut paths = entries(directory)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "parquet") && path.is_file());
    Ok(paths)
}

/// Which leaf columns hold the pictures' bytes and the labels.
struct Columns {
    bytes: usize,
    label: usize,
}

impl Columns {
    fn find(file: &dyn FileReader) -> Result<Self> {
        let schema = file.metadata().file_metadata().schema_descr();
        let is_bytes = |parts: &[String], kind: PhysicalType| {
            parts.len() == 2 && parts[1] == "bytes" && kind == PhysicalType::BYTE_ARRAY
        };
        let find = |wanted: &dyn Fn(&[String], PhysicalType) -> bool| {
            schema
                .columns()
                .iter()
                .position(|column| column.max_rep_level() == 0 && wanted(column.path().parts(), column.physical_type()))
        };
        match (find(&is_bytes), find(&is_labels)) {
            (Some(bytes), Some(label)) => Ok(Self { bytes, label }),
            _ => {
                let names: Vec<String> = schema.columns().iter().map(|column| column.path().string()).collect();
                bail!(
                    "its columns are {}; expected image.bytes (encoded pictures) and label (integers or texts)",
                    names.join(", ")
                )
            }
        }
    }
}

fn label_column(file: &dyn FileReader) -> Result<usize> {
    Ok(Columns::find(file)?.label)
}

/// Adds the rows of `path` to `rows`.
fn read(path: &Path, rows: &mut Rows, labels: &Labels) -> Result<()> {
    let file = SerializedFileReader::new(File::open(path)?)?;
    let columns = Columns::find(&file)?;
    rows.begin(path, &file, columns.bytes)?;
    for group in 0..file.num_row_groups() {
        read_group(&*file.get_row_group(group)?, group, &columns, (rows, labels))?;
    }
    Ok(())
}

fn read_group(
    group: &dyn RowGroupReader,
    number: usize,
    columns: &Columns,
    (rows, labels): (&mut Rows, &Labels),
) -> Result<()> {
    let ColumnReader::ByteArrayColumnReader(mut pictures) = group.get_column_reader(columns.bytes)? else {
        bail!("the column of pictures holds no bytes");
    };
    let mut label_reader = group.get_column_reader(columns.label)?;
    let mut first = 0;
    loop {
        // Definition levels tell nulls apart; a null leaves the values fewer than the rows.
        let (mut encoded, mut levels): (Vec<ByteArray>, Vec<i16>) = (Vec::new(), Vec::new());
        let (read, values, _) = pictures.read_records(ROWS, Some(&mut levels), None, &mut encoded)?;
        let row_labels = labels.read(&mut label_reader, ROWS)?;
        ensure!(values == read, "a row without a picture after image {}", rows.len());
        ensure!(row_labels.len() == read, "{} labels for {read} pictures after image {}", row_labels.len(), rows.len());
        if read == 0 {
            return Ok(());
        }
        rows.add(&encoded, row_labels, (number, first))?;
        first += read;
    }
}
