//! Pictures that are not held in memory, but in a cache or not at all: the same bytes as from memory.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use gan::data::holding::DataCache;
use gan::data::identity::Identity;
use gan::data::memory::MemorySize;
use gan::data::{DataOptions, Dataset, ImageShape, open};
use image::{ImageFormat, Rgb, RgbImage};

use super::pictures::{encode, grey, write};
use super::{GREY, in_memory, refused};
use crate::support::{TINY, Workplace, bytes_of, write_pictures};

/// The set in a directory with nothing in memory that need not be.
pub fn open_on_demand(directory: &Path, shape: ImageShape) -> Result<Dataset> {
    let (data_memory, data_cache) = (Some(MemorySize(0)), Some(DataCache::None));
    let options = DataOptions { data_memory, data_cache, ..DataOptions::default() };
    open(directory.to_str().unwrap(), &options, shape, &|_, _, _| ())
}

/// Fails where the parts of two sets differ, or the hashes by which a run knows them.
pub fn assert_same(set: &Dataset, other: &Dataset) {
    for (part, of_other) in [(&set.train, &other.train), (&set.validation, &other.validation), (&set.test, &other.test)]
    {
        assert!(in_memory(part) == in_memory(of_other), "{}", set.name);
    }
    assert_eq!((&set.name, &set.classes), (&other.name, &other.classes));
    let [known, known_of_other] = [set, other].map(|set| Identity::of(set).unwrap());
    assert!(known.is_same(&known_of_other), "{}", known.difference(&known_of_other));
    let [pixels, pixels_of_other] = [set, other].map(|set| Identity::of_pixels(set, &|_| ()).unwrap());
    assert!(pixels.is_same(&pixels_of_other) && pixels.is_same(&known_of_other));
}

/// Sizes, colours and the place of each part and class.
fn write_mixed(directory: &Path) {
    for (part, count) in [("train", 9), ("val", 2), ("test", 4)] {
        for class in ["a", "b"] {
            for index in 0..count {
                let name = format!("{part}/{class}/{index}.png");
                let shade = index as u8 * 20 + class.as_bytes()[0];
                let colour = RgbImage::from_fn(20 + index, 31, |x, y| Rgb([shade, (x * 9) as u8, (y * 7) as u8]));
                match index % 2 {
                    0 => write(directory, &name, &grey(shade, 28, 28)),
                    _ => write(directory, &name, &encode(colour, ImageFormat::Png)),
                }
            }
        }
    }
}

#[test]
fn pictures_that_do_not_fit_into_memory_are_decoded_on_demand() {
    let folder = tempfile::tempdir().unwrap();
    let place = tempfile::tempdir().unwrap();
    write_mixed(folder.path());
    for shape in [GREY, ImageShape { height: 10, width: 16, channels: 3 }] {
        let with = |memory: Option<u64>, cache: &DataCache| {
            let (data_memory, data_cache) = (memory.map(MemorySize), Some(cache.clone()));
            let options = DataOptions { data_memory, data_cache, ..DataOptions::default() };
            open(folder.path().to_str().unwrap(), &options, shape, &|_, _, _| ()).unwrap()
        };
        let (none, cache) = (DataCache::None, DataCache::In(place.path().into()));
        let bytes = 30 * shape.stride() as u64; // of all parts
        let held = ["held in memory", "decoded once, then read from a cache", "decoded each time they are used"];
        for (memory, cache, how) in [
            (None, &cache, 0),
            (Some(bytes), &cache, 0),
            (Some(bytes - 1), &cache, 1),
            (Some(0), &cache, 1),
            (Some(bytes - 1), &none, 2),
            (Some(0), &none, 2),
        ] {
            let set = with(memory, cache);
            assert_eq!(set.train.contiguous().is_some(), how == 0, "{memory:?} of {bytes}");
            let said: Vec<&String> =
                set.notes.iter().filter(|note| held.iter().any(|held| note.contains(held))).collect();
            assert!(said.len() == 1 && said[0].contains(held[how]), "{:?}", set.notes);
            // In a cache they come from the file the second time.
            for _ in 0..2 {
                assert_same(&with(None, cache), &set);
            }
            assert_same(&with(None, cache).cut(Some(7), true).unwrap(), &set.cut(Some(7), true).unwrap());
        }
        let (whole, part) = (with(None, &none), "0.4".parse().ok());
        let apart = |set: Dataset| Dataset { test: set.test.select(&[]), ..set }.with_test_part(part, true).unwrap();
        for cache in [&none, &cache] {
            assert_same(&apart(whole.clone()), &apart(with(Some(0), cache)));
        }
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "a cache has no name");
    }
}

