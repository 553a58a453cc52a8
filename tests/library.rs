//! The library as another program uses it.

use std::fs;
use std::path::Path;

use candle_core::Device;
use gan::data::{DataOptions, Images, StepPlan};
use gan::device::DeviceChoice;
use gan::error::Error;
use gan::image_shape::ImageShape;
use gan::models::Architecture;
use gan::pretrained::{TrainedEncoder, TrainedGenerator};

use crate::support::{Workplace, repository};

#[test]
fn a_generator_draws_what_the_program_draws() {
    let work = Workplace::new();
    let arguments = ["sample", "--model", "vanilla", "--weights", "bundled", "-n", "3", "--seed", "5", "-o", "s.npy"];
    work.gan(&arguments).args(["--device", "cpu"]).assert().success();
    let npy = work.read("s.npy");
    let generator = TrainedGenerator::bundled(Architecture::Vanilla, &Device::Cpu).unwrap();
    let images = generator.sample(3, 5).unwrap();
    assert_eq!(images.dims(), [3, 28, 28, 1]);
    let values = images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    assert!(npy.ends_with(&bytes) && npy.len() < bytes.len() + 256);
}

#[test]
fn features_do_not_depend_on_the_batch() {
    let encoder = TrainedEncoder::bundled(&Device::Cpu).unwrap();
    let shape = ImageShape::new(32, 32, 3);
    let pixels = (0..8 * shape.stride()).map(|i| (i * 31 % 251) as u8).collect();
    let batch = Images { pixels, ..Images::empty(shape) };
    let all = encoder.embed(&batch).unwrap();
    assert_eq!(all.dims(), [8, 256]);
    let some = encoder.embed(&batch.first(3)).unwrap();
    let difference = (some - all.narrow(0, 0, 3).unwrap()).unwrap().abs().unwrap().max_all().unwrap();
    assert!(difference.to_scalar::<f32>().unwrap() < 1e-5, "{difference}");
    let grey = Images { pixels: vec![0; 64], ..Images::empty(ImageShape::new(8, 8, 1)) };
    let error = encoder.embed(&grey).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Error::Input(_))), "{error}");
}

/// The files of `src`: path below it, text.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(&repository()).join("src");
    let (mut folders, mut sources) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            sources.push((name, String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()));
        }
    }
    sources
}

/// Signal handlers, panic hooks, thread pools and the environment belong to the program: only these files touch them.
#[test]
fn the_library_leaves_the_process_alone() {
    let may = ["main.rs", "cli.rs", "startup/mod.rs", "run/signals.rs", "data/guard.rs"];
    let calls = ["set_hook(", "signal_hook::", "build_global(", "set_var(", "process::exit(", "process::abort("];
    for (name, text) in sources() {
        let found = calls.iter().find(|call| text.contains(**call));
        assert!(found.is_none() || may.contains(&name.as_str()), "{name}: {found:?}");
    }
    // Of these, the library's own functions call none of what is for `main` and the commands.
    let guard = fs::read_to_string(Path::new(&repository()).join("src/data/guard.rs")).unwrap();
    assert_eq!(guard.matches("set_hook(").count(), 1);
    assert!(guard.split("pub fn silence_decoder_panics").nth(1).unwrap().contains("set_hook("));
}

/// Only the program names flags. Doc comments of configurations are its help, and unit tests parse command lines.
#[test]
fn the_library_names_no_flags() {
    let is_program = |name: &str| ["main.rs", "cli.rs", "cli/", "commands/"].iter().any(|path| name.starts_with(path));
    // Flags of cargo and of NVRTC, and the command line that a digit classifier's file records.
    let may = ["build.rs", "kernels/cuda/kernel.rs", "train/classifier_config.rs"];
    let names_flag = |line: &str| {
        let is_long = line.split("--").skip(1).any(|rest| rest.starts_with(|first: char| first.is_ascii_lowercase()));
        is_long || line.contains(" -o ") || line.contains("\"-o ")
    };
    let mut looked_at = 0;
    for (name, text) in sources() {
        if !name.ends_with(".rs") || is_program(&name) || may.contains(&name.as_str()) {
            continue;
        }
        looked_at += 1;
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let line = line.split(" // ").next().unwrap();
            assert!(!names_flag(line), "{name}: {line}");
        }
    }
    assert!(looked_at > 150, "{looked_at}");
}

#[test]
fn errors_hold_data_and_name_no_flags() {
    let shape = ImageShape::new(28, 28, 1);
    let error = gan::data::open("nowhere", &DataOptions::default(), shape, &|_, _, _| {}).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Error::Data { data, .. }) if data == "nowhere"), "{error:?}");
    assert!(error.to_string().starts_with("nowhere: no data set and no directory"), "{error}");
    let error = StepPlan::new(7, 8, true, 0).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Error::TooFewImages { name: "batch_size", .. })), "{error:?}");
    assert!(error.to_string().starts_with("batch_size 8: "), "{error}");
    if cfg!(not(feature = "cuda")) {
        let error = DeviceChoice::Cuda(Some(1)).open().unwrap_err();
        assert_eq!(error.to_string(), "device cuda:1: this binary was built without cuda");
    }
}
