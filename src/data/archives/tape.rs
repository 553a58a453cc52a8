//! What lies where in a tar file: POSIX's formats (ustar, pax), and GNU's long names.
//!
//! Of the crate `tar` this takes the header and its numbers. Its own reader of entries takes names into memory however
//! long they claim to be, and reads each header apart from the place where it stands.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, ensure};
use tar::{EntryType, Header, PaxExtensions};

/// Headers and the beginnings of files stand at multiples of it.
const BLOCK: u64 = 512;

/// The longest name, and the longest extended header, that is read.
const LONGEST: u64 = 1 << 20;

/// What an entry of a tar file is.
#[derive(Debug, PartialEq, Eq)]
pub enum TapeKind {
    /// A file, whose bytes lie as they are.
    File,
    /// A file with holes that are left out.
    Sparse,
    /// Another name for the file that was packed under this one before.
    HardLink(PathBuf),
    /// A symbolic link.
    SymbolicLink,
    /// A directory, a device and the like.
    Other,
}

/// An entry of a tar file.
#[derive(Debug)]
pub struct TapeEntry {
    pub name: PathBuf,
    pub kind: TapeKind,
    pub offset: u64,
    pub length: u64,
}

/// Goes through the entries of a tar file.
pub struct Tape {
    file: File,
    bytes: u64,
    /// Where the next header stands.
    at: u64,
}

/// What headers of their own say of the entry that follows.
#[derive(Default, PartialEq, Eq)]
struct Extended {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    is_sparse: bool,
}

impl Tape {
    /// From the beginning of the file.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        ensure!(bytes > 0, "an empty file; copy or download it again");
        Ok(Self { file, bytes, at: 0 })
    }

    /// The next entry; `None` at the end. Of a file that lies in the archive, all of it does.
    pub fn next(&mut self) -> Result<Option<TapeEntry>> {
        let mut extended = Extended::default();
        loop {
            let Some(header) = self.header()? else {
                // What a header of its own describes must follow it.
                ensure!(extended == Extended::default(), "cut short in a header; copy or download it again");
                return Ok(None);
            };
            let entry_type = header.entry_type();
            let own_size = header.entry_size().map_err(|_| self.damaged("a size is no number"))?;
            let describes = matches!(
                entry_type,
                EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | EntryType::XGlobalHeader
            );
            let length = extended.size.filter(|_| !describes).unwrap_or(own_size);
            let name = match &extended.name {
                Some(name) => path_of(name),
                None => path_of(&header.path_bytes()),
            };
            if entry_type == EntryType::GNUSparse {
                self.skip_sparse_maps(&header)?;
            }
            let offset = self.at;
            let end = offset.checked_add(length).filter(|end| *end <= self.bytes);
            let end = end.ok_or_else(|| anyhow!("cut short in {}; copy or download it again", name.display()))?;
            self.at = end.next_multiple_of(BLOCK);
            match entry_type {
                EntryType::GNULongName => extended.name = Some(self.text(offset, length)?),
                EntryType::GNULongLink => extended.link = Some(self.text(offset, length)?),
                EntryType::XHeader => extended.read(&self.content(offset, length)?)?,
                EntryType::XGlobalHeader => {}
                _ => {
                    let link = || match &extended.link {
                        Some(link) => path_of(link),
                        None => header.link_name_bytes().map_or_else(PathBuf::new, |link| path_of(&link)),
                    };
                    let kind = match entry_type {
                        EntryType::GNUSparse => TapeKind::Sparse,
                        EntryType::Regular | EntryType::Continuous if extended.is_sparse => TapeKind::Sparse,
                        EntryType::Regular | EntryType::Continuous => TapeKind::File,
                        EntryType::Link => TapeKind::HardLink(link()),
                        EntryType::Symlink => TapeKind::SymbolicLink,
                        _ => TapeKind::Other,
                    };
                    return Ok(Some(TapeEntry { name, kind, offset, length }));
                }
            }
        }
    }

    /// The header here, with a right checksum; `None` at the end of the file, and at the zeros that end the archive.
    fn header(&mut self) -> Result<Option<Header>> {
        if self.at >= self.bytes {
            return Ok(None);
        }
        let mut header = Header::new_old();
        self.block(header.as_mut_bytes())?;
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let bytes = header.as_bytes();
        // With spaces in place of the checksum itself.
        let sum = bytes[..148].iter().chain(&bytes[156..]).map(|byte| u32::from(*byte)).sum::<u32>() + 8 * 32;
        let is_right = header.cksum().is_ok_and(|claimed| claimed == sum);
        ensure!(is_right || self.at > BLOCK, "not a tar file");
        ensure!(is_right, self.damaged("the checksum of a header is wrong"));
        Ok(Some(header))
    }

    /// Reads the block here and steps over it.
    fn block(&mut self, block: &mut [u8]) -> Result<()> {
        ensure!(self.bytes - self.at >= BLOCK, "cut short in a header; copy or download it again");
        self.file.read_exact_at(block, self.at)?;
        self.at += BLOCK;
        Ok(())
    }

    /// Steps over the blocks that say where the holes are.
    fn skip_sparse_maps(&mut self, header: &Header) -> Result<()> {
        const IS_EXTENDED: usize = 504; // in each of them
        let mut is_extended = header.as_gnu().is_some_and(|header| header.is_extended());
        while is_extended {
            let mut map = [0; BLOCK as usize];
            ensure!(self.at < self.bytes, "cut short in a header; copy or download it again");
            self.block(&mut map)?;
            is_extended = map[IS_EXTENDED] == 1;
        }
        Ok(())
    }

    fn content(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        ensure!(length <= LONGEST, self.damaged(&format!("a name or header of {length} bytes")));
        let mut content = vec![0; length as usize];
        self.file.read_exact_at(&mut content, offset)?;
        Ok(content)
    }

    /// A name, which ends at a zero.
    fn text(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        let mut text = self.content(offset, length)?;
        text.truncate(text.iter().position(|byte| *byte == 0).unwrap_or(text.len()));
        Ok(text)
    }

    fn damaged(&self, problem: &str) -> anyhow::Error {
        anyhow!("damaged before its byte {}: {problem}; copy or download it again", self.at)
    }
}

impl Extended {
    /// Takes what pax's extended header says.
    fn read(&mut self, content: &[u8]) -> Result<()> {
        for record in PaxExtensions::new(content) {
            let record = record.map_err(|_| anyhow!("damaged in an extended header; copy or download it again"))?;
            let value = record.value_bytes().to_vec();
            match record.key_bytes() {
                b"path" => self.name = Some(value),
                b"linkpath" => self.link = Some(value),
                b"size" => self.size = std::str::from_utf8(&value).ok().and_then(|size| size.parse().ok()),
                b"GNU.sparse.name" => (self.name, self.is_sparse) = (Some(value), true),
                key if key.starts_with(b"GNU.sparse.") => self.is_sparse = true,
                _ => {}
            }
        }
        Ok(())
    }
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}
