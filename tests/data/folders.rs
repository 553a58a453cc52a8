//! Directories of pictures: which of them are classes, which are parts, and what is passed over.

use std::fs;

use gan::data::{ImageSet, ImageShape};
use image::{GrayImage, ImageFormat, Luma};

use super::pictures::{encode, grey, write};
use super::{GREY, in_memory, open_directory, refused};

const TINY: ImageShape = ImageShape { height: 2, width: 2, channels: 1 };

#[test]
fn one_folder_a_class_in_the_order_of_names() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "dog/b.PNG", &grey(30, 5, 9));
    write(folder.path(), "dog/a.jpeg", &encode(GrayImage::from_pixel(8, 8, Luma([20])), ImageFormat::Jpeg));
    write(folder.path(), "cat/z.png", &grey(10, 40, 3));
    write(folder.path(), "cat/.hidden.png", b"not looked at");
    write(folder.path(), "cat/notes.txt", b"not looked at");
    write(folder.path(), ".git/x.png", b"not looked at");
    let set = open_directory(folder.path(), TINY).unwrap();
    assert_eq!(set.classes, ["cat", "dog"]);
    assert_eq!(in_memory(&set.train).labels, [0, 1, 1]);
    assert_eq!(in_memory(&set.train).pixels, [[10; 4], [20; 4], [30; 4]].concat());
    assert!(set.test.is_empty());
    assert_eq!(set.name, folder.path().file_name().unwrap().to_str().unwrap());
}

#[test]
fn train_and_test_folders_and_flat_ones() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "flat/2.png", &grey(2, 2, 2));
    write(folder.path(), "flat/1.png", &grey(1, 2, 2));
    let flat = open_directory(&folder.path().join("flat"), TINY).unwrap();
    assert_eq!((in_memory(&flat.train).pixels[0], flat.train.len()), (1, 2));
    assert!(in_memory(&flat.train).labels.is_empty() && flat.classes.is_empty());

    let split = folder.path().join("split");
    write(&split, "train/a/1.png", &grey(1, 2, 2));
    write(&split, "train/b/1.png", &grey(2, 2, 2));
    write(&split, "test/b/1.png", &grey(3, 2, 2));
    let set = open_directory(&split, TINY).unwrap();
    assert_eq!(
        (in_memory(&set.train).labels, in_memory(&set.test).labels, in_memory(&set.test).pixels),
        (vec![0, 1], vec![1], vec![3; 4])
    );
    write(&split, "test/c/1.png", &grey(3, 2, 2));
    assert!(refused(open_directory(&split, TINY)).contains("training part does not have"));
}

#[test]
fn folders_that_make_no_set_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refused(open_directory(folder.path(), GREY)).contains("holds no data"));
    fs::create_dir(folder.path().join("class")).unwrap();
    assert!(refused(open_directory(folder.path(), GREY)).contains("class: a folder without"));
    write(folder.path(), "class/a.png", &grey(1, 2, 2));
    assert!(open_directory(folder.path(), GREY).is_ok());
    write(folder.path(), "a.png", &grey(1, 2, 2));
    fs::remove_file(folder.path().join("a.png")).unwrap();
    // Where another kind of data lies, and where the classes are one folder further down.
    write(folder.path(), "mnist/train-labels-idx1-ubyte", b"");
    assert!(refused(open_directory(folder.path(), GREY)).contains("mnist: holds IDX files"));
    let split = folder.path().join("split");
    write(&split, "test/a/1.png", &grey(1, 2, 2));
    write(&split, "val/a/1.png", &grey(1, 2, 2));
    assert!(refused(open_directory(&split, GREY)).contains("no folder train/"));
    write(&split, "train/a/1.png", &grey(1, 2, 2));
    write(&split, "Training/a/1.png", &grey(1, 2, 2));
    let text = refused(open_directory(&split, GREY));
    assert!(text.contains("Training") && text.contains("two folders for the same part"), "{text}");
    write(folder.path(), "phone/1.HEIC", b"");
    let text = refused(open_directory(&folder.path().join("phone"), GREY));
    assert!(text.contains("holds no data: 1 file passed over (.heic)"), "{text}");
}

