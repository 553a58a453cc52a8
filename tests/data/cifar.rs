//! CIFAR-10: the same pixels from batches, archive and parquet, damage, downloads.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use anyhow::Result;
use gan::data::catalogue::{Files, NamedSet, SETS};
use gan::data::download::Downloader;
use gan::data::{DataOptions, Dataset, ImageShape, cifar, named, open};
use image::{ImageFormat, RgbImage};
use sha2::{Digest, Sha256};

use super::downloads::quick;
use super::server::{Server, rest, status, whole};
use super::{gzip, in_memory, open_directory, parquet_files, refused};

const COLOUR: ImageShape = cifar::SHAPE;

/// An image that no flip, transposition or exchange of channels leaves as it is: (32, 32, 3).
fn pixels(index: usize) -> Vec<u8> {
    let pixel = |row: usize, column: usize| [7 * column + index, 5 * row + 3 * index, 9 * row * column + 11 * index];
    (0..1024).flat_map(|at| pixel(at / 32, at % 32).map(|value| (value % 256) as u8)).collect()
}

/// The record of image `index`: its label, then its planes.
fn record(index: usize) -> Vec<u8> {
    let pixels = pixels(index);
    let planes = (0..3).flat_map(|channel| pixels.iter().skip(channel).step_by(3).copied().collect::<Vec<_>>());
    [(index % 10) as u8].into_iter().chain(planes).collect()
}

