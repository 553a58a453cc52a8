//! Archives as other programs write them, and damaged or hostile ones: what counts is read, what cannot be is said, and
//! nothing is ever unpacked.

use std::fs::{self, File};
use std::path::Path;

use gan::data::{DataOptions, Dataset, ImageShape, open};
use image::ImageFormat;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;
use zip::CompressionMethod;

use super::archives::{tar, zip};
use super::pictures::{encode, grey};
use super::refused;
use crate::support::Workplace;

const SHAPE: ImageShape = ImageShape::new(28, 28, 1);

pub fn opened(path: &Path) -> anyhow::Result<Dataset> {
    open(path.to_str().unwrap(), &DataOptions::default(), SHAPE, &|_, _, _| {})
}

/// The first pixel of each picture to train on.
pub fn shades(path: &Path) -> Vec<u8> {
    let images = opened(path).unwrap().train.to_images().unwrap();
    (0..images.len()).map(|index| images.image(index)[0]).collect()
}

pub fn shade(value: u8) -> Vec<u8> {
    grey(value, 28, 28)
}

fn header(kind: EntryType, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header.set_mode(0o644);
    header
}

fn append(archive: &mut Builder<File>, name: &str, content: &[u8]) {
    archive.append_data(&mut header(EntryType::Regular, content.len()), name, content).unwrap();
}

fn place() -> (TempDir, std::path::PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("set.tar");
    (place, path)
}

#[test]
fn of_entries_with_one_name_the_last_counts() {
    let (place, path) = place();
    let entries = [("./a.png", 1), ("b.png", 2), ("a.png", 3), ("c.png", 4), ("a.png", 5)];
    let entries = entries.map(|(name, value)| (name.to_string(), shade(value)));
    tar(&path, &entries);
    assert_eq!(shades(&path), [5, 2, 4]);
    // A zip writer refuses to write a name twice: it is changed afterwards, to one of the same length.
    let path = place.path().join("set.zip");
    let entries = [("a.png", 1), ("b.png", 2), ("z.png", 3)].map(|(name, value)| (name.to_string(), shade(value)));
    zip(&path, &entries, CompressionMethod::Stored);
    let mut bytes = fs::read(&path).unwrap();
    for at in 0..bytes.len() - 5 {
        if &bytes[at..at + 5] == b"z.png" {
            bytes[at] = b'a';
        }
    }
    fs::write(&path, bytes).unwrap();
    assert_eq!(shades(&path), [3, 2]);
}

#[test]
fn links_directories_and_long_names_are_read_as_tar_writes_them() {
    let (_place, path) = place();
    let mut archive = Builder::new(File::create(&path).unwrap());
    let folder = header(EntryType::Directory, 0);
    archive.append_data(&mut folder.clone(), "set", &[][..]).unwrap();
    archive.append_data(&mut folder.clone(), "set/folder.png", &[][..]).unwrap(); // no picture, whatever its name
    append(&mut archive, "set/a.png", &shade(1));
    archive.append_link(&mut header(EntryType::Link, 0), "set/b.png", "set/a.png").unwrap();
    archive.append_link(&mut header(EntryType::Symlink, 0), "set/c.png", "a.png").unwrap();
    // Of GNU.
    append(&mut archive, &format!("set/{}.png", "long".repeat(60)), &shade(2));
    // Of POSIX.
    let name = format!("set/{}.png", "longer".repeat(60));
    archive.append_pax_extensions([("path", name.as_bytes()), ("mtime", b"1.5".as_slice())]).unwrap();
    append(&mut archive, "set/short.txt", &shade(3));
    archive.append_pax_extensions([("linkpath", b"set/a.png".as_slice())]).unwrap();
    archive.append_link(&mut header(EntryType::Link, 0), "set/d.png", "elsewhere.png").unwrap();
    for name in ["../../outside.png", "/outside.png"] {
        let mut hostile = header(EntryType::Regular, shade(4).len());
        hostile.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        hostile.set_cksum();
        archive.append(&hostile, &shade(4)[..]).unwrap();
    }
    archive.finish().unwrap();
    drop(archive);
    assert_eq!(shades(&path), [4, 1, 1, 1, 3, 2], "in the order of names; what begins with a dot is hidden");
    let notes = opened(&path).unwrap().notes.join("\n");
    assert!(notes.contains("1 picture passed over: it is a symbolic link"), "{notes}");
}

