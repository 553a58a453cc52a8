//! Data sets: read right, refused where they lie, and cut into the same batches every time.

// What helpers of tests do, clippy's own exception for tests does not cover.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod archive_folders;
mod archives;
mod cifar;
mod directories;
mod downloads;
mod folders;
mod foreign_archives;
mod odd_archives;
mod on_demand;
pub(crate) mod parquet_files;
mod pictures;
mod server;
mod sources;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use candle_core::Device;
#[cfg(feature = "candle-datasets")]
use candle_datasets::vision;
use flate2::Compression;
use flate2::write::GzEncoder;
use gan::commands::errors;
use gan::commands::exit_code::exit_code;
use gan::data::{self, DataOptions, Dataset, ImageSet, ImageShape, Images, StepPlan, idx, open};
use gan::rng::Stream;
use proptest::prelude::*;

const GREY: ImageShape = ImageShape { height: 28, width: 28, channels: 1 };

/// The set in a directory, in memory. Where it is one of pictures, it is the same, or refused in the same words, if they are
/// decoded on demand.
fn open_directory(directory: &Path, shape: ImageShape) -> Result<Dataset> {
    let in_memory = open(directory.to_str().unwrap(), &DataOptions::default(), shape, &|_, _, _| ());
    let on_demand = on_demand::open_on_demand(directory, shape).and_then(|set| {
        [&set.train, &set.validation, &set.test].into_iter().try_for_each(|part| part.to_images().map(drop))?;
        Ok(set)
    });
    match (&in_memory, &on_demand) {
        (Ok(set), Ok(other)) => on_demand::assert_same(set, other),
        (Err(error), Err(other)) => assert_eq!(error.to_string(), other.to_string()),
        _ => panic!("{directory:?}: {:?} in memory, {:?} on demand", in_memory.err(), on_demand.err()),
    }
    in_memory
}

/// A part of a set, in memory.
fn in_memory(part: &ImageSet) -> Images {
    part.to_images().unwrap()
}

/// The text of a failure that must leave with exit code 3.
fn refused<T>(outcome: Result<T>) -> String {
    let error = outcome.err().expect("must be refused");
    assert!(!gan::error::text(&error).contains("--"), "the library names no flags: {error:#}");
    let text = errors::text(&error);
    assert_eq!(exit_code(&error), 3, "{text}");
    assert!((1..=3).contains(&text.lines().count()), "{text}");
    text
}

fn idx_bytes(dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    bytes.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Pixels that differ from place to place.
fn pixels(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at * 37 % 251) as u8).collect()
}

/// Seven images of 28x28 to train on and three to test on, in MNIST's four plain files.
fn write_set(directory: &Path) {
    let write = |name: &str, bytes: Vec<u8>| fs::write(directory.join(name), bytes).unwrap();
    write("train-images-idx3-ubyte", idx_bytes(&[7, 28, 28], &pixels(7 * 784)));
    write("train-labels-idx1-ubyte", idx_bytes(&[7], &[5, 0, 4, 1, 9, 2, 1]));
    write("t10k-images-idx3-ubyte", idx_bytes(&[3, 28, 28], &pixels(3 * 784)));
    write("t10k-labels-idx1-ubyte", idx_bytes(&[3], &[7, 2, 1]));
}

#[cfg(feature = "candle-datasets")]
#[test]
fn idx_files_are_read_as_candle_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    write_set(folder.path());
    let ours = open_directory(folder.path(), GREY).unwrap();
    assert_eq!((ours.train.len(), ours.test.len(), ours.classes.len()), (7, 3, 10));
    assert_eq!(in_memory(&ours.train).labels, [5, 0, 4, 1, 9, 2, 1]);
    let theirs = vision::mnist::load_dir(folder.path()).unwrap();
    let converted = Dataset::from_vision("mnist", &theirs).unwrap();
    assert_eq!(in_memory(&converted.train), in_memory(&ours.train));
    assert_eq!(in_memory(&converted.test), in_memory(&ours.test));

    // And back: the same floats.
    let back = ours.into_vision().unwrap();
    let floats = |tensor: &candle_core::Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(back.train_images.dims(), [7, 784]);
    assert_eq!(floats(&back.train_images), floats(&theirs.train_images));
    assert_eq!(back.labels, 10);
}

#[cfg(feature = "candle-datasets")]
#[test]
fn colour_sets_go_to_candle_and_back() {
    let images = Images { height: 2, width: 3, channels: 3, pixels: pixels(4 * 18), labels: vec![0, 1, 1, 0] };
    let set = Dataset::new("x", vec!["a".into(), "b".into()], images.clone(), images);
    let vision = set.clone().into_vision().unwrap();
    assert_eq!(vision.train_images.dims(), [4, 3, 2, 3]);
    let red_of_second_row: f32 =
        vision.train_images.get(0).unwrap().get(0).unwrap().get(1).unwrap().get(0).unwrap().to_scalar().unwrap();
    assert_eq!(red_of_second_row, f32::from(in_memory(&set.train).pixels[9]) / 255.0);
    assert_eq!(in_memory(&Dataset::from_vision("x", &vision).unwrap().train), in_memory(&set.train));
}

