//! Archives with what their formats allow and few use: sizes of 64 bits, data descriptors, entries that overlap, headers of
//! old programs, and what follows an archive's end.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::odd_archives::{opened, shade, shades};
use super::refused;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/archives").join(name)
}

fn written(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join(name);
    fs::write(&path, bytes).unwrap();
    (place, path)
}

fn shades_of(name: &str, bytes: &[u8]) -> Vec<u8> {
    let (_place, path) = written(name, bytes);
    shades(&path)
}

fn refusal_of(name: &str, bytes: &[u8]) -> String {
    let (_place, path) = written(name, bytes);
    let text = refused(opened(&path));
    assert!(text.starts_with(path.to_str().unwrap()), "{text}");
    text
}

#[test]
fn what_python_writes_is_read() {
    for name in ["zip64.zip", "streamed.zip", "gnu.tar", "pax.tar"] {
        assert_eq!(shades(&fixture(name)), [1, 2, 3], "{name}");
    }
    let classes = |name: &str| opened(&fixture(name)).unwrap().classes;
    assert_eq!(classes("zip64.zip"), ["a", "b", "c"]);
    assert!(classes("pax.tar").is_empty(), "one picture lies in no folder");
}

/// Nothing stands behind the header that says the name of what follows.
#[test]
fn a_tar_that_ends_behind_the_name_of_an_entry_is_refused() {
    for (name, kind) in [("pax.tar", b'x'), ("gnu.tar", b'L')] {
        let tar = fs::read(fixture(name)).unwrap();
        let at = (0..tar.len()).step_by(512).find(|at| tar[at + 156] == kind).unwrap();
        let size = std::str::from_utf8(&tar[at + 124..at + 135]).unwrap();
        let end = at + 512 + usize::from_str_radix(size, 8).unwrap();
        for cut in [end, end.next_multiple_of(512)] {
            assert!(refusal_of("x.tar", &tar[..cut]).contains("cut short in a header"), "{name} of {cut} bytes");
        }
    }
    assert!(refusal_of("x.tar", &[]).contains("an empty file"));
}

/// An entry of a zip file, stored, and what the directory at the end says of it.
struct Stored<'a> {
    name: &'a str,
    content: &'a [u8],
    offset: u64,
    /// Whether all its numbers stand in an extra field.
    is_64: bool,
}

impl Stored<'_> {
    fn numbers(&self, signature: u32) -> Vec<u8> {
        let (small, length) = ([0xff; 4], (self.content.len() as u32).to_le_bytes());
        let mut crc = flate2::Crc::new();
        crc.update(self.content);
        let version: &[u8] = if signature == 0x0201_4b50 { &[45, 0, 45, 0] } else { &[45, 0] };
        let length = if self.is_64 { small } else { length };
        [&signature.to_le_bytes()[..], version, &[0; 4], &[0, 0, 0x21, 0], &crc.sum().to_le_bytes(), &length, &length]
            .concat()
    }

    fn lengths(&self) -> Vec<u8> {
        let length = (self.content.len() as u64).to_le_bytes();
        [length, length].concat()
    }

    /// The header before the file, and the file.
    fn local(&self) -> Vec<u8> {
        let extra = if self.is_64 { [&[1, 0, 16, 0][..], &self.lengths()].concat() } else { Vec::new() };
        let sizes = [(self.name.len() as u16).to_le_bytes(), (extra.len() as u16).to_le_bytes()].concat();
        [&self.numbers(0x0403_4b50), &sizes, self.name.as_bytes(), &extra, self.content].concat()
    }

    fn central(&self) -> Vec<u8> {
        let extra = match self.is_64 {
            true => [&[1, 0, 24, 0][..], &self.lengths(), &self.offset.to_le_bytes()].concat(),
            false => Vec::new(),
        };
        let sizes = [(self.name.len() as u16).to_le_bytes(), (extra.len() as u16).to_le_bytes()].concat();
        let offset = if self.is_64 { [0xff; 4] } else { (self.offset as u32).to_le_bytes() };
        [&self.numbers(0x0201_4b50), &sizes, &[0; 10][..], &offset, self.name.as_bytes(), &extra].concat()
    }
}