#[test]
fn damaged_and_hostile_tar_files_are_refused_in_words() {
    let (_place, path) = place();
    let refusal = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let text = refused(opened(&path));
        assert!(text.starts_with(path.to_str().unwrap()) && text.lines().count() <= 3, "{text}");
        text
    };
    let built = |add: &dyn Fn(&mut Builder<File>)| {
        let mut archive = Builder::new(File::create(&path).unwrap());
        append(&mut archive, "a.png", &shade(1));
        add(&mut archive);
        archive.finish().unwrap();
        drop(archive);
        fs::read(&path).unwrap()
    };
    let whole = built(&|archive| append(archive, "b.png", &shade(2)));
    for cut in [512 + 10, whole.len() - 1024 - 512 + 10] {
        let text = refusal(&whole[..cut]);
        assert!(text.contains("cut short in ") && text.contains("copy or download it again"), "{text}");
    }
    assert!(refusal(&whole[..1024 + 100]).contains("cut short in a header"));
    let mut damaged = whole.clone();
    damaged[1024 + 3] ^= 1;
    assert!(refusal(&damaged).contains("damaged before its byte 1536: the checksum of a header is wrong"));
    assert!(refusal(&[7; 2048]).contains("not a tar file"));
    let mut claims = header(EntryType::Regular, 8 << 30);
    claims.set_path("b.png").unwrap();
    claims.set_cksum();
    let claiming = |header: &Header| [&whole[..1024], header.as_bytes(), &[0; 1024]].concat();
    assert!(refusal(&claiming(&claims)).contains("cut short in b.png"));
    claims.as_old_mut().size = [0xff; 12]; // more than 2^64, in binary
    claims.set_cksum();
    assert!(refusal(&claiming(&claims)).contains("copy or download it again"));
    claims.as_old_mut().size = *b"eight bytes\0";
    claims.set_cksum();
    assert!(refusal(&claiming(&claims)).contains("a size is no number"));

    // A name of 2 GiB, in a file with holes, is not read.
    let mut long = header(EntryType::GNULongName, 2 << 30);
    long.set_path("././@LongLink").unwrap();
    long.set_cksum();
    fs::write(&path, claiming(&long)).unwrap();
    File::options().append(true).open(&path).unwrap().set_len(3 << 30).unwrap();
    let text = refused(opened(&path));
    assert!(text.contains("a name or header of 2147483648 bytes"), "{text}");

    let sparse = built(&|archive| {
        archive.append_pax_extensions([("GNU.sparse.name", b"b.png".as_slice())]).unwrap();
        append(archive, "GNUSparseFile.0/b.png", &shade(2));
    });
    assert!(refusal(&sparse).contains("b.png is stored without its zeros (sparse); pack it as it is"));
    let dangling = built(&|archive| {
        archive.append_link(&mut header(EntryType::Link, 0), "b.png", "none.png").unwrap();
    });
    assert!(refusal(&dangling).contains("b.png is a link to none.png, which is not before it"));
}

#[test]
fn damaged_and_hostile_zip_files_are_refused_in_words() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("set.zip");
    zip(&path, &[("a.png".into(), shade(1)), ("b.txt".into(), vec![1; 100])], CompressionMethod::Stored);
    let whole = fs::read(&path).unwrap();
    let central = whole.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    let text = whole.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap();
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = whole.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        fs::write(&path, changed).unwrap();
        opened(&path)
    };
    for (at, bytes, problem) in [
        (central + 8, &[1, 0][..], "a.png is encrypted; unpack it"),
        (central + 10, &[12, 0], "a.png is compressed by Bzip2; unpack it"),
        (central + 10, &[77, 0], "a.png is compressed by "),
        (central + 20, &[0xf0, 0xff, 0xff, 0x7f], "cut short in a.png"),
        (central + 42, &[0xf0, 0xff, 0xff, 0x7f], "copy or download it again"),
        (central, b"PX", "copy or download it again"),
    ] {
        let refusal = refused(with(at, bytes));
        assert!(refusal.starts_with(path.to_str().unwrap()) && refusal.contains(problem), "{problem}: {refusal}");
    }
    // What is no picture may be packed in any way.
    assert_eq!(with(text + 10, &[12, 0]).unwrap().train.len(), 1);
    for cut in [10, whole.len() / 2, whole.len() - 5] {
        fs::write(&path, &whole[..cut]).unwrap();
        assert!(refused(opened(&path)).contains("copy or download it again"));
    }
}

/// A gibibyte of zeros in a mebibyte, as a picture that it is not, and as the rest of one.
#[test]
fn what_bursts_in_a_zip_file_is_not_unpacked() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("set.zip");
    let png = encode(image::GrayImage::new(3, 3), ImageFormat::Png);
    for (begin, problem) in [(&[][..], "not a PNG"), (&png, "longer than the ")] {
        let mut bomb = begin.to_vec();
        bomb.resize(100 << 20, 0);
        zip(&path, &[("a.png".into(), bomb)], CompressionMethod::Deflated);
        assert!(fs::metadata(&path).unwrap().len() < 1 << 18);
        let text = refused(opened(&path));
        assert!(text.contains("a.png") && text.contains(problem), "{text}");
    }
}

#[test]
fn compressed_tar_files_are_refused_with_what_to_do() {
    let work = Workplace::new();
    tar(&work.path("set.tar"), &[("a/a.png".into(), shade(1))]);
    let packed = super::gzip(&work.read("set.tar"));
    fs::create_dir(work.path("shards")).unwrap();
    for name in ["set.tar.gz", "shards/000000.tar.gz"] {
        fs::write(work.path(name), &packed).unwrap();
    }
    for (data, problem) in [("set.tar.gz", "unpack it (gunzip)"), ("shards", "unpack them to .tar")] {
        let ended = work.gan(&["train-gan", "--data", data]).assert().code(3);
        let text = String::from_utf8(ended.get_output().stderr.clone()).unwrap();
        assert!(text.contains(problem), "{text}");
    }
}
