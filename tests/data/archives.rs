//! Pictures in tar and zip files: the same images as from the folders that were packed.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use gan::data::memory::MemorySize;
use gan::data::{DataOptions, Dataset, ImageShape, open};
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::support::{Workplace, write_pictures};

const SHAPE: ImageShape = ImageShape::new(24, 24, 3);

/// A place with pictures of three classes in `pictures/`, to train and to test on.
fn place() -> Workplace {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 4, 2);
    work
}

/// The files of the pictures, below `pictures/`.
fn files() -> Vec<String> {
    let of = |part: &'static str, count: usize| {
        ["bar", "cross", "disc"]
            .into_iter()
            .flat_map(move |class| (0..count).map(move |index| format!("{part}/{class}/{index:03}.png")))
    };
    of("train", 4).chain(of("test", 2)).collect()
}

pub fn tar(path: &Path, entries: &[(String, Vec<u8>)]) {
    let mut archive = tar::Builder::new(File::create(path).unwrap());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    archive.finish().unwrap();
}

pub fn zip(path: &Path, entries: &[(String, Vec<u8>)], method: CompressionMethod) {
    let mut archive = ZipWriter::new(File::create(path).unwrap());
    for (name, bytes) in entries {
        archive.start_file(name, SimpleFileOptions::default().compression_method(method)).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap();
}

fn opened(path: PathBuf, memory: Option<u64>) -> Dataset {
    let options = DataOptions { data_memory: memory.map(MemorySize), ..DataOptions::default() };
    open(path.to_str().unwrap(), &options, SHAPE, &|_, _, _| {}).unwrap()
}

fn assert_same(found: &Dataset, expected: &Dataset) {
    for (found, expected) in [(&found.train, &expected.train), (&found.test, &expected.test)] {
        assert_eq!(found.to_images().unwrap(), expected.to_images().unwrap());
    }
}

#[test]
fn a_packed_folder_is_read_in_place() {
    let work = place();
    let expected = opened(work.path("pictures"), None);
    let entries: Vec<_> =
        files().iter().map(|name| (format!("set/{name}"), work.read(&format!("pictures/{name}")))).collect();
    zip(&work.path("stored.zip"), &entries, CompressionMethod::Stored);
    zip(&work.path("deflated.zip"), &entries, CompressionMethod::Deflated);
    tar(&work.path("set.tar"), &entries);
    for archive in ["stored.zip", "deflated.zip", "set.tar"] {
        for memory in [None, Some(0)] {
            let found = opened(work.path(archive), memory);
            assert_same(&found, &expected);
            assert_eq!(found.classes, ["bar", "cross", "disc"], "{archive}");
            assert_eq!(found.train.contiguous().is_some(), memory.is_none(), "{archive}");
        }
    }
    // Beside the folders that were packed, the archive is passed over.
    fs::rename(work.path("stored.zip"), work.path("pictures/stored.zip")).unwrap();
    assert_same(&opened(work.path("pictures"), None), &expected);
}

#[test]
fn the_shards_of_a_web_dataset_have_their_classes_beside_the_pictures() {
    let work = place();
    let expected = opened(work.path("pictures"), None);
    fs::create_dir(work.path("shards")).unwrap();
    for (shard, part) in [("train-000000", "train"), ("train-000001", "train"), ("test-000000", "test")] {
        let of_part: Vec<_> = files().into_iter().filter(|name| name.starts_with(part)).collect();
        let half = if part == "train" { of_part.len() / 2 } else { of_part.len() };
        let of_shard = of_part.chunks(half).nth(usize::from(shard.ends_with('1'))).unwrap();
        let mut entries = Vec::new();
        for (index, name) in of_shard.iter().enumerate() {
            let class = ["bar", "cross", "disc"].iter().position(|class| name.contains(class)).unwrap();
            entries.push((format!("{index:06}.png"), work.read(&format!("pictures/{name}"))));
            entries.push((format!("{index:06}.cls"), format!("{class}\n").into_bytes()));
            entries.push((format!("{index:06}.json"), b"{}".to_vec()));
        }
        tar(&work.path(&format!("shards/{shard}.tar")), &entries);
    }
    let found = opened(work.path("shards"), None);
    assert_same(&found, &expected);
    assert_eq!(found.classes, ["0", "1", "2"]);
}

#[test]
fn archives_are_embedded_and_broken_ones_are_named() {
    let work = place();
    let entries: Vec<_> = files().iter().map(|name| (name.clone(), work.read(&format!("pictures/{name}")))).collect();
    tar(&work.path("set.tar"), &entries);
    let of = |data: &str| {
        let output = work.gan(&["embed", data, "--weights", "bundled", "-o", "-"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap().replace("set.tar/", "pictures/");
        let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
        lines.sort();
        lines
    };
    let found = of("set.tar");
    assert!(found.len() == 19 && found == of("pictures"));

    let bytes = work.read("set.tar");
    fs::create_dir(work.path("cut")).unwrap();
    fs::write(work.path("cut/set.tar"), &bytes[..bytes.len() / 2]).unwrap();
    let refused = work.gan(&["data", "cut"]).assert().code(3);
    let said = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(said.contains("cut/set.tar"), "{said}");
}