#[test]
fn idx_files_may_be_packed_dotted_or_of_other_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let planes = pixels(2 * 3 * 16);
    // Packed without the name saying so, channels first.
    write("train-images.idx4-ubyte", &gzip(&idx_bytes(&[2, 3, 4, 4], &planes)));
    // Two gzip members, one after the other.
    let labels = idx_bytes(&[2], &[3, 1]);
    write("train-labels.idx1-ubyte.gz", &[gzip(&labels[..5]), gzip(&labels[5..])].concat());
    let shape = ImageShape { height: 4, width: 4, channels: 3 };
    let set = open_directory(folder.path(), shape).unwrap();
    assert!(set.test.is_empty());
    assert_eq!(set.classes.len(), 4);
    assert_eq!(in_memory(&set.train).pixels[..3], [planes[0], planes[16], planes[32]]);
    // Another size and channel count than the file has.
    let grey = open_directory(folder.path(), GREY).unwrap();
    assert_eq!(
        (grey.train.shape().unwrap(), grey.train.len(), in_memory(&grey.train).pixels.len()),
        (GREY, 2, 2 * 784)
    );
    assert_eq!(in_memory(&grey.train.first(1)).pixels, in_memory(&grey.train).pixels[..784]);
    assert_eq!(in_memory(&grey.train.first(9)), in_memory(&grey.train));
}

#[test]
fn idx_files_that_lie_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train-images-idx3-ubyte");
    let outcome = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let text = refused(idx::read(&path, &[3, 4]));
        assert!(text.contains("train-images-idx3-ubyte"), "{text}");
        text
    };
    let good = idx_bytes(&[2, 4, 4], &pixels(32));
    fs::write(&path, &good).unwrap();
    assert_eq!(idx::read(&path, &[3, 4]).unwrap().data, pixels(32));

    assert!(outcome(b"").contains("cut short"));
    assert!(outcome(&good[..10]).contains("cut short"));
    assert!(outcome(&good[..47]).contains("cut short"));
    assert!(outcome(&idx_bytes(&[2], &[0, 1])).contains("00 00 08 01"));
    assert!(outcome(b"\x89PNG\r\n\x1a\n").contains("89 50 4e 47"));
    assert!(outcome(&[&good[..], &[0]].concat()).contains("more follow"));
    assert!(outcome(&idx_bytes(&[u32::MAX, u32::MAX, u32::MAX], &[])).contains("claims"));
    assert!(outcome(&idx_bytes(&[0, 28, 28], &[])).contains("claims"));
    // Four gigabytes claimed, none there: refused without taking them.
    assert!(outcome(&idx_bytes(&[1 << 20, 64, 64], &[1, 2, 3])).contains("3 follow"));

    let packed = gzip(&good);
    for cut in [packed.len() - 9, packed.len() - 1] {
        assert!(outcome(&packed[..cut]).contains("cut short"));
    }
    let mut wrong_checksum = packed.clone();
    let crc = packed.len() - 8;
    wrong_checksum[crc] ^= 1;
    outcome(&wrong_checksum);
    outcome(&[&packed[..], b"garbage"].concat());
    // A bomb: a megabyte that unpacks to a gigabyte, of which two bytes were announced.
    let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
    bomb.write_all(&idx_bytes(&[1, 1, 2], &[])).unwrap();
    for _ in 0..128 {
        bomb.write_all(&[0; 1 << 20]).unwrap();
    }
    assert!(outcome(&bomb.finish().unwrap()).contains("more follow"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_damage_to_an_idx_file_brings_the_reader_down(at in 0usize..60, byte: u8, cut in 0usize..80, packed: bool) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("images");
        let whole = idx_bytes(&[3, 4, 4], &pixels(48));
        let mut bytes = if packed { gzip(&whole) } else { whole };
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(cut.max(1));
        fs::write(&path, bytes).unwrap();
        if let Err(error) = idx::read(&path, &[3, 4]) {
            prop_assert_eq!(exit_code(&error), 3);
        }
    }
}

#[test]
fn idx_sets_with_parts_missing_say_what_was_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    write_set(folder.path());
    let remove = |name: &str| fs::remove_file(folder.path().join(name)).unwrap();
    fs::write(folder.path().join("train-labels-idx1-ubyte"), idx_bytes(&[6], &[0; 6])).unwrap();
    assert!(refused(open_directory(folder.path(), GREY)).contains("6 labels for the 7 images"));
    write_set(folder.path());
    remove("t10k-labels-idx1-ubyte");
    assert!(refused(open_directory(folder.path(), GREY)).contains("t10k-labels-idx1-ubyte"));
    remove("t10k-images-idx3-ubyte");
    assert!(open_directory(folder.path(), GREY).unwrap().test.is_empty());
    remove("train-images-idx3-ubyte");
    assert!(refused(open_directory(folder.path(), GREY)).contains("train-images-idx3-ubyte, train-images.idx3-ubyte"));
}

