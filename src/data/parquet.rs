//! The Hub's parquet files: pictures as encoded bytes in a column of struct<bytes, path>, labels as integers.
//!
//! So `ylecun/mnist`, `zalando-datasets/fashion_mnist` and most labelled image sets of the Hub are stored. The crate is
//! the one that candle-datasets brings; candle's own reader unwraps the decoding, and takes only 28x28 images of MNIST.

use std::cell::Cell;
use std::fs::File;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Once;

use ::parquet::basic::Type as PhysicalType;
use ::parquet::column::reader::ColumnReader;
use ::parquet::data_type::ByteArray;
use ::parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use anyhow::{Result, anyhow, bail, ensure};
use rayon::prelude::*;

use super::{Dataset, ImageShape, Images, MAX_CLASSES, MAX_PIXELS, entries, picture};
use crate::error::Failure;

/// Rows that are held encoded and decoded together.
const ROWS: usize = 4096;

/// Whether `directory` is meant as one of parquet files: it has one, or its folder `train` has.
pub fn is_source(directory: &Path) -> Result<bool> {
    Ok(!files(directory)?.is_empty() || !files(&directory.join("train"))?.is_empty())
}

/// The set in `directory`, in `shape`: from `train*.parquet` and `test*.parquet`, or all parquet files in its folders
/// `train` and `test`; several files follow each other in the order of their names. Without test files the test part
/// is empty. Class names come from the Hub's own metadata where the files carry them, else from the numbers.
///
/// [`Failure::Input`] where there are no train files, or a file is damaged or has other columns.
pub fn open(directory: &Path, shape: ImageShape) -> Result<Dataset> {
    let part = |name: &str| -> Result<Vec<PathBuf>> {
        let mut paths = files(directory)?;
        paths.retain(|path| path.file_name().is_some_and(|file| file.as_encoded_bytes().starts_with(name.as_bytes())));
        if paths.is_empty() { files(&directory.join(name)) } else { Ok(paths) }
    };
    let train_paths = part("train")?;
    if train_paths.is_empty() {
        bail!(Failure::Input(format!(
            "{}: parquet files, but none to train on; looked for train*.parquet and train/*.parquet",
            directory.display()
        )));
    }
    let mut class_names = Vec::new();
    let mut load = |paths: &[PathBuf]| -> Result<Images> {
        let mut images = Images::empty(shape);
        for path in paths {
            guarded(|| read(path, &mut images, &mut class_names)).map_err(|error| Failure::reading(path, error))?;
        }
        Ok(images)
    };
    let (train, test) = (load(&train_paths)?, load(&part("test")?)?);
    if train.is_empty() {
        bail!(Failure::reading(directory, "its parquet files to train on hold no rows"));
    }
    let highest = train.labels.iter().chain(&test.labels).copied().max().unwrap_or(0);
    if class_names.is_empty() {
        class_names = (0..=highest).map(|class| class.to_string()).collect();
    } else if highest as usize >= class_names.len() {
        let text =
            format!("the label {highest}, where its parquet files name {} classes, from 0 on", class_names.len());
        bail!(Failure::reading(directory, text));
    }
    Ok(Dataset::new("", class_names, train, test))
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

/// Runs `read` and makes an error of a panic: the parquet crate's column readers assert where a file is damaged. The
/// panic's own message is kept off stderr, on this thread and while it runs only.
fn guarded(read: impl FnOnce() -> Result<()>) -> Result<()> {
    thread_local!(static QUIET: Cell<bool> = const { Cell::new(false) });
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                hook(info)
            }
        }));
    });
    QUIET.set(true);
    // What `read` may leave half done is thrown away with the error.
    let outcome = panic::catch_unwind(AssertUnwindSafe(read));
    QUIET.set(false);
    outcome.unwrap_or_else(|_| bail!("damaged; copy or download it again"))
}

/// Which leaf columns hold the pictures' bytes and the labels.
struct Columns {
    bytes: usize,
    label: usize,
}

impl Columns {
    fn find(file: &dyn FileReader) -> Result<Self> {
        let schema = file.metadata().file_metadata().schema_descr();
        let is_label = |parts: &[String], kind: PhysicalType| {
            parts.len() == 1
                && ["label", "labels"].contains(&parts[0].as_str())
                && matches!(kind, PhysicalType::INT32 | PhysicalType::INT64)
        };
        let is_bytes = |parts: &[String], kind: PhysicalType| {
            parts.len() == 2 && parts[1] == "bytes" && kind == PhysicalType::BYTE_ARRAY
        };
        let find = |wanted: &dyn Fn(&[String], PhysicalType) -> bool| {
            schema
                .columns()
                .iter()
                .position(|column| column.max_rep_level() == 0 && wanted(column.path().parts(), column.physical_type()))
        };
        match (find(&is_bytes), find(&is_label)) {
            (Some(bytes), Some(label)) => Ok(Self { bytes, label }),
            _ => {
                let names: Vec<String> = schema.columns().iter().map(|column| column.path().string()).collect();
                bail!("its columns are {}; expected image.bytes (PNG or JPEG) and label (integers)", names.join(", "))
            }
        }
    }
}

