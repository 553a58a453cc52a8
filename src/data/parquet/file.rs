//! A parquet file whose pictures are read one by one.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::column::reader::ColumnReader;
use ::parquet::data_type::ByteArray;
use ::parquet::file::metadata::ParquetMetaData;
use ::parquet::file::properties::ReaderProperties;
use ::parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use ::parquet::file::serialized_reader::SerializedRowGroupReader;
use anyhow::{Result, anyhow, bail};

use crate::data::guard::guarded;

/// A parquet file whose pictures are read one by one.
pub struct ParquetFile {
    path: PathBuf,
    metadata: Arc<ParquetMetaData>,
    /// The column of the pictures.
    column: usize,
}

impl ParquetFile {
    /// The file `path`, which `reader` has opened, with its pictures in this column.
    pub fn new(path: &Path, reader: &SerializedFileReader<File>, column: usize) -> Self {
        Self { path: path.into(), metadata: Arc::new(reader.metadata().clone()), column }
    }

    /// The encoded picture in a row of a row group. Only the page that it lies in is unpacked.
    pub fn picture(&self, group: usize, row: usize) -> Result<Vec<u8>> {
        guarded(|| {
            // A file of its own: clones of one share the place at which they read, with other threads too.
            let file = Arc::new(File::open(&self.path)?);
            let properties = Arc::new(ReaderProperties::builder().build());
            let index = self.metadata.page_index_for_row_group(group);
            let group = SerializedRowGroupReader::new(file, self.metadata.row_group(group), index, properties)?;
            let ColumnReader::ByteArrayColumnReader(mut pictures) = group.get_column_reader(self.column)? else {
                bail!("the column of pictures holds no bytes");
            };
            let (mut found, mut levels): (Vec<ByteArray>, Vec<i16>) = (Vec::new(), Vec::new());
            if pictures.skip_records(row)? == row {
                pictures.read_records(1, Some(&mut levels), None, &mut found)?;
            }
            Ok(found.first().ok_or_else(|| anyhow!("the row has gone since the set was opened"))?.data().to_vec())
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Debug for ParquetFile {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_tuple("ParquetFile").field(&self.path).finish()
    }
}
