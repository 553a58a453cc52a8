//! The part of ZIP that `torch.save` writes: entries stored as they are, with ZIP64 fields where a file is large.
//!
//! Own, and not a general ZIP reader, because a checkpoint needs none of what those carry (compression, encryption,
//! recovery of broken archives) and because here nothing may be allocated on the word of a field that the length of
//! the file does not bear out. Field offsets are those of PKWARE's APPNOTE, sections 4.3.7 to 4.3.16.

use std::collections::{BTreeMap, btree_map::Entry as Slot};
use std::io::{Read, Seek, SeekFrom};

use anyhow::{Context, bail, ensure};

/// The first bytes of a ZIP file.
pub const MAGIC: &[u8] = b"PK\x03\x04";

const END: &[u8] = b"PK\x05\x06";
const END_LENGTH: usize = 22;
const LONGEST_COMMENT: u64 = u16::MAX as u64;
const END64_LOCATOR: &[u8] = b"PK\x06\x07";
const END64_LOCATOR_LENGTH: u64 = 20;
const END64: &[u8] = b"PK\x06\x06";
const CENTRAL: &[u8] = b"PK\x01\x02";
const CENTRAL_LENGTH: usize = 46;
const LOCAL_LENGTH: usize = 30;

/// An open archive: where each entry lies.
pub struct ZipArchive<R> {
    input: R,
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    /// Of the local header.
    offset: u64,
    size: u64,
    crc: u32,
    /// Neither compressed nor encrypted.
    stored: bool,
}