/// Adds the rows of `path` to `images`.
fn read(path: &Path, images: &mut Images, class_names: &mut Vec<String>) -> Result<()> {
    let file = SerializedFileReader::new(File::open(path)?)?;
    let columns = Columns::find(&file)?;
    if class_names.is_empty() {
        *class_names = hub_class_names(&file).unwrap_or_default();
    }
    for group in 0..file.num_row_groups() {
        read_group(&*file.get_row_group(group)?, &columns, images)?;
    }
    Ok(())
}

fn read_group(group: &dyn RowGroupReader, columns: &Columns, images: &mut Images) -> Result<()> {
    let ColumnReader::ByteArrayColumnReader(mut pictures) = group.get_column_reader(columns.bytes)? else {
        bail!("the column of pictures holds no bytes");
    };
    let mut labels = group.get_column_reader(columns.label)?;
    loop {
        // Definition levels tell nulls apart; a null leaves the values fewer than the rows.
        let (mut encoded, mut levels): (Vec<ByteArray>, Vec<i16>) = (Vec::new(), Vec::new());
        let (rows, values, _) = pictures.read_records(ROWS, Some(&mut levels), None, &mut encoded)?;
        let row_labels = read_labels(&mut labels, ROWS)?;
        ensure!(values == rows, "a row without a picture after image {}", images.len());
        ensure!(
            row_labels.len() == rows,
            "{} labels for {rows} pictures after image {}",
            row_labels.len(),
            images.len()
        );
        if rows == 0 {
            return Ok(());
        }
        decode(&encoded, images)?;
        images.labels.extend(row_labels);
    }
}

fn read_labels(reader: &mut ColumnReader, rows: usize) -> Result<Vec<u32>> {
    let (mut wide, mut narrow, mut levels) = (Vec::<i64>::new(), Vec::<i32>::new(), Vec::new());
    let (rows, values, _) = match reader {
        ColumnReader::Int64ColumnReader(reader) => reader.read_records(rows, Some(&mut levels), None, &mut wide)?,
        ColumnReader::Int32ColumnReader(reader) => reader.read_records(rows, Some(&mut levels), None, &mut narrow)?,
        _ => bail!("the labels are no integers"),
    };
    ensure!(values == rows, "a row without a label");
    wide.extend(narrow.into_iter().map(i64::from));
    let label = |label: i64| {
        u32::try_from(label)
            .ok()
            .filter(|label| *label < MAX_CLASSES)
            .ok_or_else(|| anyhow!("label {label}; expected 0 to {}", MAX_CLASSES - 1))
    };
    wide.into_iter().map(label).collect()
}

/// Decodes pictures on all threads and adds their pixels in order.
fn decode(encoded: &[ByteArray], images: &mut Images) -> Result<()> {
    let (shape, first) = (images.shape(), images.len());
    let begin = images.pixels.len();
    let bytes = begin + encoded.len() * shape.stride();
    ensure!(bytes as u64 <= MAX_PIXELS, "more than {} GiB of pixels; use fewer rows", MAX_PIXELS >> 30);
    images.pixels.resize(bytes, 0);
    let outcomes: Vec<Result<()>> = images.pixels[begin..]
        .par_chunks_mut(shape.stride())
        .zip(encoded)
        .enumerate()
        .map(|(row, (pixels, encoded))| {
            let image = picture::decode(encoded.data())
                .map_err(|error| anyhow!("image {} cannot be decoded: {error}", first + row))?;
            picture::fit_into(image, shape, pixels)
        })
        .collect();
    outcomes.into_iter().collect()
}

/// The names that the Hub's `datasets` library writes into its files: `info.features.label.names`.
fn hub_class_names(file: &dyn FileReader) -> Option<Vec<String>> {
    let pairs = file.metadata().file_metadata().key_value_metadata()?;
    let text = pairs.iter().find(|pair| pair.key == "huggingface")?.value.as_ref()?;
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    let names = json.pointer("/info/features/label/names")?.as_array()?;
    names.iter().take(MAX_CLASSES as usize).map(|name| Some(name.as_str()?.to_string())).collect()
}
