//! What people have in their directories, given to the real program: what is taken, and what is said of it.

use std::fs;
use std::path::Path;

use gan::report::{Picture, encode_png};

use super::{gzip, idx_bytes, pixels};
use crate::support::{Workplace, write_pictures};

/// A picture of 8x8 whose pixels follow from `seed`.
fn write_picture(path: &Path, seed: usize) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let pixels = (0..8 * 8 * 3).map(|at| ((at * 31 + seed * 57) % 251) as u8).collect();
    let picture = Picture { width: 8, height: 8, channels: 3, pixels };
    encode_png(&picture, &mut fs::File::create(path).unwrap()).unwrap();
}

/// Runs, must succeed; stdout and stderr.
fn said(work: &Workplace, arguments: &[&str]) -> (String, String) {
    let output = work.gan(arguments).assert().success().get_output().clone();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

const GAN: &[&str] = &["train-gan", "--model", "vanilla", "--steps", "1", "--batch-size", "4", "--latent-dim", "8"];

#[test]
fn every_command_says_how_it_read_a_directory() {
    let work = Workplace::new();
    for index in 0..12 {
        write_picture(&work.path(&format!("pets/{}/deep/{index}.png", ["cat", "dog"][index % 2])), index);
    }
    fs::write(work.path("pets/cat/labels.csv"), "").unwrap();
    let grey = ["--image-size", "28", "--channels", "1"];
    let (_, stderr) = said(&work, &[GAN, &grey, &["--data", "pets", "--run", "pets"]].concat());
    for line in [
        "pets: 12 pictures in 2 classes",
        "pets: pictures of 8x8 in colour become 28x28 in grey",
        "pets: 1 file passed over (.csv)",
    ] {
        assert_eq!(stderr.matches(line).count(), 1, "{line} in {stderr}");
    }
    let (_, stderr) = said(&work, &[GAN, &["--data", "pets", "--run", "own"]].concat());
    assert_eq!(stderr.matches("pets: pictures of 8x8 in colour become 64x64 in colour").count(), 1, "{stderr}");
    let (_, stderr) = said(&work, &[GAN, &["--data", "pets", "--run", "quiet", "-q"]].concat());
    assert_eq!(stderr, "");
    let simclr = ["pretrain-simclr", "--data", "pets", "--steps", "1", "--batch-size", "4", "--knn-every", "0"];
    let (_, stderr) = said(&work, &simclr);
    assert!(
        stderr.contains("pets: pictures of 8x8 in colour become 32x32 in colour, as crops of the originals"),
        "{stderr}"
    );
    let (_, stderr) = said(&work, &["evaluate", "--run", "pets", "--data", "pets", "--reference", "0..6", "--n", "10"]);
    assert_eq!(stderr.matches("12 pictures in 2 classes").count(), 1, "{stderr}");
    // Images of another kind of file that are made to fit.
    let simclr = [&simclr[..], &["--data", "data", "--run", "grey"]].concat();
    assert!(said(&work, &simclr).1.contains("images of 28x28 in grey become 32x32 in colour"));
}

#[test]
fn black_ink_on_transparency_is_warned_of() {
    let work = Workplace::new();
    for index in 0..8u8 {
        let image =
            image::GrayAlphaImage::from_fn(9, 9, |x, _| image::LumaA([0, if x as u8 == index { 255 } else { 0 }]));
        fs::create_dir_all(work.path("ink")).unwrap();
        image.save(work.path(&format!("ink/{index}.png"))).unwrap();
    }
    let (_, stderr) = said(&work, &[GAN, &["--data", "ink", "-q"]].concat());
    assert!(stderr.contains("warning: all 8 training images show nothing"), "{stderr}");
}

/// A label is no byte.
#[test]
fn hundreds_of_classes_are_trained_on() {
    let work = Workplace::new();
    for class in 0..300 {
        write_picture(&work.path(&format!("many/train/{class:03}/1.png")), class);
        write_picture(&work.path(&format!("many/train/{class:03}/2.png")), class + 300);
        write_picture(&work.path(&format!("many/test/{class:03}/1.png")), class);
    }
    assert!(
        said(&work, &[GAN, &["--data", "many"]].concat()).1.contains("600 pictures in 300 classes, 300 to test on")
    );
    let simclr = ["pretrain-simclr", "--data", "many", "--steps", "1", "--batch-size", "4", "--knn-every", "0"];
    said(&work, &simclr);
    let finetune = ["finetune", "--data", "many", "--labels", "1.0", "--epochs", "1", "--cached", "--run", "probe"];
    let (stdout, _) = said(&work, &finetune);
    assert!(stdout.contains("600"), "{stdout}");
    let matrix = image::open(work.path("samples/probe/confusion.png")).unwrap();
    assert!((2700..3200).contains(&matrix.width()), "300 cells that can be seen: {}", matrix.width());
    let map = image::open(work.path("samples/probe/map.png")).unwrap();
    assert!(map.width() < 4000 && map.height() < 4000, "{}x{}", map.width(), map.height());
}

#[test]
fn torchvisions_folders_are_found() {
    let work = Workplace::new();
    let write = |name: &str, bytes: Vec<u8>| {
        let path = work.path("torch/MNIST/raw").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write("train-images-idx3-ubyte", idx_bytes(&[8, 28, 28], &pixels(8 * 784)));
    write("train-images-idx3-ubyte.gz", gzip(b"not looked at"));
    write("train-labels-idx1-ubyte", idx_bytes(&[8], &[5, 0, 4, 1, 9, 2, 1, 3]));
    write("t10k-images-idx3-ubyte.gz", gzip(&idx_bytes(&[2, 28, 28], &pixels(2 * 784))));
    write("t10k-labels-idx1-ubyte.gz", gzip(&idx_bytes(&[2], &[7, 2])));
    for data in ["torch/MNIST", "torch/MNIST/raw"] {
        said(&work, &[GAN, &["--data", data, "--run", &data.replace('/', "-")]].concat());
    }
    // By name, and by other spellings of it: found there, and found not to be the real one.
    for name in ["mnist", "MNIST", "M-nist"] {
        let output = work.gan(&["train-gan", "--data", name, "--data-dir", "torch"]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3));
        assert!(stderr.contains("torch/MNIST/raw/train-images-idx3-ubyte: not the"), "{stderr}");
    }
    // A directory of that spelling is meant before.
    write_pictures(&work.path("Digits"), 4, 1);
    let (_, stderr) = said(&work, &[GAN, &["--data", "Digits", "--run", "b"]].concat());
    assert!(stderr.contains("on Digits: 12 images"), "{stderr}");
    // A folder in --data-dir that is no named set is not looked for there, but pointed to.
    let output = work.gan(&["train-gan", "--data", "MNIST/raw", "--data-dir", "torch"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("--data torch/MNIST/raw"));
}

/// One folder a class and nothing else: every command that tests holds the same images out, and an encoder is not
/// pretrained on them.
#[test]
fn a_set_without_test_images_is_divided() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 20, 8);
    let held_out =
        |part: usize| format!("{part} of its 60 images are held out to test on, a fixed choice of every class");
    let data = ["--data", "pictures/train"];
    let simclr = [&["pretrain-simclr", "--steps", "1", "--batch-size", "8", "--knn-every", "0"][..], &data].concat();
    let (_, stderr) = said(&work, &simclr);
    assert!(stderr.contains(&held_out(12)) && stderr.contains("48 images"), "{stderr}");
    let (_, stderr) = said(&work, &[&simclr[..], &["--test-part", "0", "--run", "all"]].concat());
    assert!(!stderr.contains("held out") && stderr.contains("60 images"), "{stderr}");

    let finetune = ["finetune", "--labels", "1.0", "--epochs", "1", "--cached", "--batch-size", "8", "--json"];
    let labels = |stdout: &str| {
        let row: serde_json::Value = serde_json::from_str(stdout.lines().next().unwrap()).unwrap();
        row["labels"].as_u64().unwrap()
    };
    for (flags, part) in [(&[][..], 12), (&["--test-part", "0.5"], 30)] {
        let run = format!("probe-{part}");
        let embeddings = format!("{part}.npy");
        let more = ["--run", &run, "--embeddings", &embeddings];
        let (stdout, stderr) = said(&work, &[&finetune[..], &data, flags, &more].concat());
        assert!(stderr.contains(&held_out(part)), "{stderr}");
        assert_eq!(labels(&stdout), 60 - part as u64);
        let evaluate = [&["evaluate", "--weights", "weights/resnet9", "--json"][..], &data, flags].concat();
        let (stdout, stderr) = said(&work, &evaluate);
        assert!(stderr.contains(&held_out(part)), "{stderr}");
        assert_eq!(labels(&stdout), 60 - part as u64);
    }
    // The same images: their features are a beginning of none, but those of any two runs are the same.
    let again = ["--run", "again", "--embeddings", "again.npy", "--seed", "5"];
    said(&work, &[&finetune[..], &data, &again].concat());
    assert_eq!(work.read("12.npy"), work.read("again.npy"));

    // An encoder that has seen them is told from one that has not.
    let evaluate = ["evaluate", "--json", "--data", "pictures/train", "--weights"];
    assert!(!said(&work, &[&evaluate[..], &["weights/resnet9"]].concat()).1.contains("held out to test on here"));
    let (_, stderr) = said(&work, &[&evaluate[..], &["weights/all"]].concat());
    assert!(
        stderr.contains("warning: all was trained on images of train that are held out to test on here"),
        "{stderr}"
    );

    // Images that a set brings are taken, and a flag against them is refused.
    let output = work.gan(&[&finetune[..], &["--data", "pictures", "--test-part", "0.5"]].concat()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("24 test images of its own"), "{stderr}");
    fs::rename(work.path("pictures/test"), work.path("pictures/Val")).unwrap();
    let (stdout, stderr) = said(&work, &[&finetune[..], &["--data", "pictures", "--run", "val"]].concat());
    assert!(stderr.contains("the 24 images to validate on take its place"), "{stderr}");
    assert_eq!(labels(&stdout), 60);

    // A generator is judged by them too; it is trained on all, unless it is told.
    let gan = [GAN, &["--image-size", "28", "--channels", "1", "--run", "g", "--test-part", "0.25"], &data].concat();
    assert!(said(&work, &gan).1.contains(&held_out(15)));
    let evaluate = ["evaluate", "--run", "g", "--data", "pictures/train", "--n", "10", "--test-part", "0.25", "--json"];
    let (stdout, stderr) = said(&work, &evaluate);
    assert!(stderr.contains(&held_out(15)), "{stderr}");
    let row: serde_json::Value = serde_json::from_str(stdout.lines().next().unwrap()).unwrap();
    assert_eq!(row["reference_images"], 15);
    for wrong in ["1", "-0.5", "30"] {
        let output = work.gan(&["finetune", &format!("--test-part={wrong}")]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
    }
}

/// What torchvision unpacks is no folder of classes, and what it is is said.
#[test]
fn cifar_as_python_pickles_is_named() {
    let work = Workplace::new();
    let folder = work.path("torch/cifar-10-batches-py");
    fs::create_dir_all(&folder).unwrap();
    for name in ["data_batch_1", "batches.meta"] {
        fs::write(folder.join(name), "").unwrap();
    }
    for arguments in [
        &["train-gan", "--data", "torch/cifar-10-batches-py"][..],
        &["train-gan", "--data", "torch"],
        &["train-gan", "--data", "cifar10", "--data-dir", "torch"],
    ] {
        let output = work.gan(arguments).env("GAN_MIRROR", "http://127.0.0.1:1").output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{stderr}");
        assert!(stderr.contains("cifar-10-binary.tar.gz") && stderr.contains("pickles"), "{stderr}");
        assert!(stderr[stderr.find("error").unwrap()..].trim_end().lines().count() <= 3, "{stderr}");
    }
}
