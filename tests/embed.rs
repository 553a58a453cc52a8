//! `gan embed`: what it writes in every format, what it refuses, and that its memory does not grow with the pictures.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use gan::data::{Images, picture};
use gan::image_shape::ImageShape;
use gan::pretrained::TrainedEncoder;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use serde_json::Value;

use crate::support::{Workplace, write_pictures};

const SHAPE: ImageShape = ImageShape::new(32, 32, 3);

/// The paths of `write_pictures(pictures, 2, 1)`, in their order.
fn paths() -> Vec<String> {
    let of = |part: &'static str, count: usize| {
        ["bar", "cross", "disc"]
            .into_iter()
            .flat_map(move |class| (0..count).map(move |index| format!("pictures/{part}/{class}/{index:03}.png")))
    };
    of("test", 1).chain(of("train", 2)).collect()
}

/// What the library gives these pictures, row by row.
fn expected(work: &Workplace, paths: &[String]) -> Vec<f32> {
    let mut pixels = vec![0; paths.len() * SHAPE.stride()];
    for (path, pixels) in paths.iter().zip(pixels.chunks_exact_mut(SHAPE.stride())) {
        picture::fit_into(picture::decode(&work.read(path)).unwrap(), SHAPE, pixels).unwrap();
    }
    let encoder = TrainedEncoder::bundled(&Device::Cpu).unwrap();
    values(&encoder.embed(&Images { pixels, ..Images::empty(SHAPE) }).unwrap())
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let difference = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f32::max);
    assert!(difference < 1e-5, "{difference}");
}

/// The values of a .npy of `rows` rows.
fn npy(bytes: &[u8], rows: usize) -> Vec<f32> {
    let shape = format!("'shape': ({rows}, 256)");
    assert!(String::from_utf8_lossy(&bytes[..128]).contains(&shape), "{shape}");
    bytes[128..].chunks_exact(4).map(|value| f32::from_le_bytes(value.try_into().unwrap())).collect()
}

fn embed(work: &Workplace, flags: &[&str]) -> assert_cmd::assert::Assert {
    work.gan(&[&["embed", "pictures", "--weights", "bundled"], flags].concat()).assert()
}

#[test]
fn features_are_the_librarys_in_every_format() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 2, 1);
    fs::write(work.path("pictures/train/bar/notes.txt"), "no picture").unwrap();
    let paths = paths();
    let expected = expected(&work, &paths);
    let classes: Vec<&str> = paths.iter().map(|path| path.split('/').nth(2).unwrap()).collect();

    embed(&work, &["-o", "h.npy"]).success().stdout("h.npy\nh.paths.csv\n");
    assert_close(&npy(&work.read("h.npy"), 9), &expected);
    let rows: String = paths.iter().zip(&classes).map(|(path, class)| format!("{path},{class}\n")).collect();
    assert_eq!(String::from_utf8(work.read("h.paths.csv")).unwrap(), format!("path,class\n{rows}"));

    embed(&work, &["-o", "h.csv"]).success().stdout("h.csv\n");
    let csv = String::from_utf8(work.read("h.csv")).unwrap();
    let mut found = Vec::new();
    for (line, (path, class)) in csv.lines().skip(1).zip(paths.iter().zip(&classes)) {
        let numbers = line.strip_prefix(&format!("{path},{class},")).unwrap();
        found.extend(numbers.split(',').map(|number| number.parse::<f32>().unwrap()));
    }
    assert_close(&found, &expected);
    assert!(csv.starts_with("path,class,f0,f1,") && csv.lines().next().unwrap().ends_with(",f255"));
    let streamed = embed(&work, &["-o", "-"]).success().get_output().stdout.clone();
    assert!(streamed == csv.as_bytes(), "a pipe gets what a file gets");

    embed(&work, &["-o", "h.parquet"]).success().stdout("h.parquet\n");
    let file = SerializedFileReader::new(File::open(work.path("h.parquet")).unwrap()).unwrap();
    let mut found = Vec::new();
    for (row, (path, class)) in file.get_row_iter(None).unwrap().zip(paths.iter().zip(&classes)) {
        let row = row.unwrap();
        assert_eq!((row.get_string(0).unwrap(), &**row.get_string(1).unwrap()), (path, *class));
        let list = row.get_list(2).unwrap();
        found.extend((0..list.len()).map(|at| parquet::record::ListAccessor::get_float(list, at).unwrap()));
    }
    assert_close(&found, &expected);

    let lines = lines(embed(&work, &["--json"]));
    let found: Vec<f32> =
        lines.iter().flat_map(|line| serde_json::from_value::<Vec<f32>>(line["features"].clone()).unwrap()).collect();
    assert_close(&found, &expected);
    assert!(lines.iter().zip(&paths).all(|(line, path)| line["path"] == **path));
}