#[test]
fn all_pictures_below_a_class_are_its_own() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a/2.png", &grey(2, 2, 2));
    write(folder.path(), "a/sub/deep/0.png", &grey(3, 2, 2));
    write(folder.path(), "a/1.png", &grey(1, 2, 2));
    write(folder.path(), "b/only/below/1.png", &grey(4, 2, 2));
    let set = open_directory(folder.path(), TINY).unwrap();
    assert_eq!((set.classes, in_memory(&set.train).labels), (vec!["a".to_string(), "b".to_string()], vec![0, 0, 0, 1]));
    assert_eq!(in_memory(&set.train).pixels, [[1; 4], [2; 4], [3; 4], [4; 4]].concat());
    assert!(set.notes.iter().any(|note| note.contains("4 pictures in 2 classes")), "{:?}", set.notes);
    assert!(set.warnings.iter().all(|warning| warning.contains("one shade")), "{:?}", set.warnings);

    // With a picture in the directory itself its folders are no classes.
    write(folder.path(), "c.png", &grey(5, 2, 2));
    let flat = open_directory(folder.path(), TINY).unwrap();
    assert!(flat.classes.is_empty() && in_memory(&flat.train).labels.is_empty());
    assert_eq!(in_memory(&flat.train).pixels, [[1; 4], [2; 4], [3; 4], [4; 4], [5; 4]].concat());
    let notes = flat.notes.join("\n");
    assert!(notes.contains("5 pictures, no classes") && notes.contains("the folders in it are no classes"), "{notes}");

    // Unpacked into a folder of its own.
    let wrapped = folder.path().join("wrapped");
    write(&wrapped, "pets/cat/1.png", &grey(1, 2, 2));
    write(&wrapped, "pets/dog/1.png", &grey(2, 2, 2));
    let set = open_directory(&wrapped, TINY).unwrap();
    assert_eq!(set.classes, ["pets"]);
    let warning = &set.warnings[0];
    assert!(warning.contains("one class, pets") && warning.ends_with("wrapped/pets"), "{warning}");
}

#[test]
fn links_are_followed_but_not_in_circles() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    write(elsewhere.path(), "1.png", &grey(1, 2, 2));
    write(folder.path(), "a/2.png", &grey(2, 2, 2));
    symlink(elsewhere.path(), folder.path().join("a/linked")).unwrap();
    symlink(folder.path(), folder.path().join("a/up")).unwrap();
    symlink("nowhere.png", folder.path().join("a/0.png")).unwrap();
    symlink(elsewhere.path(), folder.path().join("b")).unwrap();
    // Every folder with a link to every other: as many paths as there are orders of them.
    for from in 0..12 {
        fs::create_dir(folder.path().join(format!("a/{from}"))).unwrap();
        for to in 0..12 {
            let link = folder.path().join(format!("a/{from}/{to}"));
            symlink(folder.path().join(format!("a/{to}")), link).unwrap();
        }
    }
    // Deeper than anybody sorts pictures.
    write(folder.path(), &format!("c/{}1.png", "deep/".repeat(40)), &grey(9, 2, 2));
    write(folder.path(), "c/1.png", &grey(3, 2, 2));
    let set = open_directory(folder.path(), TINY).unwrap();
    assert_eq!(set.classes, ["a", "b", "c"]);
    assert_eq!(in_memory(&set.train).labels.iter().filter(|label| **label == 2).count(), 1);
    let notes = set.notes.join("\n");
    assert!(notes.contains("links that lead nowhere") && notes.contains("read already"), "{notes}");
    assert!(notes.contains("more than 32 deep"), "{notes}");
}

