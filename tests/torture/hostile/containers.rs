//! Containers packed, and packed again around damaged contents.

use std::io::{Cursor, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use gan::data;

use super::mutations::{mutate, poke};
use crate::process::Dice;

type Bytes = Vec<u8>;

pub fn gzip(bytes: &[u8]) -> Bytes {
    packed(bytes, Compression::fast())
}

pub fn packed(bytes: &[u8], level: Compression) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn unpacked(bytes: &[u8]) -> Bytes {
    let mut content = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut content).unwrap();
    content
}

pub fn repacked_gzip(bytes: &[u8], dice: &mut Dice) -> Bytes {
    match dice.roll() & 1 {
        0 => mutate(bytes, dice),
        _ => gzip(&mutate(&unpacked(bytes), dice)),
    }
}

pub fn tarball(batch: &[u8]) -> Bytes {
    let mut archive = tar::Builder::new(Vec::new());
    for name in data::cifar::BATCHES {
        let mut header = tar::Header::new_gnu();
        header.set_size(batch.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("{}/{name}", data::cifar::FOLDER), batch).unwrap();
    }
    archive.into_inner().unwrap()
}

/// Damage within a tar has its header's checksum mended in half the trials.
pub fn repacked_tar(bytes: &[u8], dice: &mut Dice) -> Bytes {
    if dice.roll() & 3 == 0 {
        return mutate(bytes, dice);
    }
    let mut content = unpacked(bytes);
    if dice.roll() & 1 == 0 {
        return gzip(&mutate(&content, dice));
    }
    let entries = content.len() / (512 * 14); // a header and 6,146 bytes in 13 blocks
    let header = dice.below(entries.max(1)) * 512 * 14;
    for _ in 0..1 + dice.below(3) {
        poke(&mut content[header..header + 512], dice);
    }
    content[header + 148..header + 156].fill(b' ');
    let sum: u32 = content[header..header + 512].iter().map(|byte| u32::from(*byte)).sum();
    content[header + 148..header + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    gzip(&content)
}

/// Damage to a pickle or another entry, with right checksums around it, in two of three trials.
pub fn repacked_pth(bytes: &[u8], dice: &mut Dice) -> Bytes {
    let is_zip = bytes.starts_with(b"PK");
    if !is_zip || dice.below(3) == 0 {
        return mutate(bytes, dice);
    }
    let mut source = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut target = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for index in 0..source.len() {
        let mut entry = source.by_index(index).unwrap();
        let (name, mut content) = (entry.name().unwrap().into_owned(), Vec::new());
        entry.read_to_end(&mut content).unwrap();
        if name.ends_with("data.pkl") || dice.below(8) == 0 {
            content = mutate(&content, dice);
        }
        target.start_file(name, stored).unwrap();
        target.write_all(&content).unwrap();
    }
    target.finish().unwrap().into_inner()
}

/// A tar file of these pictures, two of them under long names, one under two names.
pub fn taped_pictures(pictures: &[Bytes]) -> Bytes {
    let mut archive = tar::Builder::new(Vec::new());
    let header = |kind: tar::EntryType, size: usize| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size as u64);
        header.set_mode(0o644);
        header
    };
    let file = tar::EntryType::Regular;
    for (index, picture) in pictures.iter().enumerate() {
        let name = format!("{}/{index}.png", if index == 1 { "long".repeat(40) } else { "a".to_string() });
        archive.append_data(&mut header(file, picture.len()), name, &picture[..]).unwrap();
    }
    archive.append_link(&mut header(tar::EntryType::Link, 0), "b/link.png", "a/0.png").unwrap();
    archive.append_pax_extensions([("path", b"b/extended.png".as_slice())]).unwrap();
    archive.append_data(&mut header(file, pictures[0].len()), "b/short", &pictures[0][..]).unwrap();
    archive.into_inner().unwrap()
}

/// Damage to a header, with a right checksum, in two of three trials.
pub fn retaped(bytes: &[u8], dice: &mut Dice) -> Bytes {
    if dice.below(3) == 0 {
        return mutate(bytes, dice);
    }
    let mut bytes = bytes.to_vec();
    let (mut headers, mut at) = (Vec::new(), 0);
    while let Some(header) = bytes.get(at..at + 512).filter(|header| header[0] != 0) {
        headers.push(at);
        let size = tar::Header::from_byte_slice(header).entry_size().unwrap() as usize;
        at += 512 + size.next_multiple_of(512);
    }
    let header = headers[dice.below(headers.len())];
    for _ in 0..1 + dice.below(3) {
        poke(&mut bytes[header..header + 512], dice);
    }
    bytes[header + 148..header + 156].fill(b' ');
    let sum: u32 = bytes[header..header + 512].iter().map(|byte| u32::from(*byte)).sum();
    bytes[header + 148..header + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    bytes
}

/// A zip file of these pictures, every second one deflated.
pub fn zipped_pictures(pictures: &[Bytes]) -> Bytes {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (index, picture) in pictures.iter().enumerate() {
        let method = [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated][index % 2];
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        archive.start_file(format!("a/{index}.png"), options).unwrap();
        archive.write_all(picture).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// Damage to the directory at the end, or to a header before a file, in two of three trials.
pub fn rezipped(bytes: &[u8], dice: &mut Dice) -> Bytes {
    if dice.below(3) == 0 {
        return mutate(bytes, dice);
    }
    let mut bytes = bytes.to_vec();
    let headers: Vec<usize> =
        bytes.windows(4).enumerate().filter(|(_, four)| four.starts_with(b"PK")).map(|(at, _)| at).collect();
    let at = headers[dice.below(headers.len())];
    let end = (at + 46).min(bytes.len());
    for _ in 0..1 + dice.below(3) {
        poke(&mut bytes[at + 4..end], dice);
    }
    bytes
}