/// The six batches of `size` images each; image i of the training part is number i % `period`.
fn batches(size: usize, period: usize) -> [(&'static str, Vec<u8>); 6] {
    let mut at = 0;
    cifar::BATCHES.map(|name| {
        let first = if name == "test_batch.bin" { 0 } else { at };
        at += size;
        (name, (first..first + size).flat_map(|index| record(index % period)).collect())
    })
}

fn write_folder(folder: &Path, batches: &[(&str, Vec<u8>)]) {
    fs::create_dir_all(folder).unwrap();
    for (name, bytes) in batches {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

/// A tar archive of these paths, whatever they are.
fn tar(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in members {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(if path.ends_with('/') { tar::EntryType::Directory } else { tar::EntryType::Regular });
        header.set_cksum();
        builder.append(&header, &bytes[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

fn archive(batches: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let paths: Vec<String> = batches.iter().map(|(name, _)| format!("{}/{name}", cifar::FOLDER)).collect();
    let folder = [("cifar-10-batches-bin/", Vec::new()), ("cifar-10-batches-bin/readme.html", b"<html>".to_vec())];
    let members: Vec<(&str, Vec<u8>)> = folder
        .into_iter()
        .chain(paths.iter().map(String::as_str).zip(batches.iter().map(|batch| batch.1.clone())))
        .collect();
    gzip(&tar(&members))
}

fn png(index: usize) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_raw(32, 32, pixels(index)).unwrap().write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[test]
fn batches_archive_and_parquet_give_the_same_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let batches = batches(2, 5);
    write_folder(&at("plain"), &batches);
    write_folder(&at("nested/cifar-10-batches-bin"), &batches);
    fs::create_dir(at("packed")).unwrap();
    fs::write(at("packed/cifar-10-binary.tar.gz"), archive(&batches)).unwrap();
    fs::write(at("any-name.tgz"), archive(&batches)).unwrap();
    let rows: Vec<(Vec<u8>, i64)> = (0..5).map(|index| (png(index), index as i64)).collect();
    fs::create_dir(at("hub")).unwrap();
    parquet_files::write(&at("hub/train.parquet"), &rows, "[]");
    parquet_files::write(&at("hub/test.parquet"), &rows[..1], "[]");

    let plain = open_directory(&at("plain"), COLOUR).unwrap();
    assert_eq!((plain.train.len(), plain.test.len(), plain.classes[9].as_str()), (10, 2, "truck"));
    assert_eq!(in_memory(&plain.train).labels, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    assert_eq!(in_memory(&plain.train).pixels[..3072], pixels(0));
    assert_eq!(in_memory(&plain.train).pixels[3072..6144], pixels(1));
    // Top right: red grows to the right, green downwards.
    assert_eq!(in_memory(&plain.train).pixels[31 * 3..32 * 3], [217, 0, 0]);
    assert_eq!(in_memory(&plain.train).pixels[31 * 32 * 3..][..3], [0, 155, 0]);
    for other in ["nested", "nested/cifar-10-batches-bin", "packed", "any-name.tgz"] {
        let other = open_directory(&at(other), COLOUR).unwrap();
        assert_eq!(
            (in_memory(&other.train), in_memory(&other.test), other.classes),
            (in_memory(&plain.train), in_memory(&plain.test), plain.classes.clone())
        );
    }
    let hub = open_directory(&at("hub"), COLOUR).unwrap();
    assert_eq!(in_memory(&hub.train), in_memory(&plain.train));
    assert_eq!(in_memory(&hub.test).pixels[..3072], pixels(0));
    // As the GANs take them.
    let grey = open_directory(&at("plain"), super::GREY).unwrap();
    assert_eq!((grey.train.len(), in_memory(&grey.train).pixels.len()), (10, 7840));
}

#[test]
fn damaged_batches_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = |spoil: &dyn Fn(&Path)| {
        write_folder(folder.path(), &batches(2, 99));
        spoil(folder.path());
        refused(open_directory(folder.path(), COLOUR))
    };
    let third = record(3);
    let write = |name: &'static str, bytes: Vec<u8>| move |folder: &Path| fs::write(folder.join(name), &bytes).unwrap();
    let text = outcome(&write("data_batch_3.bin", third[..3000].to_vec()));
    assert!(text.contains("data_batch_3.bin: 3000 bytes") && text.contains("3073"), "{text}");
    let text = outcome(&write("data_batch_3.bin", third.clone()));
    assert!(text.contains("data_batch_3.bin: 1 images, where data_batch_1.bin has 2"), "{text}");
    let mut label = [&third[..], &third[..]].concat();
    label[3073] = 10;
    let text = outcome(&write("test_batch.bin", label));
    assert!(text.contains("test_batch.bin: image 1 has the label 10, expected 0 to 9"), "{text}");
    let text = outcome(&write("data_batch_5.bin", Vec::new()));
    assert!(text.contains("data_batch_5.bin: no images"), "{text}");
    for gone in ["data_batch_1.bin", "data_batch_4.bin", "test_batch.bin"] {
        let text = outcome(&|folder| fs::remove_file(folder.join(gone)).unwrap());
        assert!(text.contains(&format!("{gone}: no such file")), "{text}");
    }
}

#[test]
fn damaged_and_hostile_archives_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.tar.gz");
    let outcome = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        open_directory(&path, COLOUR)
    };
    let refusal = |bytes: &[u8]| {
        let text = refused(outcome(bytes));
        assert!(text.contains("set.tar.gz"), "{text}");
        text
    };
    let batches = batches(2, 99);
    let good = archive(&batches);
    let set = outcome(&good).unwrap();
    assert_eq!((set.train.len(), set.name.as_str()), (10, "set.tar.gz"));
    for cut in [0, 1, 20, good.len() / 2, good.len() - 9, good.len() - 1] {
        refusal(&good[..cut]);
    }
    let mut checksum = good.clone();
    checksum[good.len() - 8] ^= 1;
    refusal(&checksum);
    for at in (0..good.len()).step_by(97) {
        let mut damaged = good.clone();
        damaged[at] ^= 0x10;
        if let Err(error) = outcome(&damaged) {
            assert_eq!(gan::commands::exit_code::exit_code(&error), 3, "{error}");
        }
    }
    // Not packed, and paths that lead elsewhere: the names alone count, and nothing is written anywhere.
    let elsewhere: Vec<(String, Vec<u8>)> =
        batches.iter().map(|(name, bytes)| (format!("/../../../{name}"), bytes.clone())).collect();
    let elsewhere: Vec<(&str, Vec<u8>)> =
        elsewhere.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    assert_eq!(in_memory(&outcome(&tar(&elsewhere)).unwrap().train), in_memory(&set.train));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    let twice: Vec<_> = batches.iter().chain(&batches[..1]).cloned().collect();
    assert!(refusal(&archive(&twice)).contains("data_batch_1.bin: it is there twice"));
    assert!(refusal(&archive(&batches[..5])).contains("an archive without test_batch.bin"));
    let python = [("cifar-10-batches-py/data_batch_1", vec![0; 99])];
    assert!(refusal(&gzip(&tar(&python))).contains("cifar-10-binary.tar.gz"));
    // A header that claims a terabyte, and a name that claims one.
    for kind in [tar::EntryType::Regular, tar::EntryType::GNULongName] {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..16].copy_from_slice(b"data_batch_1.bin");
        header.set_size(1 << 40);
        header.set_entry_type(kind);
        header.set_cksum();
        refusal(&gzip(&[&header.as_bytes()[..], &record(0)].concat()));
    }
    let mut link = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    link.append_link(&mut header, "data_batch_1.bin", "/etc/passwd").unwrap();
    assert!(refusal(&link.into_inner().unwrap()).contains("without data_batch_1.bin"));
    fs::write(folder.path().join("set.zip"), b"PK").unwrap();
    assert!(refused(open_directory(&folder.path().join("set.zip"), COLOUR)).contains("set.zip"));
}

/// A set of ten images a batch, and its archive.
fn small_set() -> (NamedSet, Vec<u8>) {
    let batches = batches(10, 50);
    let sha256 = batches.each_ref().map(|(_, bytes)| {
        let text: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        &*Box::leak(text.into_boxed_str())
    });
    let set = NamedSet { files: Files::Cifar { bytes: 200_000, sha256, batch: 10 }, ..cifar10() };
    (set, archive(&batches))
}

fn cifar10() -> NamedSet {
    *SETS.iter().find(|set| set.name == "cifar10").unwrap()
}

fn open_small(set: &NamedSet, data_dir: &Path, mirrors: &[String]) -> Result<Dataset> {
    named::open_from(set, data_dir, mirrors, &Downloader { tries: 1, ..quick() }, &|_, _, _| ())
}

#[test]
fn the_archive_is_downloaded_once_in_parts_and_from_the_mirror_that_has_the_original() {
    let folder = tempfile::tempdir().unwrap();
    let (set, packed) = small_set();
    let cut = packed.len() / 3;
    let mut other = batches(10, 50);
    other[2].1[5] ^= 1;
    let other = archive(&other);
    let body = packed.clone();
    let server = Server::start(move |_, request| match (request.path.as_str(), request.from) {
        ("wrong/cifar10/cifar-10-binary.tar.gz", _) => whole(&other, usize::MAX),
        ("half/cifar10/cifar-10-binary.tar.gz", _) => whole(&body[..cut], usize::MAX),
        ("cifar10/cifar-10-binary.tar.gz", None) => whole(&body, cut),
        ("cifar10/cifar-10-binary.tar.gz", Some(from)) => rest(&body, from, usize::MAX),
        _ => status("404 Not Found"),
    });
    let mirror = |path: &str| named::mirrors(&set, Some(&server.url(path))).remove(0);
    let text = refused(open_small(&set, folder.path(), &[mirror("wrong"), mirror("half")]));
    for part in ["SHA-256 of data_batch_3.bin is", "damaged file", "--data cifar10", "--data shapes"] {
        assert!(text.contains(part), "{text}");
    }
    let first = open_small(&set, folder.path(), &[mirror("wrong"), mirror("")]).unwrap();
    assert_eq!(server.seen(), [None, None, None, None, Some(cut)]);
    assert_eq!((first.train.len(), first.test.len(), first.classes[8].as_str()), (50, 10, "ship"));
    assert_eq!(in_memory(&first.train).pixels[..3072], pixels(0));
    assert_eq!(in_memory(&open_small(&set, folder.path(), &[]).unwrap().train), in_memory(&first.train));
}

#[test]
fn what_lies_in_the_folder_of_the_set_is_taken_in_every_layout_if_it_is_all_there() {
    let (set, packed) = small_set();
    let rows: Vec<(Vec<u8>, i64)> = (0..25).map(|index| (png(index), index as i64 % 10)).collect();
    type Layout<'a> = &'a dyn Fn(&Path);
    let layouts: [Layout; 3] = [
        &|folder| write_folder(folder, &batches(10, 50)),
        &|folder| write_folder(&folder.join(cifar::FOLDER), &batches(10, 50)),
        &|folder| fs::write(folder.join(cifar::ARCHIVE), &packed).unwrap(),
    ];
    for layout in layouts {
        let data_dir = tempfile::tempdir().unwrap();
        let folder = data_dir.path().join("cifar10");
        fs::create_dir(&folder).unwrap();
        layout(&folder);
        assert_eq!(open_small(&set, data_dir.path(), &[]).unwrap().train.len(), 50);
        // All there, but not as many of each class.
        let text = refused(open_small(&cifar10(), data_dir.path(), &[]));
        assert!(text.contains("50 images to train on") && text.contains("5000 for each label"), "{text}");
    }
    let data_dir = tempfile::tempdir().unwrap();
    let folder = data_dir.path().join("cifar10");
    fs::create_dir(&folder).unwrap();
    let balanced: Vec<(Vec<u8>, i64)> = (0..25).map(|index| (png(index), index as i64 % 5)).collect();
    parquet_files::write(&folder.join("train.parquet"), &rows, "[]");
    let text = refused(open_small(&set, data_dir.path(), &[]));
    assert!(text.contains("6 of them with the label 0"), "{text}");
    parquet_files::write(&folder.join("train.parquet"), &balanced, "[]");
    assert!(refused(open_small(&set, data_dir.path(), &[])).contains("10 of them with the label 0"));
    let mut rows: Vec<(Vec<u8>, i64)> = (0..20).map(|index| (png(index), index as i64 % 10)).collect();
    rows.extend((0..5).map(|index| (png(index), 2 * index as i64)));
    rows[20].1 = 11;
    parquet_files::write(&folder.join("train.parquet"), &rows, "[]");
    assert!(refused(open_small(&set, data_dir.path(), &[])).contains("0 to 9"));
}

#[test]
fn without_a_network_the_built_in_shapes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let text = refused(open_small(&cifar10(), folder.path(), &["http://127.0.0.1:9/".to_string()]));
    for part in ["--data cifar10", "cifar-10-binary.tar.gz", folder.path().to_str().unwrap(), "--data shapes"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
#[cfg_attr(not(has_shared_data), ignore = "needs ../shared/data beside the repository")]
fn the_real_cifar10_stands_upright_in_its_colours() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let set = open("cifar10", &DataOptions { data_dir: Some(data), ..DataOptions::default() }, COLOUR, &|_, _, _| {
        panic!("nothing to download")
    })
    .unwrap();
    assert_eq!((set.train.len(), set.test.len(), set.classes[0].as_str()), (50_000, 10_000, "airplane"));
    let mean = |label: Option<u32>, rows: std::ops::Range<usize>, channel: usize| {
        let train = in_memory(&set.train);
        let images = train.pixels.chunks(3072).zip(&train.labels);
        let images = images.filter(|(_, found)| label.is_none_or(|label| label == **found));
        let (mut sum, mut count) = (0u64, 0);
        for (image, _) in images {
            let band = &image[rows.start * 96..rows.end * 96];
            sum += band.iter().skip(channel).step_by(3).map(|pixel| u64::from(*pixel)).sum::<u64>();
            count += band.len() / 3;
        }
        sum as f64 / count as f64
    };
    // The published means of the original.
    for (channel, expected) in [125.3, 123.0, 113.9].into_iter().enumerate() {
        let found = mean(None, 0..32, channel);
        assert!((found - expected).abs() < 0.5, "channel {channel}: {found}");
    }
    // Sky above: brighter, and bluer than red. The labels of airplane and ship.
    for label in [0, 8] {
        let (top, bottom) = (mean(Some(label), 0..8, 2), mean(Some(label), 24..32, 2));
        assert!(top > bottom + 10.0, "label {label}: {top} above, {bottom} below");
        let (red, blue) = (mean(Some(label), 0..8, 0), mean(Some(label), 0..8, 2));
        assert!(blue > red + 5.0, "label {label}: red {red}, blue {blue}");
    }
    // Frogs: hardly any blue.
    assert!(mean(Some(6), 0..32, 2) + 15.0 < mean(Some(6), 0..32, 0));
}
