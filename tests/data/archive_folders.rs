//! Directories of archives: where they lie, what lies beside them, and what is broken in them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use zip::CompressionMethod;

use super::archives::{tar, zip};
use super::foreign_archives::{GNU, entry};
use super::odd_archives::{opened, shade, shades};
use super::refused;
use crate::support::{TINY, Workplace};

/// A tar or zip file of pictures of these greys.
fn pack(path: &Path, entries: &[(&str, u8)]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let entries: Vec<_> = entries.iter().map(|(name, value)| (name.to_string(), shade(*value))).collect();
    match path.extension().is_some_and(|extension| extension == "zip") {
        true => zip(path, &entries, CompressionMethod::Deflated),
        false => tar(path, &entries),
    }
}

#[test]
fn tar_and_zip_files_lie_in_folders_as_what_was_packed() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    pack(&at("mixed/1.tar"), &[("x/a.png", 1)]);
    pack(&at("mixed/2.zip"), &[("y/a.png", 2)]);
    assert_eq!(opened(&at("mixed")).unwrap().classes, ["x", "y"]);
    // Around all others, as the directory that shards were downloaded into.
    pack(&at("wrapped/shards/1.tar"), &[("x/a.png", 1)]);
    pack(&at("wrapped/shards/2.tar"), &[("y/a.png", 2)]);
    let wrapped = opened(&at("wrapped")).unwrap();
    assert_eq!(
        (&wrapped.classes[..], &*wrapped.train.labels()),
        (&["x".to_string(), "y".to_string()][..], &[0, 1][..])
    );
    // An archive for each class, in its folder.
    for part in ["train", "val", "test"] {
        for (class, value) in [("cat", 5), ("dog", 6)] {
            pack(&at(&format!("classes/{part}/{class}/0.tar")), &[("a.png", value)]);
        }
    }
    let classes = opened(&at("classes")).unwrap();
    assert_eq!((classes.train.len(), classes.validation.len(), classes.test.len()), (2, 2, 2));
    assert_eq!(classes.classes, ["cat", "dog"]);
    // A link to a folder that is read anyway, and to the directory itself.
    symlink(at("wrapped/shards"), at("wrapped/again")).unwrap();
    symlink(at("wrapped"), at("wrapped/shards/back")).unwrap();
    assert_eq!(opened(&at("wrapped")).unwrap().train.len(), 2);
    // Where pictures lie deeper, an archive beside them is what they came in.
    fs::create_dir_all(at("deep/a/b/c")).unwrap();
    fs::write(at("deep/a/b/c/1.png"), shade(9)).unwrap();
    pack(&at("deep/a/1.zip"), &[("a.png", 1), ("b.png", 2)]);
    assert_eq!(shades(&at("deep")), [9]);
}

#[test]
fn what_is_missing_or_meant_otherwise_is_said() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    fs::create_dir(at("set")).unwrap();
    let named = [entry(b"a.png", 1, GNU), entry(b"x/../b.png", 2, GNU), entry(b"../../c.png", 3, GNU)];
    fs::write(at("set/0.tar"), named.concat()).unwrap();
    let set = opened(&at("set")).unwrap();
    let notes = set.notes.join("\n");
    assert_eq!(set.train.len(), 1);
    assert!(notes.contains("2 pictures passed over: their names lead out of the archive (..)"), "{notes}");
    // A shard that is a link to nowhere is missing, not none.
    symlink(at("nowhere"), at("set/1.tar")).unwrap();
    assert!(refused(opened(&at("set"))).contains("set/1.tar"));
    fs::remove_file(at("set/1.tar")).unwrap();
    // One that may not be read, where the tests do not run as the one who may read all.
    pack(&at("set/1.tar"), &[("d.png", 4)]);
    fs::set_permissions(at("set/1.tar"), fs::Permissions::from_mode(0o0)).unwrap();
    if fs::File::open(at("set/1.tar")).is_err() {
        assert!(refused(opened(&at("set"))).contains("set/1.tar: Permission denied"));
    }
    // Parts of both kinds.
    pack(&at("parts/train/0.tar"), &[("x/a.png", 1)]);
    fs::create_dir_all(at("parts/test/x")).unwrap();
    fs::write(at("parts/test/x/a.png"), shade(2)).unwrap();
    let text = refused(opened(&at("parts")));
    assert!(text.contains("parts/train") && text.contains("all folders or all archives"), "{text}");
    // Patterns, as the readers of other programs take them.
    for pattern in ["set/*.tar", "set/{000000..000009}.tar"] {
        let text = refused(opened(&at(pattern)));
        assert!(text.contains("patterns are not expanded; name the directory"), "{text}");
    }
    pack(&at("labels/0.tar"), &[("a.png", 1), ("b.png", 2)]);
    tar(&at("labels/1.tar"), &[("c.png".into(), shade(3)), ("c.cls".into(), b"0".to_vec())]);
    let text = refused(opened(&at("labels")));
    assert!(text.contains("labels/0.tar/a.png: has no .cls, where 1 of 3 have one"), "{text}");
}

#[test]
fn broken_pictures_in_archives_are_named_and_may_be_left_out() {
    let work = Workplace::new();
    let mut entries: Vec<(String, Vec<u8>)> = (0..12).map(|index| (format!("{index:02}.png"), shade(index))).collect();
    entries.push(("broken.jpg".into(), b"hello".to_vec()));
    entries.push(("cut.png".into(), shade(1)[..40].to_vec()));
    fs::create_dir(work.path("shards")).unwrap();
    tar(&work.path("shards/0.tar"), &entries);
    zip(&work.path("shards/1.zip"), &entries[10..], CompressionMethod::Deflated);
    let train = [TINY, &["--data", "shards", "--batch-size", "8", "--run", "run", "--steps", "1"]].concat();
    let said = |arguments: &[&str], code: i32| {
        let ended = work.gan(arguments).assert().code(code);
        String::from_utf8(ended.get_output().stderr.clone()).unwrap()
    };
    let text = said(&train, 3);
    assert!(text.contains("shards/0.tar/broken.jpg: cannot be decoded"), "{text}");
    let text = said(&[&train[..], &["--skip-broken"]].concat(), 0);
    let broken = ["0.tar/broken.jpg", "0.tar/cut.png", "1.zip/broken.jpg", "1.zip/cut.png"];
    assert!(text.contains("4 pictures cannot be decoded") && broken.iter().all(|name| text.contains(name)), "{text}");
}