fn lines(assert: assert_cmd::assert::Assert) -> Vec<Value> {
    let stdout = assert.success().get_output().stdout.clone();
    String::from_utf8(stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_flat_folder_has_no_classes_and_a_picture_is_a_row() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 2, 1);
    let of = |data: &str| lines(work.gan(&["embed", data, "--weights", "bundled", "--json"]).assert());
    let flat = of("pictures/train/disc");
    assert!(flat.len() == 2 && flat.iter().all(|line| line["class"].is_null()));
    assert_eq!(of("pictures/train/disc/001.png")[0]["features"], flat[1]["features"]);
    let idx = of("data");
    assert_eq!((idx.len(), &idx[95]["path"], &idx[95]["class"]), (96, &"data/train/000095".into(), &"5".into()));
}

#[test]
fn neighbours_are_the_nearest_by_cosine() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 2, 1);
    fs::copy(work.path("pictures/train/disc/000.png"), work.path("pictures/train/bar/copy.png")).unwrap();
    embed(&work, &["-o", "h.csv", "--neighbours", "2"]).success().stdout("h.csv\nh.neighbours.csv\n");
    let table = String::from_utf8(work.read("h.neighbours.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + 10 * 2);
    let row = table.lines().find(|line| line.starts_with("pictures/train/bar/copy.png,1,")).unwrap();
    let (row, similarity) = row.rsplit_once(',').unwrap();
    assert_eq!(row, "pictures/train/bar/copy.png,1,pictures/train/disc/000.png");
    assert!((similarity.parse::<f32>().unwrap() - 1.0).abs() < 1e-5, "{similarity}");
    let lines = lines(embed(&work, &["-o", "h.npy", "--neighbours", "20", "--json"]));
    assert!(lines.iter().all(|line| line["neighbours"].as_array().unwrap().len() == 9 && line["features"].is_null()));
}

#[test]
fn a_broken_picture_is_named_or_passed_over() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 2, 1);
    let broken = "pictures/train/bar/001.png";
    let whole = work.read(broken);
    fs::write(work.path(broken), &whole[..whole.len() / 2]).unwrap();
    let stderr = |assert: &assert_cmd::assert::Assert| String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    let refused = embed(&work, &["-o", "h.npy"]).code(3).stdout("");
    assert!(stderr(&refused).contains(broken) && stderr(&refused).contains("--skip-broken"), "{}", stderr(&refused));
    assert!(!work.path("h.npy").exists());
    let passed = embed(&work, &["-o", "h.npy", "--skip-broken"]).success();
    assert!(stderr(&passed).contains("1 picture passed over") && stderr(&passed).contains(broken));
    let mut paths = paths();
    paths.retain(|path| path != broken);
    assert_close(&npy(&work.read("h.npy"), 8), &expected(&work, &paths));
    assert_eq!(String::from_utf8(work.read("h.paths.csv")).unwrap().lines().count(), 9);
}

/// `count` links to ten pictures of 512x512.
fn many(work: &Workplace, count: usize) -> PathBuf {
    let folder = work.path(&format!("many-{count}"));
    fs::create_dir(&folder).unwrap();
    for index in 0..count {
        let original = work.path(&format!("original-{}.png", index % 10));
        if index < 10 && !original.exists() {
            let pixels = (0..512 * 512 * 3).map(|at| (at * (index + 3) / 97 % 251) as u8).collect();
            let picture = gan::report::Picture { width: 512, height: 512, channels: 3, pixels };
            gan::report::encode_png(&picture, &mut File::create(&original).unwrap()).unwrap();
        }
        fs::hard_link(&original, folder.join(format!("{index:05}.png"))).unwrap();
    }
    folder
}

/// Runs a command to its end, which must be a success, and says how much memory it took at most, in bytes. What wait4 says
/// of a child is no use: it counts the memory of this process too, which the child had before it became another.
fn peak_memory(mut command: std::process::Command) -> u64 {
    let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        // Before it is the program it has the name and the memory of this process.
        if text.starts_with("Name:\tgan\n") {
            peak = kibibytes.unwrap_or(0).max(peak);
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success() && peak > 0);
    peak << 10
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc")]
fn memory_does_not_grow_with_the_pictures() {
    let work = Workplace::new();
    let of = |count: usize| {
        let folder = many(&work, count);
        let folder = Path::new(folder.file_name().unwrap()).to_str().unwrap().to_owned();
        let arguments = ["embed", &folder, "--weights", "bundled", "-o", "h.parquet", "--threads", "2", "-q"];
        peak_memory(work.spawn(&arguments))
    };
    let (few, more) = (of(200), of(2000));
    // All of them decoded are 1.5 GB, and 6 MB as the encoder takes them.
    assert!(more < few + (24 << 20), "{few} bytes for 200 pictures, {more} for 2000");
}
