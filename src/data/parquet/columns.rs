//! The columns of pictures and labels, and their rows in order.

use std::path::Path;

use ::parquet::basic::Type as PhysicalType;
use ::parquet::column::reader::ColumnReader;
use ::parquet::data_type::ByteArray;
use ::parquet::file::reader::{FileReader, RowGroupReader};
use anyhow::{Result, anyhow, bail, ensure};

use super::footer;
use super::rows::Rows;
use crate::data::MAX_CLASSES;

/// Rows that are held encoded and taken together: of photos this is a hundred megabytes.
const ROWS: usize = 512;

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
                bail!(
                    "its columns are {}; expected image.bytes (encoded pictures) and label (integers)",
                    names.join(", ")
                )
            }
        }
    }
}

/// Adds the rows of `path` to `rows`.
pub fn read(path: &Path, rows: &mut dyn Rows, class_names: &mut Vec<String>) -> Result<()> {
    let file = footer::open(path)?;
    let columns = Columns::find(&file)?;
    if class_names.is_empty() {
        *class_names = hub_class_names(&file).unwrap_or_default();
    }
    rows.begin(path, &file, columns.bytes)?;
    for group in 0..file.num_row_groups() {
        read_group(&*file.get_row_group(group)?, group, &columns, rows)?;
    }
    Ok(())
}

fn read_group(group: &dyn RowGroupReader, number: usize, columns: &Columns, rows: &mut dyn Rows) -> Result<()> {
    let ColumnReader::ByteArrayColumnReader(mut pictures) = group.get_column_reader(columns.bytes)? else {
        bail!("the column of pictures holds no bytes");
    };
    let mut labels = group.get_column_reader(columns.label)?;
    let mut first = 0;
    loop {
        // Definition levels tell nulls apart; a null leaves the values fewer than the rows.
        let (mut encoded, mut levels): (Vec<ByteArray>, Vec<i16>) = (Vec::new(), Vec::new());
        let (read, values, _) = pictures.read_records(ROWS, Some(&mut levels), None, &mut encoded)?;
        let row_labels = read_labels(&mut labels, ROWS)?;
        ensure!(values == read, "a row without a picture after image {}", rows.len());
        ensure!(row_labels.len() == read, "{} labels for {read} pictures after image {}", row_labels.len(), rows.len());
        if read == 0 {
            return Ok(());
        }
        rows.add(&encoded, row_labels, (number, first))?;
        first += read;
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

/// The names that the Hub's `datasets` library writes into its files: `info.features.label.names`.
fn hub_class_names(file: &dyn FileReader) -> Option<Vec<String>> {
    let pairs = file.metadata().file_metadata().key_value_metadata()?;
    let text = pairs.iter().find(|pair| pair.key == "huggingface")?.value.as_ref()?;
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    let names = json.pointer("/info/features/label/names")?.as_array()?;
    names.iter().take(MAX_CLASSES as usize).map(|name| Some(name.as_str()?.to_string())).collect()
}