/// `files` with a directory of these entries, whose numbers are of 64 bits or not.
fn with_directory(files: Vec<u8>, entries: &[Stored], is_64: bool) -> Vec<u8> {
    let directory: Vec<u8> = entries.iter().flat_map(Stored::central).collect();
    let (count, size, start) = (entries.len() as u64, directory.len() as u64, files.len() as u64);
    let mut zip = [files, directory].concat();
    if is_64 {
        let end = zip.len() as u64;
        zip.extend(b"PK\x06\x06");
        zip.extend(44u64.to_le_bytes());
        zip.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        [count, count, size, start].iter().for_each(|number| zip.extend(number.to_le_bytes()));
        zip.extend([b"PK\x06\x07".as_slice(), &[0; 4], &end.to_le_bytes(), &[1, 0, 0, 0]].concat());
    }
    let count = if is_64 { [0xff; 4] } else { (count as u32 | (count as u32) << 16).to_le_bytes() };
    let [size, start] = [size, start].map(|number| if is_64 { [0xff; 4] } else { (number as u32).to_le_bytes() });
    zip.extend([b"PK\x05\x06".as_slice(), &[0; 4], &count, &size, &start, &[0; 2]].concat());
    zip
}

#[test]
fn every_number_of_a_zip_file_may_be_of_64_bits() {
    let content = [shade(7), shade(8)];
    let mut files = Vec::new();
    let entries = [("b.png", &content[0]), ("a.png", &content[1])].map(|(name, content)| {
        let entry = Stored { name, content, offset: files.len() as u64, is_64: true };
        files.extend(entry.local());
        entry
    });
    let zip = with_directory(files, &entries, true);
    assert_eq!(shades_of("x.zip", &zip), [8, 7], "in the order of names");
    // The number of entries, and their places, are claims.
    let record = zip.windows(4).position(|four| four == b"PK\x06\x06").unwrap();
    let offset = zip.windows(4).position(|four| four == [1, 0, 24, 0]).unwrap() + 20;
    for (at, claim) in [(record + 24, u64::MAX), (record + 32, 1 << 60), (record + 48, 1 << 62), (offset, u64::MAX - 9)]
    {
        let mut damaged = zip.clone();
        damaged[at..at + 8].copy_from_slice(&claim.to_le_bytes());
        assert!(refusal_of("x.zip", &damaged).contains("copy or download it again"), "{at}: {claim}");
    }
}

#[test]
fn a_zip_file_may_have_more_entries_than_16_bits_count() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("x.zip");
    let mut zip = ZipWriter::new(File::create(&path).unwrap());
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    (0..66_000).for_each(|index| zip.start_file(format!("{index}.txt"), options).unwrap());
    zip.start_file("z.png", options).unwrap();
    zip.write_all(&shade(5)).unwrap();
    zip.finish().unwrap();
    assert_eq!(shades(&path), [5]);
}

/// Overlap is how a small zip file is made to hold much: each picture is read from where the directory says, and counts
/// with its own size against the memory that a set may take.
#[test]
fn entries_that_overlap_are_read_one_by_one() {
    let (outer, inner) = (shade(3), shade(4));
    let hidden = Stored { name: "b.png", content: &inner, offset: 0, is_64: false };
    // What follows a PNG's end is no part of it: here another entry.
    let content = [&outer[..], &hidden.local()].concat();
    let whole = Stored { name: "a.png", content: &content, offset: 0, is_64: false };
    let hidden = Stored { offset: whole.local().len() as u64 - hidden.local().len() as u64, ..hidden };
    // And one place under many names.
    let names: Vec<String> = (0..2_000).map(|index| format!("c{index:04}.png")).collect();
    let others = names.iter().map(|name| Stored { name, content: &content, offset: 0, is_64: false });
    let files = whole.local();
    let entries: Vec<Stored> = [whole, hidden].into_iter().chain(others).collect();
    let found = shades_of("x.zip", &with_directory(files, &entries, false));
    assert_eq!((found.len(), &found[..3]), (2_002, &[3, 4, 3][..]));
}

#[test]
fn what_stands_before_and_behind_a_zip_file_is_passed_over() {
    let whole = fs::read(fixture("zip64.zip")).unwrap();
    assert_eq!(shades_of("x.zip", &[&[b'#'; 5_000][..], &whole].concat()), [1, 2, 3], "as of one that unpacks itself");
    assert_eq!(shades_of("x.zip", &[&whole[..], &[0; 1_000]].concat()), [1, 2, 3]);
    // A comment that looks like the end of another directory.
    let mut commented = whole.clone();
    let length = commented.len();
    commented[length - 2..].copy_from_slice(&30u16.to_le_bytes());
    commented.extend([&b"PK\x05\x06"[..], &[b'x'; 26]].concat());
    assert_eq!(shades_of("x.zip", &commented), [1, 2, 3]);
}

