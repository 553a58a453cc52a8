//! Rows of features as a parquet file: columns `path`, `class` and `features`, a list of floats.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::Result;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::FeatureRow;

const SCHEMA: &str = "message features {
    required binary path (UTF8);
    optional binary class (UTF8);
    required group features (LIST) { repeated group list { required float element; } }
}";

/// Features that are held until they become a row group: 4 MB.
const HELD: usize = 1 << 20;

pub struct ParquetRows<W: Write + Send> {
    file: SerializedFileWriter<W>,
    paths: Vec<ByteArray>,
    /// Of the rows that have one, ...
    classes: Vec<ByteArray>,
    /// ... which 1 tells here.
    has_class: Vec<i16>,
    features: Vec<f32>,
}

impl<W: Write + Send> ParquetRows<W> {
    pub fn new(out: W) -> Result<Self> {
        // Features hardly ever repeat, and nobody asks for their extremes.
        let properties =
            WriterProperties::builder().set_dictionary_enabled(false).set_statistics_enabled(EnabledStatistics::None);
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let file = SerializedFileWriter::new(out, schema, Arc::new(properties.build())).map_err(cause)?;
        Ok(Self { file, paths: Vec::new(), classes: Vec::new(), has_class: Vec::new(), features: Vec::new() })
    }

    pub fn write(&mut self, rows: &[FeatureRow]) -> Result<()> {
        for row in rows {
            self.paths.push(row.path.into());
            self.classes.extend(row.class.map(ByteArray::from));
            self.has_class.push(row.class.is_some().into());
            self.features.extend_from_slice(row.features);
        }
        if self.features.len() >= HELD { self.flush().map_err(cause) } else { Ok(()) }
    }

    pub fn finish(mut self) -> Result<()> {
        self.flush().map_err(cause)?;
        self.file.close().map(drop).map_err(cause)
    }

    /// Writes what is held as a row group.
    fn flush(&mut self) -> Result<(), ParquetError> {
        let rows = self.paths.len();
        if rows == 0 {
            return Ok(());
        }
        let width = self.features.len() / rows;
        // A list begins anew (0) with the first feature of a row; none is empty (1).
        let begins: Vec<i16> = (0..self.features.len()).map(|at| (at % width != 0).into()).collect();
        let is_there = vec![1; self.features.len()];
        let mut group = self.file.next_row_group()?;
        for column in 0.. {
            let Some(mut writer) = group.next_column()? else { break };
            match (writer.untyped(), column) {
                (ColumnWriter::ByteArrayColumnWriter(writer), 0) => writer.write_batch(&self.paths, None, None)?,
                (ColumnWriter::ByteArrayColumnWriter(writer), _) => {
                    writer.write_batch(&self.classes, Some(&self.has_class), None)?
                }
                (ColumnWriter::FloatColumnWriter(writer), _) => {
                    writer.write_batch(&self.features, Some(&is_there), Some(&begins))?
                }
                _ => return Err(ParquetError::General(format!("column {column} is none of {SCHEMA}"))),
            };
            writer.close()?;
        }
        group.close()?;
        self.paths.clear();
        self.classes.clear();
        self.has_class.clear();
        self.features.clear();
        Ok(())
    }
}

/// The I/O error behind an error of the writer, so that a full disk and a closed pipe are told as such.
fn cause(error: ParquetError) -> anyhow::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => anyhow::Error::new(*error),
            Err(other) => anyhow::anyhow!("{other}"),
        },
        other => other.into(),
    }
}
