//! The columns of pictures and labels, and their rows in order.

use std::path::Path;

use ::parquet::basic::Type as PhysicalType;
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::{ByteArray, ByteArrayType};
use ::parquet::file::reader::{FileReader, RowGroupReader};
use ::parquet::schema::types::ColumnDescPtr;
use anyhow::{Result, bail, ensure};
use rayon::prelude::*;

use super::labels::{Labels, is_labels};
use super::rows::Rows;
use super::{footer, pages};
use crate::data::picture;
use crate::error::legible;

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
                let column =
                    |column: &ColumnDescPtr| format!("{} ({})", column.path().string(), column.physical_type());
                let columns: Vec<String> = schema.columns().iter().map(column).collect();
                bail!(
                    "its columns are {}; expected image.bytes (encoded pictures) and label (integers or texts)",
                    legible(&columns.join(", "))
                )
            }
        }
    }
}

/// The column of labels of a file.
pub fn of_labels(file: &dyn FileReader) -> Result<usize> {
    Ok(Columns::find(file)?.label)
}

/// Adds the rows of `path` to `rows`; those whose pictures cannot be decoded to `broken`, where that is given, by their names.
pub fn read(path: &Path, rows: &mut dyn Rows, labels: &Labels, mut broken: Option<&mut Vec<String>>) -> Result<()> {
    let file = footer::open(path)?;
    let columns = Columns::find(&file)?;
    pages::vet(path, &file, &[columns.bytes, columns.label])?;
    rows.begin(path, &file, columns.bytes)?;
    let mut before = 0;
    for number in 0..file.num_row_groups() {
        let group = file.get_row_group(number)?;
        let mut reader = GroupReader::new(&*group, &columns)?;
        while let Some((mut pictures, mut of_pictures)) = reader.next(labels, rows.len())? {
            let mut places: Vec<usize> = (reader.first..reader.first + pictures.len()).collect();
            if let Some(broken) = broken.as_deref_mut() {
                let are_whole: Vec<bool> =
                    pictures.par_iter().map(|encoded| picture::decode(encoded.data()).is_ok()).collect();
                let name = |place: &usize| path.join(format!("row {}", before + place)).display().to_string();
                let of_broken = places.iter().zip(&are_whole).filter(|(_, is_whole)| !**is_whole);
                broken.extend(of_broken.map(|(place, _)| name(place)));
                retain(&mut pictures, &are_whole);
                retain(&mut of_pictures, &are_whole);
                retain(&mut places, &are_whole);
            }
            rows.add(&pictures, of_pictures, (number, &places))?;
        }
        before += reader.end();
    }
    Ok(())
}

fn retain<T>(items: &mut Vec<T>, are_kept: &[bool]) {
    let mut are_kept = are_kept.iter();
    items.retain(|_| are_kept.next() == Some(&true));
}

/// Goes through a row group.
struct GroupReader {
    pictures: ColumnReaderImpl<ByteArrayType>,
    labels: ColumnReader,
    /// The row that the last ones begin with.
    first: usize,
    /// How many these are.
    read: usize,
}

impl GroupReader {
    fn new(group: &dyn RowGroupReader, columns: &Columns) -> Result<Self> {
        let ColumnReader::ByteArrayColumnReader(pictures) = group.get_column_reader(columns.bytes)? else {
            bail!("the column of pictures holds no bytes");
        };
        Ok(Self { pictures, labels: group.get_column_reader(columns.label)?, first: 0, read: 0 })
    }

    /// The rows that were read so far.
    fn end(&self) -> usize {
        self.first + self.read
    }

    /// The next pictures and their labels; `None` after the last. They follow on `image` others.
    fn next(&mut self, labels: &Labels, image: usize) -> Result<Option<(Vec<ByteArray>, Vec<u32>)>> {
        // Definition levels tell nulls apart; a null leaves the values fewer than the rows.
        let (mut encoded, mut levels): (Vec<ByteArray>, Vec<i16>) = (Vec::new(), Vec::new());
        let (read, values, _) = self.pictures.read_records(ROWS, Some(&mut levels), None, &mut encoded)?;
        let of_pictures = labels.read(&mut self.labels, ROWS)?;
        ensure!(values == read, "a row without a picture after image {image}");
        ensure!(of_pictures.len() == read, "{} labels for {read} pictures after image {image}", of_pictures.len());
        (self.first, self.read) = (self.end(), read);
        Ok((read > 0).then_some((encoded, of_pictures)))
    }
}
