//! The library as another program uses it.

use std::fs;
use std::path::Path;

use candle_core::Device;
use gan::data::Images;
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
    assert!(matches!(error.downcast_ref(), Some(gan::error::Error::Input(_))), "{error}");
}

/// Signal handlers, panic hooks, thread pools and the environment belong to the program: only these files touch them.
#[test]
fn the_library_leaves_the_process_alone() {
    let may = ["main.rs", "cli.rs", "startup/mod.rs", "run/signals.rs", "data/guard.rs"];
    let calls = ["set_hook(", "signal_hook::", "build_global(", "set_var(", "process::exit(", "process::abort("];
    let root = Path::new(&repository()).join("src");
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            let text = fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&text);
            let found = calls.iter().find(|call| text.contains(**call));
            assert!(found.is_none() || may.contains(&name.as_str()), "{name}: {found:?}");
        }
    }
    // Of these, the library's own functions call none of what is for `main` and the commands.
    let guard = fs::read_to_string(root.join("data/guard.rs")).unwrap();
    assert_eq!(guard.matches("set_hook(").count(), 1);
    assert!(guard.split("pub fn silence_decoder_panics").nth(1).unwrap().contains("set_hook("));
}
