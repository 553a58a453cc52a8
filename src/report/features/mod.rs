//! Features of pictures as a file, a row each, written as they come.

mod parquet;

use std::io::Write;

use anyhow::Result;
use parquet::ParquetRows;

use crate::report::csv::csv_line;
use crate::report::npy::npy_header;

/// In which format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum FeatureFormat {
    /// Columns path, class, f0, f1, ...
    Csv,
    /// The features alone: (N, D), f32
    Npy,
    /// Columns path, class, and features, a list of f32
    Parquet,
}

/// The features of a picture.
#[derive(Clone, Copy, Debug)]
pub struct FeatureRow<'a> {
    pub path: &'a str,
    pub class: Option<&'a str>,
    pub features: &'a [f32],
}

/// Writes rows of features of one width.
pub enum FeatureWriter<W: Write + Send> {
    Csv(W),
    Npy(W),
    Parquet(Box<ParquetRows<W>>),
}

impl<W: Write + Send> FeatureWriter<W> {
    /// A file of `rows` rows of `width` features. A .npy says how many rows it has before they come; the other formats
    /// take any number.
    pub fn new(mut out: W, format: FeatureFormat, rows: usize, width: usize) -> Result<Self> {
        Ok(match format {
            FeatureFormat::Csv => {
                let names: Vec<String> = (0..width).map(|feature| format!("f{feature}")).collect();
                out.write_all(
                    csv_line(["path", "class"].into_iter().chain(names.iter().map(String::as_str))).as_bytes(),
                )?;
                Self::Csv(out)
            }
            FeatureFormat::Npy => {
                out.write_all(&npy_header(&[rows as u64, width as u64]))?;
                Self::Npy(out)
            }
            FeatureFormat::Parquet => Self::Parquet(Box::new(ParquetRows::new(out)?)),
        })
    }

    /// Writes these rows.
    pub fn write(&mut self, rows: &[FeatureRow]) -> Result<()> {
        match self {
            Self::Csv(out) => {
                for row in rows {
                    let numbers: Vec<String> = row.features.iter().map(f32::to_string).collect();
                    let fields = [row.path, row.class.unwrap_or_default()].into_iter();
                    out.write_all(csv_line(fields.chain(numbers.iter().map(String::as_str))).as_bytes())?;
                }
                Ok(())
            }
            Self::Npy(out) => {
                for row in rows {
                    let bytes: Vec<u8> = row.features.iter().flat_map(|value| value.to_le_bytes()).collect();
                    out.write_all(&bytes)?;
                }
                Ok(())
            }
            Self::Parquet(table) => table.write(rows),
        }
    }

    /// Ends the file.
    pub fn finish(self) -> Result<()> {
        match self {
            Self::Csv(mut out) | Self::Npy(mut out) => Ok(out.flush()?),
            Self::Parquet(table) => table.finish(),
        }
    }
}