#[test]
fn a_name_that_is_no_set_gets_the_list_of_sets() {
    let text = refused(open("minst", &DataOptions::default(), GREY, &|_, _, _| ()));
    assert!(text.contains("digits, shapes, mnist, fashion-mnist, cifar10") && text.contains("minst"), "{text}");
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(refused(open_directory(file.path(), GREY)).contains("a file, where a directory is expected"));
}

#[test]
fn the_built_in_digits_come_in_the_shape_of_the_model() {
    let shape = ImageShape { height: 32, width: 32, channels: 3 };
    let digits = open("digits", &DataOptions::default(), shape, &|_, _, _| ()).unwrap();
    assert_eq!((digits.train.shape().unwrap(), digits.test.shape().unwrap(), digits.classes.len()), (shape, shape, 10));
    assert_eq!(in_memory(&digits.train).labels.len(), digits.train.len());
}

/// `count` images of 2x2, image i all of value i.
fn numbered(count: usize) -> Arc<Images> {
    let pixels = (0..count).flat_map(|index| [index as u8; 4]).collect();
    Arc::new(Images { height: 2, width: 2, channels: 1, pixels, labels: Vec::new() })
}

fn plan(len: usize, batch_size: usize, shuffle: bool, seed: u64) -> StepPlan {
    StepPlan::new(len, batch_size, shuffle, seed).unwrap()
}

/// The pixels of `count` batches.
fn take(plan: StepPlan, images: &Arc<Images>, first_step: u64, count: usize) -> Vec<Vec<f32>> {
    let mut batches = data::batches(images.clone(), &plan, first_step, &Device::Cpu).unwrap();
    let mut next = || {
        let batch = batches.next().unwrap();
        assert_eq!(batch.dims(), [plan.batch_size, images.height, images.width, images.channels]);
        batch.flatten_all().unwrap().to_vec1().unwrap()
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn batches_are_a_function_of_the_plan_and_the_step() {
    let (images, plan) = (numbered(23), plan(23, 5, true, 3));
    assert_eq!(plan.steps_per_epoch(), 4);
    let whole = take(plan, &images, 0, 13);
    for (step, pixels) in whole.iter().enumerate() {
        let order = Stream::new(3, "shuffle").at(plan.epoch(step as u64)).permutation(23);
        for (image, index) in pixels.chunks(4).zip(&order[step % 4 * 5..]) {
            assert_eq!(image, [2.0 * *index as f32 / 255.0 - 1.0; 4]);
        }
    }
    for first_step in [1, 4, 7, 12] {
        let resumed = take(plan, &images, first_step, 13 - first_step as usize);
        assert_eq!(resumed, whole[first_step as usize..]);
    }
    assert_ne!(take(StepPlan { seed: 4, ..plan }, &images, 0, 1), whole[..1]);
}

#[test]
fn unshuffled_batches_repeat_the_order_of_the_set() {
    let images = numbered(7);
    let batches = take(plan(7, 3, false, 0), &images, 0, 4);
    assert_eq!(batches[0], batches[2]);
    assert_eq!(batches[1][8], 2.0 * 5.0 / 255.0 - 1.0);
    let ends = Images { pixels: vec![0, 255, 0, 255], ..(*images).clone() };
    let batch = take(plan(1, 1, false, 0), &Arc::new(ends), 0, 1);
    assert_eq!(batch[0], [-1.0, 1.0, -1.0, 1.0]);
}

#[test]
fn a_batch_larger_than_the_set_is_refused_and_dropping_ends_the_thread() {
    let text = refused(StepPlan::new(7, 8, true, 0));
    assert!(text.contains("--batch-size 8") && text.contains("7 images"), "{text}");
    let images = numbered(7);
    let batches = data::batches(images.clone(), &plan(7, 2, true, 0), 0, &Device::Cpu).unwrap();
    assert_eq!(Arc::strong_count(&images), 2);
    drop(batches);
    assert_eq!(Arc::strong_count(&images), 1);
}

#[test]
#[cfg_attr(not(has_shared_data), ignore = "needs ../shared/data beside the repository")]
fn the_real_mnist_is_read_to_the_byte() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let mnist =
        open("mnist", &DataOptions { data_dir: Some(data.clone()), ..DataOptions::default() }, GREY, &|_, _, _| {
            panic!("nothing to download")
        })
        .unwrap();
    assert_eq!((mnist.train.len(), mnist.test.len()), (60_000, 10_000));
    assert_eq!(in_memory(&mnist.train).labels[..5], [5, 0, 4, 1, 9]);
    let mean = in_memory(&mnist.train).pixels.iter().map(|pixel| f64::from(*pixel)).sum::<f64>() / 47_040_000.0;
    assert!((mean - 33.318).abs() < 0.001, "mean pixel {mean}");
    let same = open_directory(&data.join("mnist"), GREY).unwrap();
    assert_eq!(same.name, "mnist");
    assert!(in_memory(&same.train) == in_memory(&mnist.train) && in_memory(&same.test) == in_memory(&mnist.test));
}
