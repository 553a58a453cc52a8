//! The labels of parquet files: numbers, whose names the Hub's metadata may say, or the names themselves.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use ::parquet::basic::Type as PhysicalType;
use ::parquet::column::reader::ColumnReader;
use ::parquet::data_type::ByteArray;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use anyhow::{Result, anyhow, bail, ensure};

use super::{footer, pages};
use crate::data::MAX_CLASSES;
use crate::data::guard::guarded;
use crate::error::{Error, legible};

/// What the column of labels may be called.
pub const COLUMNS: [&str; 2] = ["label", "labels"];

/// Labels that are looked at together.
const ROWS: usize = 4096;

/// The longest label that is a text, in bytes.
const LONGEST: usize = 256;

/// Whether a column may hold labels.
pub fn is_labels(path: &[String], kind: PhysicalType) -> bool {
    let [name] = path else { return false };
    let kinds = [PhysicalType::INT32, PhysicalType::INT64, PhysicalType::BYTE_ARRAY];
    COLUMNS.contains(&name.as_str()) && kinds.contains(&kind)
}

/// How the files of a set say the classes of their pictures.
#[derive(Debug, Default)]
pub struct Labels {
    /// Names of the classes: those that the Hub's metadata declares, or all labels that are texts, sorted. Empty where labels
    /// are mere numbers.
    names: Vec<String>,
    are_texts: bool,
}

impl Labels {
    /// Of the files at `paths`; `column` finds theirs.
    ///
    /// # Errors
    /// [`Error::Input`] where a file is damaged, where they declare different names, or where the labels of some are texts
    /// and those of others are none.
    pub fn of(paths: &[&PathBuf], column: impl Fn(&dyn FileReader) -> Result<usize>) -> Result<Self> {
        let (mut declared, mut texts) = (Vec::<String>::new(), BTreeSet::new());
        let mut are_texts = None;
        for path in paths {
            guarded(|| {
                let file = footer::open(path)?;
                let column = column(&file)?;
                let of_file = file.metadata().file_metadata().schema_descr().column(column).physical_type()
                    == PhysicalType::BYTE_ARRAY;
                ensure!(*are_texts.get_or_insert(of_file) == of_file, "some files have texts as labels, some numbers");
                if of_file {
                    pages::vet(path, &file, &[column])?;
                    return collect(&file, column, &mut texts);
                }
                let names = declared_names(&file).unwrap_or_default();
                ensure!(
                    declared.is_empty() || names.is_empty() || declared == names,
                    "its classes have other names, or another order, than those of the files before"
                );
                if declared.is_empty() {
                    declared = names;
                }
                Ok(())
            })
            .map_err(|error| Error::reading(path, error))?;
        }
        let are_texts = are_texts.unwrap_or(false);
        Ok(Self { names: if are_texts { texts.into_iter().collect() } else { declared }, are_texts })
    }

    /// The next `rows` labels of a column.
    ///
    /// # Errors
    /// Where one is missing, or is of no class.
    pub fn read(&self, reader: &mut ColumnReader, rows: usize) -> Result<Vec<u32>> {
        if self.are_texts {
            let label = |text: String| match self.names.binary_search(&text) {
                Ok(label) => Ok(label as u32),
                Err(_) => bail!("the label {} was not there before", legible(&text)),
            };
            return read_texts(reader, rows)?.into_iter().map(label).collect();
        }
        let (mut wide, mut narrow, mut levels) = (Vec::<i64>::new(), Vec::<i32>::new(), Vec::new());
        let (rows, values, _) = match reader {
            ColumnReader::Int64ColumnReader(reader) => reader.read_records(rows, Some(&mut levels), None, &mut wide)?,
            ColumnReader::Int32ColumnReader(reader) => {
                reader.read_records(rows, Some(&mut levels), None, &mut narrow)?
            }
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

    /// The names of the classes of the set in `directory`, whose highest label is `highest`.
    ///
    /// # Errors
    /// [`Error::Input`] where fewer are named.
    pub fn classes(self, highest: u32, directory: &Path) -> Result<Vec<String>> {
        match self.names.len() {
            0 => Ok((0..=highest).map(|class| class.to_string()).collect()),
            named if highest as usize >= named => {
                let text = format!("the label {highest}, where its parquet files name {named} classes, from 0 on");
                bail!(Error::reading(directory, text))
            }
            _ => Ok(self.names),
        }
    }
}

/// Adds all labels in a column of texts to `texts`.
fn collect(file: &SerializedFileReader<File>, column: usize, texts: &mut BTreeSet<String>) -> Result<()> {
    for group in 0..file.num_row_groups() {
        let mut reader = file.get_row_group(group)?.get_column_reader(column)?;
        loop {
            let read = read_texts(&mut reader, ROWS)?;
            if read.is_empty() {
                break;
            }
            texts.extend(read);
            ensure!(texts.len() <= MAX_CLASSES as usize, "more than {MAX_CLASSES} different labels");
        }
    }
    Ok(())
}

fn read_texts(reader: &mut ColumnReader, rows: usize) -> Result<Vec<String>> {
    let ColumnReader::ByteArrayColumnReader(reader) = reader else { bail!("the labels are no texts") };
    let (mut texts, mut levels): (Vec<ByteArray>, Vec<i16>) = (Vec::new(), Vec::new());
    let (rows, values, _) = reader.read_records(rows, Some(&mut levels), None, &mut texts)?;
    ensure!(values == rows && texts.iter().all(|text| !text.is_empty()), "a row without a label");
    let text = |bytes: &ByteArray| match std::str::from_utf8(bytes.data()) {
        Ok(text) if text.len() <= LONGEST => Ok(text.to_string()),
        _ => bail!("a label that is no text of up to {LONGEST} bytes"),
    };
    texts.iter().map(text).collect()
}

/// The names that the Hub's `datasets` library writes into its files: `info.features.label.names`.
fn declared_names(file: &dyn FileReader) -> Option<Vec<String>> {
    let pairs = file.metadata().file_metadata().key_value_metadata()?;
    let text = pairs.iter().find(|pair| pair.key == "huggingface")?.value.as_ref()?;
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    let features = json.pointer("/info/features")?;
    let names = COLUMNS.iter().find_map(|column| features.get(column)?.get("names")?.as_array())?;
    names.iter().take(MAX_CLASSES as usize).map(|name| Some(name.as_str()?.to_string())).collect()
}
