//! Folders whose pictures are decoded each time they are used: the same bytes as from memory.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use gan::data::identity::Identity;
use gan::data::memory::MemorySize;
use gan::data::{DataOptions, Dataset, ImageShape, open};
use image::{ImageFormat, Rgb, RgbImage};

use super::pictures::{encode, grey, write};
use super::{GREY, in_memory, refused};
use crate::support::{TINY, Workplace, bytes_of, write_pictures};

/// The set in a directory with nothing in memory that need not be.
pub fn open_on_demand(directory: &Path, shape: ImageShape) -> Result<Dataset> {
    let options = DataOptions { data_memory: Some(MemorySize(0)), ..DataOptions::default() };
    open(directory.to_str().unwrap(), &options, shape, &|_, _, _| ())
}

/// Fails where the parts of two sets differ, or the hashes by which a run knows them.
pub fn assert_same(set: &Dataset, other: &Dataset) {
    for (part, of_other) in [(&set.train, &other.train), (&set.validation, &other.validation), (&set.test, &other.test)]
    {
        assert!(in_memory(part) == in_memory(of_other), "{}", set.name);
    }
    assert_eq!((&set.name, &set.classes), (&other.name, &other.classes));
    assert_eq!(Identity::of(set).unwrap(), Identity::of(other).unwrap());
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
    write_mixed(folder.path());
    for shape in [GREY, ImageShape { height: 10, width: 16, channels: 3 }] {
        let with = |memory: Option<u64>| {
            let options = DataOptions { data_memory: memory.map(MemorySize), ..DataOptions::default() };
            open(folder.path().to_str().unwrap(), &options, shape, &|_, _, _| ()).unwrap()
        };
        let bytes = 30 * shape.stride() as u64; // of all parts
        for (memory, fits) in [(None, true), (Some(bytes), true), (Some(bytes - 1), false), (Some(0), false)] {
            let set = with(memory);
            assert_eq!(set.train.contiguous().is_some(), fits, "{memory:?} of {bytes}");
            assert_eq!(
                set.notes.iter().any(|note| note.contains("decoded each time they are used")),
                !fits,
                "{:?}",
                set.notes
            );
            assert_same(&with(None), &set);
            assert_same(&with(None).cut(Some(7), true).unwrap(), &set.cut(Some(7), true).unwrap());
        }
        let (whole, part) = (with(None), "0.4".parse().ok());
        let apart = |set: Dataset| Dataset { test: set.test.select(&[]), ..set }.with_test_part(part, true).unwrap();
        assert_same(&apart(whole), &apart(with(Some(0))));
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
        assert!(refused(Identity::of(&set)).contains("3.png"), "before a run begins");
        set.train.to_images().unwrap();
    }
}

/// Not a panic, and not another picture in its place.
#[test]
fn a_picture_that_breaks_during_training_ends_it_and_is_named() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 12, 4);
    let flags = ["--data", "pictures", "--data-memory", "0", "--run", "run", "--steps", "1000000"];
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
    let last = text.lines().last().unwrap();
    assert!(last.contains("pictures/train/disc/0") && last.contains("cannot be decoded"), "{text}");
    assert!(work.path("weights/run").is_dir());
}

/// In one go, and stopped and resumed with the images held otherwise.
#[test]
fn training_on_demand_leaves_the_bytes_of_training_from_memory() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 12, 4);
    let on_demand = ["--data-memory", "0"];
    let pictures = ["--data", "pictures"];
    work.train("memory", "8", &pictures);
    let output = work.train("demand", "8", &[&pictures[..], &on_demand].concat()).get_output().stderr.clone();
    assert!(String::from_utf8(output).unwrap().contains("decoded each time they are used"));
    work.train("resumed", "4", &[&pictures[..], &on_demand].concat());
    work.gan(&["train-gan", "--resume", "resumed", "--steps", "8"]).assert().success();
    work.train("again", "4", &pictures);
    work.gan(&["train-gan", "--resume", "again", "--steps", "8", "--data-memory", "1kB"]).assert().success();
    let tensors = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/step-00000008.safetensors")));
    let expected = tensors("memory");
    for run in ["demand", "resumed", "again"] {
        assert!(tensors(run) == expected, "{run}");
        assert_eq!(
            work.read(&format!("samples/{run}/step-00000008.png")),
            work.read("samples/memory/step-00000008.png")
        );
    }
    let refused = work.gan(&[TINY, &["--data-memory", "much", "--run", "x", "--steps", "1"]].concat()).assert().code(2);
    let text = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(text.contains("--data-memory") && text.contains("512MiB"), "{text}");
}

#[test]
fn an_encoder_is_pretrained_and_probed_on_demand_as_from_memory() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 12, 4);
    let on_demand: &[&str] = &["--data-memory", "0"];
    let tables: Vec<String> = [("memory", &[][..]), ("demand", on_demand)]
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
    assert_eq!(tables[0], tables[1]);
    for file in ["encoder.safetensors", "projection_head.safetensors"] {
        let tensors = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/{file}")));
        assert!(tensors("memory") == tensors("demand"), "{file}");
    }
    assert_eq!(work.read("samples/memory/views.png"), work.read("samples/demand/views.png"));
}
