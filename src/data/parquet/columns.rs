//! The columns of pictures and labels, and their rows in order.

use std::path::Path;

use ::parquet::basic::Type as PhysicalType;
use ::parquet::column::reader::ColumnReader;
use ::parquet::data_type::ByteArray;
use ::parquet::file::reader::{FileReader, RowGroupReader};
use anyhow::{Result, bail, ensure};

use super::footer;
use super::labels::{Labels, is_labels};
use super::rows::Rows;

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

/// The column of labels of a file.
pub fn of_labels(file: &dyn FileReader) -> Result<usize> {
    Ok(Columns::find(file)?.label)
}

/// Adds the rows of `path` to `rows`.
pub fn read(path: &Path, rows: &mut dyn Rows, labels: &Labels) -> Result<()> {
    let file = footer::open(path)?;
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
    (rows, labels): (&mut dyn Rows, &Labels),
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
