//! The headers of a parquet file's pages, looked through before the pages are unpacked.
//!
//! A header of twenty bytes may claim two gigabytes, which the crate asks the system for, and values without end.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use ::parquet::file::metadata::ColumnChunkMetaData;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use anyhow::{Result, anyhow, ensure};

use super::compact::{STRUCT, Walk};

/// Of the pages of a file so many bytes are taken together, ...
const FREE_BYTES: u64 = 64 << 20;
/// ... beyond them so many for each that they take in the file (pictures are compressed already), ...
const MOST_INFLATION: u64 = 64;
/// ... and so many for each row, whose label may take next to nothing.
const BYTES_A_ROW: u64 = 16;

/// Bytes that are looked at for a header at first, and at most: it may hold the smallest and the largest value of its page.
const WINDOW: (usize, usize) = (512, 16 << 20);

/// Values that lists in a header may have together: no known field of it is a list.
const MOST_VALUES: usize = 1000;

/// Refuses a file whose pages in these columns claim more than it can be expected to hold, or more values than rows.
pub fn vet(path: &Path, reader: &SerializedFileReader<File>, columns: &[usize]) -> Result<()> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let (mut rows, mut claimed) = (0u64, Sizes::default());
    for group in reader.metadata().row_groups() {
        let of_group = u64::try_from(group.num_rows())?;
        rows = rows.saturating_add(of_group);
        ensure!(rows <= bytes, "damaged: it claims more rows than it has bytes");
        for column in columns {
            let of_column = sizes(&file, bytes, group.column(*column), of_group)?;
            claimed.packed += of_column.packed;
            claimed.unpacked += of_column.unpacked;
        }
    }
    let Sizes { packed, unpacked } = Sizes { unpacked: claimed.unpacked >> 20, ..claimed };
    let is_likely = claimed.unpacked <= most(packed.min(bytes), rows);
    ensure!(is_likely, "damaged: its pages of {packed} bytes claim to hold {unpacked} MiB");
    Ok(())
}

/// The most that pages of so many `packed` bytes and `rows` are expected to hold.
fn most(packed: u64, rows: u64) -> u64 {
    FREE_BYTES + MOST_INFLATION * packed + BYTES_A_ROW * rows
}

/// Bytes of pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sizes {
    packed: u64,
    unpacked: u64,
}

/// Those of a column in a row group of so many rows.
fn sizes(file: &File, bytes: u64, column: &ColumnChunkMetaData, rows: u64) -> Result<Sizes> {
    let values = u64::try_from(column.num_values())?;
    ensure!(values <= rows, "damaged: a column of {values} values in {rows} rows");
    let (mut offset, _) = column.byte_range();
    let (mut sizes, mut seen) = (Sizes::default(), 0);
    // As the crate does, which looks no further once it has all values.
    while seen < values && offset < bytes {
        let page = header_at(file, bytes, offset)?;
        ensure!(page.unpacked < 1 << 31 && page.packed < 1 << 31, "damaged: a page of a negative size");
        let (packed, unpacked) = (page.packed, page.unpacked >> 20);
        ensure!(page.unpacked <= most(packed, rows), "damaged: a page of {packed} bytes claims to hold {unpacked} MiB");
        seen += if page.is_dictionary { 0 } else { page.values };
        ensure!(seen <= rows, "damaged: its pages claim more values than there are rows");
        ensure!(page.values <= page.unpacked || !page.is_dictionary, "damaged: a dictionary of more values than bytes");
        sizes.packed += page.packed;
        sizes.unpacked += page.unpacked;
        offset += page.length + page.packed;
    }
    Ok(sizes)
}

/// What is said of a page. Negative numbers are huge ones here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Header {
    /// Its own bytes.
    length: u64,
    packed: u64,
    unpacked: u64,
    values: u64,
    is_dictionary: bool,
}

fn header_at(file: &File, bytes: u64, offset: u64) -> Result<Header> {
    let mut window = WINDOW.0;
    loop {
        let mut begin = vec![0; window.min((bytes - offset) as usize)];
        file.read_exact_at(&mut begin, offset)?;
        let mut walk = Walk::new(&begin, MOST_VALUES);
        let header = header(&mut walk);
        ensure!(walk.is_within(), "damaged: the header of a page claims more values than it has");
        if let Some(header) = header {
            return Ok(Header { length: (begin.len() - walk.left()) as u64, ..header });
        }
        if begin.len() < window || window >= WINDOW.1 {
            return Err(anyhow!("damaged: the header of a page cannot be read"));
        }
        window *= 8;
    }
}

/// `PageHeader` of parquet.thrift; `None` where it goes on past what is there.
fn header(walk: &mut Walk) -> Option<Header> {
    let mut header = Header::default();
    walk.structure(|walk, field, kind| {
        match (field, kind) {
            (2, _) => header.unpacked = walk.integer()? as u64,
            (3, _) => header.packed = walk.integer()? as u64,
            // The headers of a page of data, of a dictionary, and of a page of data of the second version.
            (5 | 7 | 8, STRUCT) => {
                header.is_dictionary = field == 7;
                walk.structure(|walk, field, kind| match field {
                    1 => {
                        header.values = walk.integer()? as u64;
                        Some(())
                    }
                    _ => walk.skip(kind),
                })?;
            }
            _ => walk.skip(kind)?,
        }
        Some(())
    })?;
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_sizes_and_values() {
        // A page of data: type 0, 300 bytes unpacked, 200 packed, field 5: 7 values, and an encoding.
        let data = [0x15, 0, 0x15, 0xd8, 4, 0x15, 0x90, 3, 0x2c, 0x15, 14, 0x15, 0, 0, 0];
        let read = |bytes: &[u8]| header(&mut Walk::new(bytes, MOST_VALUES));
        let expected = Header { packed: 200, unpacked: 300, values: 7, ..Header::default() };
        assert_eq!(read(&data), Some(expected));
        let mut dictionary = data;
        dictionary[8] = 0x4c; // field 7
        assert_eq!(read(&dictionary), Some(Header { is_dictionary: true, ..expected }));
        let mut negative = data;
        negative[3] = 0xd9;
        assert!(read(&negative).unwrap().unpacked > 1 << 31);
        assert!((0..data.len()).all(|end| read(&data[..end]).is_none()));
        // Field 9: a list of 2^31 - 1 booleans.
        let mut walk = Walk::new(&[0x99, 0xf1, 0xff, 0xff, 0xff, 0xff, 0x07, 0], MOST_VALUES);
        assert!(header(&mut walk).is_none() && !walk.is_within());
    }
}