impl<R: Read + Seek> ZipArchive<R> {
    /// Reads the directory of an archive of `length` bytes.
    pub fn open(mut input: R, length: u64) -> anyhow::Result<Self> {
        let directory = read_directory(&mut input, length)?;
        let entries = parse_directory(&directory)?;
        // Entries that lie upon each other would make reading them all far longer than the file.
        let total = entries.values().fold(0u64, |total, entry| total.saturating_add(entry.size));
        ensure!(total <= length, "its entries claim {total} bytes, and it has {length}");
        Ok(Self { input, entries })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The content of an entry, its checksum compared.
    pub fn read(&mut self, name: &str) -> anyhow::Result<Vec<u8>> {
        let entry = *self.entries.get(name).with_context(|| format!("{name} is missing in it"))?;
        ensure!(entry.stored, "{name} is compressed or encrypted; torch.save does neither");
        self.input.seek(SeekFrom::Start(entry.offset))?;
        let mut local = [0; LOCAL_LENGTH];
        self.input.read_exact(&mut local).with_context(|| format!("{name} is truncated"))?;
        ensure!(local.starts_with(MAGIC), "the directory points {name} at something else");
        let skip = i64::from(u16_at(&local, 26)?) + i64::from(u16_at(&local, 28)?);
        self.input.seek_relative(skip)?;
        let mut content = vec![0; usize::try_from(entry.size)?];
        self.input.read_exact(&mut content).with_context(|| format!("{name} is truncated"))?;
        let mut crc = flate2::Crc::new();
        crc.update(&content);
        ensure!(crc.sum() == entry.crc, "{name} is damaged: its checksum does not match");
        Ok(content)
    }
}

/// The bytes of the central directory, found from the end of the file.
fn read_directory(input: &mut (impl Read + Seek), length: u64) -> anyhow::Result<Vec<u8>> {
    let tail_start = length.saturating_sub(END_LENGTH as u64 + LONGEST_COMMENT);
    let tail = read_at(input, tail_start, length - tail_start)?;
    let end = (0..=tail.len().saturating_sub(END_LENGTH)).rev().find(|&start| {
        let record = &tail[start..];
        record.starts_with(END)
            && u16_at(record, 20).is_ok_and(|comment| start + END_LENGTH + comment as usize == tail.len())
    });
    let Some(end) = end else { bail!("it is truncated: a ZIP directory is missing at its end") };
    let record = &tail[end..];
    let (mut size, mut offset) = (u64::from(u32_at(record, 12)?), u64::from(u32_at(record, 16)?));
    if let Some(locator) = (tail_start + end as u64).checked_sub(END64_LOCATOR_LENGTH) {
        let locator = read_at(input, locator, END64_LOCATOR_LENGTH)?;
        if locator.starts_with(END64_LOCATOR) {
            let record = u64_at(&locator, 8)?;
            ensure!(record.checked_add(56).is_some_and(|end| end <= length), "its ZIP64 directory lies beyond its end");
            let record = read_at(input, record, 56)?;
            ensure!(record.starts_with(END64), "its ZIP64 directory is damaged");
            (size, offset) = (u64_at(&record, 40)?, u64_at(&record, 48)?);
        }
    }
    ensure!(offset.checked_add(size).is_some_and(|end| end <= length), "its ZIP directory lies beyond its end");
    read_at(input, offset, size)
}

fn parse_directory(mut rest: &[u8]) -> anyhow::Result<BTreeMap<String, Entry>> {
    let mut entries = BTreeMap::new();
    while !rest.is_empty() {
        ensure!(rest.starts_with(CENTRAL) && rest.len() >= CENTRAL_LENGTH, "its ZIP directory is damaged");
        let lengths = [u16_at(rest, 28)?, u16_at(rest, 30)?, u16_at(rest, 32)?].map(usize::from);
        let variable = &rest[CENTRAL_LENGTH..];
        let (Some(name), Some(extra), Some(next)) = (
            variable.get(..lengths[0]),
            variable.get(lengths[0]..lengths[0] + lengths[1]),
            variable.get(lengths.iter().sum()..),
        ) else {
            bail!("its ZIP directory is damaged")
        };
        let name = std::str::from_utf8(name).context("its ZIP directory has a name that is not UTF-8")?;
        let mut sizes = [u32_at(rest, 24)?, u32_at(rest, 20)?, u32_at(rest, 42)?].map(u64::from);
        fill_from_zip64(extra, &mut sizes)?;
        let [size, packed, offset] = sizes;
        let stored = u16_at(rest, 10)? == 0 && u16_at(rest, 8)? & 1 == 0 && size == packed;
        match entries.entry(name.to_owned()) {
            Slot::Occupied(_) => bail!("{name} comes twice in its ZIP directory"),
            Slot::Vacant(slot) => slot.insert(Entry { offset, size, crc: u32_at(rest, 16)?, stored }),
        };
        rest = next;
    }
    Ok(entries)
}

/// Replaces those of `sizes` that did not fit 32 bits by what the ZIP64 field (id 1) of `extra` lists for them in turn.
fn fill_from_zip64(mut extra: &[u8], sizes: &mut [u64; 3]) -> anyhow::Result<()> {
    while extra.len() >= 4 {
        let (id, length) = (u16_at(extra, 0)?, usize::from(u16_at(extra, 2)?));
        let Some(field) = extra.get(4..4 + length) else { bail!("its ZIP directory is damaged") };
        if id == 1 {
            let large = sizes.iter_mut().filter(|size| **size == u64::from(u32::MAX));
            for (at, size) in large.enumerate() {
                *size = u64_at(field, 8 * at)?;
            }
        }
        extra = &extra[4 + length..];
    }
    Ok(())
}

/// `length` bytes from `offset`; the caller has compared both with the length of the file.
fn read_at(input: &mut (impl Read + Seek), offset: u64, length: u64) -> anyhow::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length)?];
    input.seek(SeekFrom::Start(offset))?;
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> anyhow::Result<[u8; N]> {
    Ok(*bytes.get(at..).and_then(|rest| rest.first_chunk()).context("its ZIP directory is damaged")?)
}

fn u16_at(bytes: &[u8], at: usize) -> anyhow::Result<u16> {
    Ok(u16::from_le_bytes(array_at(bytes, at)?))
}

fn u32_at(bytes: &[u8], at: usize) -> anyhow::Result<u32> {
    Ok(u32::from_le_bytes(array_at(bytes, at)?))
}

fn u64_at(bytes: &[u8], at: usize) -> anyhow::Result<u64> {
    Ok(u64::from_le_bytes(array_at(bytes, at)?))
}
