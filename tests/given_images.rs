//! `gan evaluate --images` through the real binary: .npy files of every type, and what is doubtful or wrong about them.

use gan::report::npy_header;
use serde_json::Value;

use crate::support::Workplace;

/// Images of the data set of the tests, as bytes: (count, 28, 28).
fn bytes(work: &Workplace, count: usize) -> Vec<u8> {
    work.read("data/train-images-idx3-ubyte")[16..][..count * 784].to_vec()
}

/// A .npy of that type, order and shape.
fn npy(descr: &str, is_fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if is_fortran { "True" } else { "False" };
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

fn evaluate(work: &Workplace, images: &str) -> std::process::Output {
    let flags = ["evaluate", "--json", "--data", "data", "--reference", "40..96", "--images", images];
    work.gan(&flags).output().unwrap()
}

/// The row and stderr of an evaluation that succeeds.
fn row(work: &Workplace, images: &str) -> (Value, String) {
    let output = evaluate(work, images);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{images}: {stderr}");
    let mut row: Value = serde_json::from_slice(&output.stdout).unwrap();
    row["weights"] = Value::Null;
    (row, stderr)
}

fn refused(work: &Workplace, images: &str, words: &[&str]) {
    let output = evaluate(work, images);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{images}: {stderr}");
    for word in [&[images], words].concat() {
        assert!(stderr.contains(word), "{images}: no {word:?} in {stderr}");
    }
}

fn column_by_column<const WIDTH: usize>(count: usize, rows: &[u8]) -> Vec<u8> {
    let mut columns = Vec::new();
    for place in 0..784 {
        // (N, 28, 28): the first axis goes fastest, then the second
        let (x, y) = (place / 28, place % 28);
        for image in 0..count {
            let at = ((image * 28 + y) * 28 + x) * WIDTH;
            columns.extend(&rows[at..at + WIDTH]);
        }
    }
    columns
}

#[test]
fn every_type_shape_and_order_says_the_same() {
    const COUNT: usize = 20;
    let work = Workplace::new();
    let bytes = bytes(&work, COUNT);
    let values: Vec<f64> = bytes.iter().map(|byte| f64::from(*byte) / 127.5 - 1.0).collect();
    let f4 = |big: bool| -> Vec<u8> {
        let of = |value: &f64| {
            let value = *value as f32;
            if big { value.to_be_bytes() } else { value.to_le_bytes() }
        };
        values.iter().flat_map(of).collect()
    };
    let f8: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    for (name, file) in [
        ("u1.npy", npy("|u1", false, "(20, 28, 28)", &bytes)),
        ("f4.npy", npy("<f4", false, "(20, 1, 28, 28)", &f4(false))),
        ("big.npy", npy(">f4", false, "(20, 28, 28, 1)", &f4(true))),
        ("f8.npy", npy("<f8", false, "(20, 784)", &f8)),
        ("columns.npy", npy("<f4", true, "(20, 28, 28)", &column_by_column::<4>(COUNT, &f4(false)))),
        ("byte-columns.npy", npy("|u1", true, "(20, 1, 28, 28)", &column_by_column::<1>(COUNT, &bytes))),
        ("own.npy", [npy_header(&[20, 1, 28, 28]), f4(false)].concat()),
    ] {
        std::fs::write(work.path(name), file).unwrap();
    }
    let (expected, stderr) = row(&work, "u1.npy");
    assert!(!stderr.contains("black is"), "{stderr}");
    assert_eq!(expected["n"], 20);
    for name in ["f4.npy", "big.npy", "f8.npy", "columns.npy", "byte-columns.npy", "own.npy"] {
        let (found, _) = row(&work, name);
        for measure in ["frechet", "kid", "precision", "recall", "coverage", "two_sample_1nn"] {
            let [found, expected] = [&found, &expected].map(|row| row[measure].as_f64().unwrap());
            assert!(
                (found - expected).abs() <= 1e-4 * expected.abs().max(1.0),
                "{name}: {measure} {found}, not {expected}"
            );
        }
    }
    // -1 and 1 in f16: a black image and a white one
    let half: Vec<u8> =
        (0..20 * 784).flat_map(|at| if (at / 784) % 2 == 0 { [0x00, 0xbc] } else { [0x00, 0x3c] }).collect();
    let plain: Vec<u8> = (0..20 * 784).map(|at| if (at / 784) % 2 == 0 { 0 } else { 255 }).collect();
    std::fs::write(work.path("f2.npy"), npy("<f2", false, "(20, 1, 28, 28)", &half)).unwrap();
    std::fs::write(work.path("plain.npy"), npy("|u1", false, "(20, 1, 28, 28)", &plain)).unwrap();
    assert_eq!(row(&work, "f2.npy").0, row(&work, "plain.npy").0);
}

#[test]
fn files_that_hold_something_else_are_refused_by_name() {
    let work = Workplace::new();
    let write = |name: &str, file: &[u8]| std::fs::write(work.path(name), file).unwrap();
    let floats = |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
    let images = |values: &[f32]| npy("<f4", false, "(10, 1, 28, 28)", &floats(values));
    let with = |at: usize, value: f32| {
        let mut values = vec![-1.0; 10 * 784];
        values[at] = value;
        images(&values)
    };
    write("int.npy", &npy("<i4", false, "(10, 28, 28)", &[0; 10 * 784 * 4]));
    refused(&work, "int.npy", &["int32", "float32", "uint8"]);
    write("bool.npy", &npy("|b1", false, "(10, 28, 28)", &[0; 10 * 784]));
    refused(&work, "bool.npy", &["bool"]);
    write("colour.npy", &npy("|u1", false, "(10, 3, 32, 32)", &[0; 10 * 3072]));
    refused(&work, "colour.npy", &["[10, 3, 32, 32]", "(N, 1, 28, 28)"]);
    write("cut.npy", &images(&[0.0; 5 * 784]));
    refused(&work, "cut.npy", &["cut short", "31360 bytes", "15680"]);
    write("claims.npy", &npy("<f8", false, "(9223372036854775807, 28, 28)", &[0; 100]));
    refused(&work, "claims.npy", &["cut short"]);
    write("header.npy", &images(&[])[..40]);
    refused(&work, "header.npy", &["ends within its header"]);
    write("archive.npz", b"PK\x03\x04 and so on");
    refused(&work, "archive.npz", &[".npz", "numpy.save"]);
    write("grid.png", b"\x89PNG\r\n\x1a\n");
    refused(&work, "grid.png", &["not a .npy file"]);
    write("nan.npy", &with(7 * 784 + 3, f32::NAN));
    refused(&work, "nan.npy", &["image 7 holds NaN"]);
    write("infinite.npy", &with(2 * 784, f32::INFINITY));
    refused(&work, "infinite.npy", &["image 2 holds inf"]);
    write("bytes.npy", &with(9 * 784, 255.0));
    refused(&work, "bytes.npy", &["image 9 holds 255", "-1 (black) to 1 (white)", "uint8"]);
    write("rounded.npy", &with(9 * 784, 1.0 + 1e-6));
    row(&work, "rounded.npy");
    write("latents.npy", &npy("|u1", false, "(3, 8)", &[0; 24]));
    work.train("vanilla", "1", &[]);
    let output = work.gan(&["sample", "--latents", "latents.npy"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("uint8"));
}

#[test]
fn values_from_0_to_1_are_doubted() {
    let work = Workplace::new();
    let bytes = bytes(&work, 20);
    let unit: Vec<u8> = bytes.iter().flat_map(|byte| (f32::from(*byte) / 255.0).to_le_bytes()).collect();
    std::fs::write(work.path("unit.npy"), npy("<f4", false, "(20, 1, 28, 28)", &unit)).unwrap();
    let (_, stderr) = row(&work, "unit.npy");
    assert!(stderr.contains("unit.npy: no value is below 0"), "{stderr}");
    let binary: Vec<u8> = bytes.iter().map(|byte| u8::from(*byte > 127)).collect();
    std::fs::write(work.path("binary.npy"), npy("|u1", false, "(20, 1, 28, 28)", &binary)).unwrap();
    let (_, stderr) = row(&work, "binary.npy");
    assert!(stderr.contains("binary.npy: no value is above 1"), "{stderr}");
}

fn write_png(path: &std::path::Path, side: u32, channels: usize, pixels: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let picture = gan::report::Picture { width: side, height: side, channels, pixels: pixels.to_vec() };
    gan::report::encode_png(&picture, &mut std::fs::File::create(path).unwrap()).unwrap();
}

/// A folder of pictures gets the figures of the same images in a .npy, to the bit.
#[test]
fn a_folder_of_pictures_is_read() {
    let work = Workplace::new();
    let bytes = bytes(&work, 20);
    std::fs::write(work.path("u1.npy"), npy("|u1", false, "(20, 28, 28)", &bytes)).unwrap();
    // flat, in folders of classes and deeper, as colour files without colours: in the order of the paths
    for (index, image) in bytes.chunks_exact(784).enumerate() {
        write_png(&work.path("flat").join(format!("{index:03}.png")), 28, 1, image);
        let colour: Vec<u8> = image.iter().flat_map(|pixel| [*pixel; 3]).collect();
        let folder = ["a", "b/c", "b/d"][index / 7];
        write_png(&work.path("nested").join(folder).join(format!("{index:03}.png")), 28, 3, &colour);
    }
    std::os::unix::fs::symlink(work.path("nested"), work.path("nested/b/loop")).unwrap();
    let (expected, _) = row(&work, "u1.npy");
    for folder in ["flat", "nested"] {
        let (found, stderr) = row(&work, folder);
        assert_eq!(found, expected, "{folder}");
        assert!(!stderr.contains("become"), "nothing was changed: {stderr}");
    }
}

#[test]
fn a_folder_says_what_was_changed_or_passed_over() {
    let work = Workplace::new();
    let bytes = bytes(&work, 12);
    for (index, image) in bytes.chunks_exact(784).enumerate() {
        write_png(&work.path("mixed").join(format!("{index:03}.png")), 28, 1, image);
    }
    write_png(&work.path("mixed/large.png"), 56, 1, &[7; 56 * 56]);
    write_png(&work.path("mixed/red.png"), 28, 3, &[200, 0, 0].repeat(784));
    std::fs::write(work.path("mixed/readme.txt"), b"of no use").unwrap();
    let (row, stderr) = row(&work, "mixed");
    assert_eq!(row["n"], 14);
    // once each, whatever they are
    for words in ["mixed: pictures of 28x28 to 56x56", "become 28x28 in grey", "mixed: 1 file passed over (.txt)"] {
        assert_eq!(stderr.matches(words).count(), 1, "{words:?} in {stderr}");
    }

    std::fs::write(work.path("mixed/013.png"), &work.read("mixed/003.png")[..60]).unwrap();
    refused(&work, "mixed", &["013.png", "cannot be decoded"]);
    std::fs::create_dir(work.path("empty")).unwrap();
    refused(&work, "empty", &["holds no PNG"]);
    std::fs::create_dir(work.path("few")).unwrap();
    std::fs::copy(work.path("mixed/001.png"), work.path("few/1.png")).unwrap();
    refused(&work, "few", &["1 images; expected at least 10"]);
}

/// What `sample` writes into a directory is judged as what it writes into a .npy, but for the rounding to a byte.
#[test]
fn samples_in_a_directory_score_as_those_in_a_file() {
    let work = Workplace::new();
    for output in ["samples/", "samples.npy"] {
        work.gan(&["sample", "--weights", "bundled", "-n", "60", "-o", output]).assert().success();
    }
    let [pictures, raw] = ["samples", "samples.npy"].map(|images| row(&work, images));
    assert!(!pictures.1.contains("become"), "{}", pictures.1);
    for measure in ["frechet", "kid", "precision", "recall", "coverage", "two_sample_1nn"] {
        let [found, expected] = [&pictures.0, &raw.0].map(|row| row[measure].as_f64().unwrap());
        assert!((found - expected).abs() <= 0.01 * expected.abs().max(1.0), "{measure}: {found}, not {expected}");
    }
}
