//! `gan data`: what is in a data set.

use std::fs::{self, File};

use gan::report::{Picture, encode_png, read_png};
use serde_json::{Value, json};

use crate::support::{Workplace, write_pictures};

/// Classes of pictures with one that is broken, one that is there three times, and one grey and large.
fn place() -> Workplace {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 4, 2);
    let copy = |from: &str, to: &str| fs::copy(work.path(from), work.path(to)).unwrap();
    copy("pictures/train/bar/000.png", "pictures/train/bar/again.png");
    copy("pictures/train/bar/000.png", "pictures/test/bar/again.png");
    let pixels = (0..80 * 60).map(|at| (at % 251) as u8).collect();
    let grey = Picture { width: 80, height: 60, channels: 1, pixels };
    encode_png(&grey, &mut File::create(work.path("pictures/train/disc/grey.png")).unwrap()).unwrap();
    let whole = work.read("pictures/train/cross/001.png");
    fs::write(work.path("pictures/train/cross/001.png"), &whole[..100]).unwrap();
    work
}

#[test]
fn parts_classes_broken_pictures_and_duplicates_are_counted() {
    let work = place();
    let assert = work.gan(&["data", "pictures", "--json", "-o", "sheet.png"]).assert().success();
    let said = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert!(
        said.contains("1 picture of 21 cannot be decoded") && said.contains("1 picture is in more than one part"),
        "{said}"
    );
    let found: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    let train = json!({
        "part": "train", "pictures": 13, "formats": {"png": 13}, "classes": {"bar": 5, "cross": 3, "disc": 5},
        "unclassified": 0, "grey": 1, "colour": 12, "alpha": 0,
        "sizes": {"smallest": [32, 32], "median": [32, 32], "largest": [80, 60]},
    });
    assert_eq!(found["parts"][0], train);
    assert_eq!((&found["parts"][1]["part"], &found["parts"][1]["pictures"]), (&"test".into(), &7.into()));
    assert_eq!(found["broken"][0]["path"], "pictures/train/cross/001.png");
    assert_eq!(found["broken"].as_array().unwrap().len(), 1);
    let paths = ["pictures/test/bar/again.png", "pictures/train/bar/000.png", "pictures/train/bar/again.png"];
    assert_eq!(found["duplicates"], json!([{ "paths": paths, "across_parts": true }]));
    let sheet = read_png(&work.path("sheet.png")).unwrap();
    assert!(sheet.width > 7 * 64 && sheet.height > 3 * 64, "{}x{}", sheet.width, sheet.height);
}

/// Links that lead back and to other classes, and a class without pictures.
#[test]
fn training_takes_the_pictures_that_are_counted() {
    use std::os::unix::fs::symlink;
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 4, 2);
    symlink(work.path("pictures"), work.path("pictures/train/bar/up")).unwrap();
    symlink(work.path("pictures/train/disc"), work.path("pictures/train/bar/disc")).unwrap();
    symlink(work.path("pictures/train"), work.path("pictures/test/cross/train")).unwrap();
    let counted = |part: &str| -> Vec<(String, u64)> {
        let assert = work.gan(&["data", "pictures", "--json"]).assert().success();
        let found: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
        let parts = found["parts"].as_array().unwrap();
        let classes = parts.iter().find(|found| found["part"] == part).unwrap()["classes"].as_object().unwrap();
        classes.iter().map(|(class, count)| (class.clone(), count.as_u64().unwrap())).collect()
    };
    let set = gan::data::open(
        work.path("pictures").to_str().unwrap(),
        &gan::data::DataOptions::default(),
        gan::data::ImageShape::new(8, 8, 3),
        &|_, _, _| (),
    );
    let set = set.unwrap();
    for (part, images) in [("train", &set.train), ("test", &set.test)] {
        let trained = set.classes.iter().zip(0..).map(|(class, label)| {
            (class.clone(), images.labels().iter().filter(|found| **found == label).count() as u64)
        });
        assert_eq!(counted(part), trained.collect::<Vec<_>>(), "{part}");
    }
    fs::create_dir(work.path("pictures/train/empty")).unwrap();
    let assert = work.gan(&["data", "pictures"]).assert().success();
    let said = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert!(said.contains("pictures/train/empty: no picture"), "{said}");
    let refused = work.gan(&["train-gan", "--data", "pictures"]).assert().code(3);
    assert!(
        String::from_utf8(refused.get_output().stderr.clone()).unwrap().contains("empty: a folder without pictures")
    );
}

#[test]
fn the_tables_say_the_same() {
    let work = place();
    let assert = work.gan(&["data", "pictures"]).assert().success();
    let said = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    for line in ["train  png 13         13     32x32   32x32    80x60     1      12      0", "cross      3     2"] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert!(said.contains("broken pictures (1):\n  pictures/train/cross/001.png: cannot be decoded"), "{said}");
    let flat = work.gan(&["data", "pictures/train/bar"]).assert().success();
    let said = String::from_utf8(flat.get_output().stdout.clone()).unwrap();
    assert!(said.contains("all ") && !said.contains("class"), "{said}");
    let idx = work.gan(&["data", "data", "--json"]).assert().success();
    let found: Value = serde_json::from_slice(&idx.get_output().stdout).unwrap();
    assert_eq!((&found["parts"][0]["pictures"], &found["parts"][0]["grey"]), (&96.into(), &96.into()));
}

/// A folder beside `train/` is none of training's, and a class folder may be called anything.
#[test]
fn what_training_passes_over_is_not_counted() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 4, 2);
    write_pictures(&work.path("more"), 3, 0);
    fs::rename(work.path("more/train"), work.path("pictures/unsorted")).unwrap();
    let odd = "odd\nname";
    fs::rename(work.path("pictures/train/disc"), work.path("pictures/train").join(odd)).unwrap();
    fs::rename(work.path("pictures/test/disc"), work.path("pictures/test").join(odd)).unwrap();
    let assert = work.gan(&["data", "pictures"]).assert().success();
    let said = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    let table = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    assert!(said.contains("pictures: unsorted/ passed over: beside train/"), "{said}");
    assert!(!table.lines().any(|line| line.starts_with("all ")), "{table}");
    assert!(table.lines().any(|line| line.starts_with("odd\\nname ")), "{table}");
    let found: Value = serde_json::from_slice(
        &work.gan(&["data", "pictures", "--json"]).assert().success().get_output().stdout.clone(),
    )
    .unwrap();
    let counted: Vec<_> = found["parts"].as_array().unwrap().iter().map(|part| part["pictures"].clone()).collect();
    assert_eq!(counted, [12, 6]);
    assert_eq!(found["parts"][0]["classes"][odd], 4);
    // All are pictures to look at.
    let embedded = work.gan(&["embed", "pictures", "--weights", "bundled", "--json", "-q"]).output().unwrap();
    assert_eq!(String::from_utf8(embedded.stdout).unwrap().lines().count(), 27);
    let finetune = ["finetune", "--weights", "bundled", "--data", "pictures", "--labels", "3", "--epochs", "1"];
    work.gan(&finetune).args(["--cached", "--mode", "linear"]).assert().success();
    let csv = work.gan(&["predict", "pictures", "-o", "-"]).output().unwrap();
    let csv = String::from_utf8(csv.stdout).unwrap();
    assert!(csv.contains("\"pictures/test/odd\nname/000.png\","), "{csv}");
}