#[test]
fn what_systems_leave_among_files_is_nothing() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "cat/1.png", &grey(1, 2, 2));
    for name in ["Thumbs.db", "cat/.DS_Store", "cat/._1.png", "__MACOSX/cat/._1.png", "locks/.lock", "@eaDir/1.png"] {
        write(folder.path(), name, b"\0\x05\x16\x07");
    }
    // Names that are no UTF-8, two of which look alike.
    for (byte, value) in [(0xff, 2), (0xfe, 3)] {
        let class = folder.path().join(std::ffi::OsStr::from_bytes(&[b'd', byte]));
        fs::create_dir(&class).unwrap();
        fs::write(class.join("1.PnG"), grey(value, 2, 2)).unwrap();
    }
    let set = open_directory(folder.path(), TINY).unwrap();
    assert_eq!((set.classes.len(), in_memory(&set.train).labels), (3, vec![0, 1, 2]));
    assert_eq!(in_memory(&set.train).pixels, [[1; 4], [3; 4], [2; 4]].concat());
    assert!(!set.notes.iter().any(|note| note.contains("passed over")), "{:?}", set.notes);
    // A test part with such names: told apart by bytes, not by what they look like.
    let split = tempfile::tempdir().unwrap();
    for (part, byte, value) in [("train", 0xff, 1), ("train", 0xfe, 2), ("test", 0xff, 3)] {
        let class = split.path().join(part).join(std::ffi::OsStr::from_bytes(&[byte]));
        fs::create_dir_all(&class).unwrap();
        fs::write(class.join("1.png"), grey(value, 2, 2)).unwrap();
    }
    let set = open_directory(split.path(), TINY).unwrap();
    assert_eq!((in_memory(&set.train).pixels[0], in_memory(&set.test).labels), (2, vec![1]));
}

#[test]
fn parts_go_by_the_names_that_people_give_them() {
    for (train, validation, test) in
        [("Train", "Val", "Test"), ("TRAINING", "VALID", "TESTING"), ("train", "validation", "test")]
    {
        let folder = tempfile::tempdir().unwrap();
        for (part, value) in [(train, 1), (validation, 2), (test, 3)] {
            write(folder.path(), &format!("{part}/a/1.png"), &grey(value, 2, 2));
            write(folder.path(), &format!("{part}/b/1.png"), &grey(value + 10, 2, 2));
        }
        let set = open_directory(folder.path(), TINY).unwrap();
        let firsts = |set: &ImageSet| in_memory(set).pixels.chunks(4).map(|image| image[0]).collect::<Vec<u8>>();
        assert_eq!(firsts(&set.train), [1, 11], "{train}");
        assert_eq!((firsts(&set.validation), firsts(&set.test)), (vec![2, 12], vec![3, 13]), "{train}");
        assert_eq!((in_memory(&set.validation).labels, in_memory(&set.test).labels), (vec![0, 1], vec![0, 1]));
        assert!(set.notes[0].contains("2 pictures in 2 classes, 2 to validate on, 2 to test on"), "{:?}", set.notes);
    }
    // What lies beside them is said to be passed over.
    let folder = tempfile::tempdir().unwrap();
    for name in ["train/a/1.png", "test/a/1.png", "extra/1.png", "cover.png", "labels.csv"] {
        write(folder.path(), name, &grey(1, 2, 2));
    }
    let notes = open_directory(folder.path(), TINY).unwrap().notes.join("\n");
    assert!(notes.contains("cover.png and 1 more passed over") && notes.contains(".csv"), "{notes}");
    // A set of vehicles.
    let vehicles = tempfile::tempdir().unwrap();
    for name in ["bus/1.png", "car/1.png", "train/1.png"] {
        write(vehicles.path(), name, &grey(1, 2, 2));
    }
    let set = open_directory(vehicles.path(), TINY).unwrap();
    assert_eq!((set.classes.len(), in_memory(&set.train).labels), (3, vec![0, 1, 2]));
}
