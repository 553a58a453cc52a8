//! The footer of a parquet file, looked through before it is read.
//!
//! It is in Thrift's compact protocol. Values of lists that it does not know the crate skips one by one, and booleans take
//! no bytes there: sixty bytes kept it busy for fifteen seconds.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use ::parquet::file::reader::SerializedFileReader;
use anyhow::{Result, ensure};

use super::compact::{STRUCT, Walk};

/// The length of the footer and the mark, at the end of the file.
const END: u64 = 8;

/// Opens the parquet file `path`, if its footer claims no more values than it has bytes.
pub fn open(path: &Path) -> Result<SerializedFileReader<File>> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    if bytes >= END {
        let mut length = [0; 4];
        file.read_exact_at(&mut length, bytes - END)?;
        let length = u64::from(u32::from_le_bytes(length));
        if length <= bytes - END {
            let mut footer = vec![0; length as usize];
            file.read_exact_at(&mut footer, bytes - END - length)?;
            ensure!(fits(&footer), "damaged: its footer claims more values than it has bytes");
        }
    }
    Ok(SerializedFileReader::new(file)?)
}

/// Whether all lists and maps together claim no more values than there are bytes. What cannot be followed is the crate's to
/// refuse.
fn fits(footer: &[u8]) -> bool {
    let mut walk = Walk::new(footer, footer.len());
    walk.skip(STRUCT);
    walk.is_within()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_claims_no_more_values_than_it_has_bytes() {
        // Field 1: a list of integers. Field 2: a list of booleans.
        let footer = |integers: &[u8], booleans: u8| {
            let list = [0x19, (integers.len() as u8) << 4 | 5];
            [&list[..], integers, &[0x19, 0xf1, booleans, 0]].concat()
        };
        assert!(fits(&footer(&[1, 2, 3], 5)));
        assert!(!fits(&footer(&[1, 2, 3], 100)));
        // 2^31 - 1 of them.
        let many = [0x19, 0xf1, 0xff, 0xff, 0xff, 0xff, 0x07, 0];
        assert!(!fits(&many));
        // Each list has room, all of them have not.
        let each: Vec<u8> = [0x19, 0xf1, 100].repeat(100);
        assert!(!fits(&each));
        // In a map of booleans, and within a list of structures.
        assert!(!fits(&[0x1b, 0xff, 0xff, 0x03, 0x11, 0]));
        assert!(!fits(&[0x19, 0x1c, 0x19, 0xf1, 0x7f, 0, 0]));
        // What cannot be followed is not judged.
        assert!(fits(&[]) && fits(&[0x19]) && fits(&[0x1f, 1, 2]) && fits(&[0x1c; 200]));
    }
}
