//! The footer of a parquet file, looked through before it is read.
//!
//! It is in Thrift's compact protocol. Values of lists that it does not know the crate skips one by one, and booleans take
//! no bytes there: sixty bytes kept it busy for fifteen seconds.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use ::parquet::file::reader::SerializedFileReader;
use anyhow::{Result, ensure};

/// The length of the footer and the mark, at the end of the file.
const END: u64 = 8;

/// The deepest structure that is looked into; the crate gives up sooner.
const MAX_DEPTH: usize = 64;

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
    let mut walk = Walk { rest: footer, claimed: 0, most: footer.len() };
    walk.skip(STRUCT, 0);
    walk.claimed <= walk.most
}

// Types of the compact protocol.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;
const UUID: u8 = 13;

/// Goes through a footer as the crate does.
struct Walk<'a> {
    rest: &'a [u8],
    /// Values of lists and maps so far.
    claimed: usize,
    most: usize,
}

impl Walk<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn bytes(&mut self, count: usize) -> Option<()> {
        self.rest = self.rest.get(count..)?;
        Some(())
    }

    fn number(&mut self) -> Option<usize> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number as usize);
            }
        }
        None
    }

    /// Counts values; `None` once there are too many.
    fn claim(&mut self, values: usize) -> Option<()> {
        self.claimed = self.claimed.saturating_add(values);
        (self.claimed <= self.most).then_some(())
    }

    /// Steps over a value of this type; `None` where that cannot be done.
    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            _ if depth > MAX_DEPTH => None,
            TRUE | FALSE => Some(()),
            BYTE => self.bytes(1),
            I16..=I64 => self.number().map(|_| ()),
            DOUBLE => self.bytes(8),
            BINARY => {
                let count = self.number()?;
                self.bytes(count)
            }
            LIST | SET => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.number()? } else { usize::from(head >> 4) };
                self.claim(count)?;
                (0..count).try_for_each(|_| self.skip(head & 15, depth + 1))
            }
            MAP => {
                let count = self.number()?;
                self.claim(count)?;
                let kinds = if count > 0 { self.byte()? } else { 0 };
                (0..count).try_for_each(|_| {
                    self.skip(kinds >> 4, depth + 1)?;
                    self.skip(kinds & 15, depth + 1)
                })
            }
            STRUCT => loop {
                let head = self.byte()?;
                if head == 0 {
                    return Some(());
                }
                if head >> 4 == 0 {
                    self.number()?; // the field's number, which else is one more than the last
                }
                self.skip(head & 15, depth + 1)?;
            },
            UUID => self.bytes(16),
            _ => None,
        }
    }
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