/// The header of a file, as programs of all times write it.
fn header(name: &[u8], size: &[u8; 12], kind: u8, magic: &[u8; 8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..name.len()].copy_from_slice(name);
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(size);
    header[148..156].fill(b' ');
    header[156] = kind;
    header[257..265].copy_from_slice(magic);
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// A picture with its header.
pub fn entry(name: &[u8], value: u8, magic: &[u8; 8]) -> Vec<u8> {
    let mut content = shade(value);
    let size = format!("{:011o}\0", content.len());
    content.resize(content.len().next_multiple_of(512), 0);
    [header(name, size.as_bytes().try_into().unwrap(), b'0', magic), content].concat()
}

const USTAR: &[u8; 8] = b"ustar\x0000";
pub const GNU: &[u8; 8] = b"ustar  \0";
/// Of Unix's seventh edition.
const V7: &[u8; 8] = &[0; 8];
const END: [u8; 1024] = [0; 1024];

#[test]
fn sizes_of_tar_files_are_read_in_every_notation() {
    let content = shade(6);
    let mut binary = [0; 12];
    binary[0] = 0x80;
    binary[4..].copy_from_slice(&(content.len() as u64).to_be_bytes());
    let octal = |text: String| <[u8; 12]>::try_from(text.as_bytes()).unwrap();
    let length = content.len();
    let sizes =
        [binary, octal(format!("{length:012o}")), octal(format!("{length:11o} ")), octal(format!("{length:>11o}\0"))];
    for (size, magic) in sizes.iter().flat_map(|size| [USTAR, GNU, V7].map(|magic| (size, magic))) {
        let mut tar = [header(b"a.png", size, 0, magic), content.clone()].concat();
        tar.resize(tar.len().next_multiple_of(512), 0);
        assert_eq!(shades_of("x.tar", &[&tar[..], &END].concat()), [6], "{size:?}");
    }
    // Of what is no picture too, since what follows it is not found without.
    for size in [[0xff; 12], [0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]] {
        let tar = [entry(b"a.png", 1, GNU), header(b"b.bin", &size, b'0', GNU), END.to_vec()].concat();
        assert!(refusal_of("x.tar", &tar).contains("copy or download it again"));
    }
}

#[test]
fn a_tar_file_ends_where_it_says_or_with_the_file() {
    let whole = [entry(b"a.png", 1, GNU), entry(b"b.png", 2, GNU)].concat();
    for end in [&END[..], &END[..512], &[], &[0; 10_240]] {
        assert_eq!(shades_of("x.tar", &[&whole[..], end].concat()), [1, 2]);
    }
    // The padding of the last file may be missing.
    assert_eq!(shades_of("x.tar", &whole[..whole.len() - 100]), [1, 2]);
    // As tar does: what follows the end is not looked at.
    for rest in [vec![7; 3_000], entry(b"c.png", 3, GNU)] {
        assert_eq!(shades_of("x.tar", &[&whole[..], &END, &rest].concat()), [1, 2]);
    }
    assert!(refusal_of("x.tar", &[&whole[..], &[7; 3_000]].concat()).contains("the checksum of a header is wrong"));
}

#[test]
fn names_may_be_any_bytes_and_kinds_are_told_by_content() {
    let latin = [entry(b"ka\xe4se.png", 1, USTAR), entry(b"sp ace\nline.png", 2, V7), END.to_vec()].concat();
    assert_eq!(shades_of("x.tar", &latin), [1, 2]);
    let zip = fs::read(fixture("zip64.zip")).unwrap();
    assert_eq!(shades_of("x.tar", &zip), [1, 2, 3]);
    assert_eq!(shades_of("x.zip", &latin), [1, 2]);
    assert!(
        refusal_of("x.tar", &super::gzip(&latin))
            .contains("a gzip file, which is not read in place; unpack it to .tar")
    );
    // Of directories, devices and pipes nothing is read, whatever their names.
    let kinds: Vec<u8> = b"3456".iter().flat_map(|kind| header(b"x.png", b"00000000000\0", *kind, GNU)).collect();
    assert_eq!(shades_of("x.tar", &[kinds, entry(b"a.png", 9, GNU), END.to_vec()].concat()), [9]);
}

#[test]
fn archives_without_pictures_say_what_they_hold() {
    let inner = fs::read(fixture("zip64.zip")).unwrap();
    let nested = Stored { name: "a/x.zip", content: &inner, offset: 0, is_64: false };
    let only = with_directory(nested.local(), &[nested], false);
    let text = refusal_of("x.zip", &only);
    assert!(
        text.contains("hold no PNG") && text.contains("1 archive within an archive passed over; unpack it"),
        "{text}"
    );
    let empty = with_directory(Vec::new(), &[], false);
    assert!(refusal_of("x.zip", &empty).contains("hold no PNG"));
    for empty in [&[][..], &END] {
        let (_place, path) = written("x.tar", empty);
        refused(opened(&path));
        refused(opened(path.parent().unwrap()));
    }
    assert!(refusal_of("x.zip", &[]).contains("not a zip file"));
}