#[test]
fn a_picture_that_changes_after_the_set_was_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    write_mixed(folder.path());
    let set = open_on_demand(folder.path(), GREY).unwrap();
    let path = folder.path().join("test/b/3.png");
    let whole = fs::read(&path).unwrap();
    for (change, found) in [
        (Some(&whole[..whole.len() / 2]), "cannot be decoded: "),
        (Some(b"no picture"), "cannot be decoded: not a PNG"),
        (Some(&grey(1, 28, 28)), "it was changed since the set was opened"),
        (Some(&whole), "it was changed since the set was opened"),
        (None, ""),
    ] {
        match change {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let text = refused(set.test.to_images());
        assert!(text.starts_with(&format!("{}: {found}", path.display())), "{text}");
        assert!(refused(Identity::of_pixels(&set, &|_| ())).contains("3.png"));
        Identity::of(&set).unwrap(); // it was read when the set was opened
        set.train.to_images().unwrap();
    }
}

/// Not a panic, and not another picture in its place.
#[test]
fn a_picture_that_breaks_during_training_ends_it_and_is_named() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 12, 4);
    let held = ["--data-memory", "0", "--data-cache", "none"];
    let flags = [&["--data", "pictures", "--run", "run", "--steps", "1000000"], &held[..]].concat();
    let mut training = work.spawn(&[TINY, &flags[..]].concat()).stderr(Stdio::piped()).spawn().unwrap();
    while fs::read(work.path("weights/run/metrics.jsonl")).unwrap_or_default().is_empty() {
        assert!(training.try_wait().unwrap().is_none(), "it ended before anything was broken");
        thread::sleep(Duration::from_millis(10));
    }
    for index in 0..12 {
        fs::write(work.path(&format!("pictures/train/disc/{index:03}.png")), b"broken").unwrap();
    }
    let output = training.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{text}");
    let said: Vec<&str> = text.lines().rev().take(2).collect(); // and the last line says what to do
    assert!(said[1].contains("pictures/train/disc/0") && said[1].contains("cannot be decoded"), "{text}");
    assert!(said[0].contains("--skip-broken"), "{text}");
    assert!(work.path("weights/run").is_dir());
}

/// In one go, and stopped and resumed with the images held otherwise.
#[test]
fn training_on_demand_leaves_the_bytes_of_training_from_memory() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 12, 4);
    let on_demand = ["--data-memory", "0", "--data-cache", "none"];
    let cached = ["--data-memory", "0", "--data-cache", "."];
    let pictures = ["--data", "pictures"];
    work.train("memory", "8", &pictures);
    let output = work.train("demand", "8", &[&pictures[..], &on_demand].concat()).get_output().stderr.clone();
    assert!(String::from_utf8(output).unwrap().contains("decoded each time they are used"));
    let output = work.train("cached", "8", &[&pictures[..], &cached].concat()).get_output().stderr.clone();
    assert!(String::from_utf8(output).unwrap().contains("decoded once, then read from a cache in .: they take "));
    work.train("stopped", "4", &[&pictures[..], &cached].concat());
    work.gan(&[&["train-gan", "--resume", "stopped", "--steps", "8"], &on_demand[..]].concat()).assert().success();
    work.train("resumed", "4", &[&pictures[..], &on_demand].concat());
    work.gan(&["train-gan", "--resume", "resumed", "--steps", "8"]).assert().success();
    work.train("again", "4", &pictures);
    work.gan(&["train-gan", "--resume", "again", "--steps", "8", "--data-memory", "1kB"]).assert().success();
    let tensors = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/step-00000008.safetensors")));
    let expected = tensors("memory");
    for run in ["demand", "cached", "stopped", "resumed", "again"] {
        assert!(tensors(run) == expected, "{run}");
        assert_eq!(
            work.read(&format!("samples/{run}/step-00000008.png")),
            work.read("samples/memory/step-00000008.png")
        );
    }
    assert!(!fs::read_dir(work.path("")).unwrap().any(|name| name.unwrap().path().to_string_lossy().contains("cache")));
    let no_cache = [&pictures[..], &["--data-memory", "0", "--data-cache", "missing", "--run", "x", "--steps", "1"]];
    let refused = work.gan(&[&[TINY], &no_cache[..]].concat().concat()).assert().code(5);
    let text = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(text.contains("missing: no cache of decoded images") && text.contains("--data-cache none"), "{text}");
    let refused = work.gan(&[TINY, &["--data-memory", "much", "--run", "x", "--steps", "1"]].concat()).assert().code(2);
    let text = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(text.contains("--data-memory") && text.contains("512MiB"), "{text}");
}

/// A run from before pictures were known by their encoded bytes.
#[test]
fn an_older_run_is_compared_by_its_pixels() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 12, 4);
    work.train("run", "4", &["--data", "pictures"]);
    let path = work.path("weights/run/step-00000004.safetensors");
    let mut archive = gan::checkpoint::read(&path).unwrap();
    let mut known: serde_json::Value = serde_json::from_str(&archive.metadata["gan.data"]).unwrap();
    for part in ["train", "test"] {
        assert!(known[part].as_object_mut().unwrap().remove("encoded").is_some());
    }
    archive.metadata.insert("gan.data".into(), known.to_string());
    fs::write(&path, gan::checkpoint::to_bytes(&archive).unwrap()).unwrap();
    let resume = ["train-gan", "--resume", "run", "--data-memory", "0", "--data-cache", "none", "--steps"];
    let said = |steps: &str, code: i32| {
        let ended = work.gan(&[&resume[..], &[steps]].concat()).assert().code(code);
        String::from_utf8(ended.get_output().stderr.clone()).unwrap()
    };
    assert!(said("5", 0).contains("all are decoded once, to compare"));
    assert!(!said("6", 0).contains("all are decoded once"), "from now on it knows more");
    let picture = work.path("pictures/train/disc/000.png");
    fs::copy(work.path("pictures/train/disc/001.png"), &picture).unwrap();
    let refused = said("7", 3);
    assert!(refused.contains("training images: 36 of sha256 ") && !refused.contains("test images"), "{refused}");
}

#[test]
fn an_encoder_is_pretrained_and_probed_on_demand_as_from_memory() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 12, 4);
    let on_demand: &[&str] = &["--data-memory", "0", "--data-cache", "none"];
    let cached: &[&str] = &["--data-memory", "0", "--data-cache", "."];
    let tables: Vec<String> = [("memory", &[][..]), ("demand", on_demand), ("cached", cached)]
        .into_iter()
        .map(|(run, flags)| {
            let pretrain = ["pretrain-simclr", "--data", "pictures", "--batch-size", "8", "--steps", "2", "--run", run];
            work.gan(&[&pretrain[..], &["--knn-every", "1"], flags].concat()).assert().success();
            let weights = format!("weights/{run}");
            let probe = ["finetune", "--weights", &weights, "--labels", "0.5", "--epochs", "1", "--json", "-q"];
            let table = work.gan(&[&probe[..], flags].concat()).assert().success().get_output().stdout.clone();
            let mut row: serde_json::Value = serde_json::from_slice(&table).unwrap();
            row["seconds"].take();
            row.to_string()
        })
        .collect();
    assert!(tables[0] == tables[1] && tables[0] == tables[2]);
    for file in ["encoder.safetensors", "projection_head.safetensors"] {
        let tensors = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/{file}")));
        assert!(tensors("memory") == tensors("demand") && tensors("memory") == tensors("cached"), "{file}");
    }
    assert_eq!(work.read("samples/memory/views.png"), work.read("samples/demand/views.png"));
}
