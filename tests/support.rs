//! What the tests of the real program share: a tiny data set, a workplace, the binary.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use candle_core::Tensor;

/// A temporary directory with a tiny data set in `data/`, where the program runs.
pub struct Workplace {
    pub directory: tempfile::TempDir,
}

impl Workplace {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        write_idx(&data, 96);
        Self { directory }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The program, to be run here, on the device of the tests.
    pub fn gan(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.current_dir(self.directory.path()).env_remove("NO_COLOR").args(placed(arguments));
        command
    }

    /// As [`Self::gan`], to be spawned and signalled.
    pub fn spawn(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(program());
        command.current_dir(self.directory.path()).args(placed(arguments));
        heed_signals(&mut command);
        command
    }

    /// Trains a tiny vanilla GAN for `steps` steps under `run` and the further flags; must succeed.
    pub fn train(&self, run: &str, steps: &str, flags: &[&str]) -> assert_cmd::assert::Assert {
        self.gan(&[TINY, &["--run", run, "--steps", steps], flags].concat()).assert().success()
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The tensors of a safetensors file here.
    pub fn tensors(&self, name: &str) -> BTreeMap<String, Tensor> {
        gan::checkpoint::read(&self.path(name)).unwrap().tensors
    }

    /// The lines of a run's metrics.jsonl.
    pub fn metrics(&self, run: &str) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.read(&format!("weights/{run}/metrics.jsonl"))).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The same without the clock.
    pub fn metrics_without_clock(&self, run: &str) -> Vec<serde_json::Value> {
        let mut metrics = self.metrics(run);
        for record in &mut metrics {
            let record = record.as_object_mut().unwrap();
            CLOCK.iter().for_each(|name| drop(record.remove(*name)));
        }
        metrics
    }
}

/// What the records of two runs that are the same differ in.
pub const CLOCK: [&str; 3] = ["seconds", "images_per_second", "evaluate_seconds"];

/// Has the child heed signals though the tests may be told to ignore them, as in the background of a script: the program
/// leaves an ignored signal ignored.
fn heed_signals(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: signal may be called between fork and exec, and changes the child alone.
    unsafe {
        command.pre_exec(|| {
            [libc::SIGINT, libc::SIGTERM, libc::SIGHUP].iter().for_each(|signal| {
                libc::signal(*signal, libc::SIG_DFL);
            });
            Ok(())
        })
    };
}

/// The directory of this repository: not where the tests were compiled, but where they run. cargo and gpu.sh say it.
pub fn repository() -> String {
    std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_string())
}

/// The program: the one that cargo has built, or `GAN`.
pub fn program() -> std::ffi::OsString {
    std::env::var_os("GAN").unwrap_or_else(|| env!("CARGO_BIN_EXE_gan").into())
}

/// The arguments, with the device of the tests where one is named, and they name none and are of a command that has one.
fn placed(arguments: &[&str]) -> Vec<String> {
    let mut placed: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let computes = ["train-gan", "sample", "pretrain-simclr", "finetune", "embed", "predict", "evaluate"]
        .contains(arguments.first().unwrap_or(&""));
    if let Some(name) = crate::device::named().filter(|_| computes && !arguments.contains(&"--device")) {
        placed.extend(["--device".to_string(), name]);
    }
    placed
}

/// PNG files of three classes: `train/` with `train` a class and `test/` with `test`. Bars, discs and crosses in colours
/// of their own.
pub fn write_pictures(directory: &Path, train: usize, test: usize) {
    for (part, count) in [("train", train), ("test", test)] {
        for (class, name) in ["bar", "cross", "disc"].into_iter().enumerate() {
            let folder = directory.join(part).join(name);
            std::fs::create_dir_all(&folder).unwrap();
            for index in 0..count {
                let seed = (index * 7 + count + class * 3) as u8;
                let pixel = |place: u32| {
                    let (x, y) = ((place % 32) as i32 - 16, (place / 32) as i32 - 16);
                    let inside = match class {
                        0 => x.abs() < 4,
                        1 => x.abs() < 3 || y.abs() < 3,
                        _ => x * x + y * y < 100,
                    };
                    let ink = [seed.wrapping_mul(37), seed.wrapping_mul(91), 255 - seed];
                    if inside { ink } else { [ink[1] / 3, ink[2] / 3, (place / 8) as u8] }
                };
                let pixels: Vec<u8> = (0..32 * 32).flat_map(pixel).collect();
                let picture = gan::report::Picture { width: 32, height: 32, channels: 3, pixels };
                let mut file = std::fs::File::create(folder.join(format!("{index:03}.png"))).unwrap();
                gan::report::encode_png(&picture, &mut file).unwrap();
            }
        }
    }
}

/// Flags of the smallest useful run.
pub const TINY: &[&str] = &[
    "train-gan",
    "--model",
    "vanilla",
    "--data",
    "data",
    "--batch-size",
    "16",
    "--latent-dim",
    "8",
    "--log-every",
    "1",
    "--checkpoint-every",
    "4",
    "--sample-every",
    "3",
];

/// Bytes of two sets of tensors, to be compared to the bit.
pub fn bytes_of(tensors: &BTreeMap<String, Tensor>) -> BTreeMap<String, Vec<u8>> {
    let bytes = |tensor: &Tensor| -> Vec<u8> {
        let flat = tensor.flatten_all().unwrap();
        match tensor.dtype() {
            candle_core::DType::I64 => flat.to_vec1::<i64>().unwrap().iter().flat_map(|v| v.to_le_bytes()).collect(),
            _ => flat.to_vec1::<f32>().unwrap().iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    };
    tensors.iter().map(|(name, tensor)| (name.clone(), bytes(tensor))).collect()
}

/// IDX files of `count` training images: bright bars on black, each at its own place.
pub fn write_idx(directory: &Path, count: u32) {
    let mut images = [0x0803u32, count, 28, 28].iter().flat_map(|v| v.to_be_bytes()).collect::<Vec<u8>>();
    let mut labels = [0x0801u32, count].iter().flat_map(|v| v.to_be_bytes()).collect::<Vec<u8>>();
    for image in 0..count {
        let (x, y) = (image * 7 % 22, image * 5 % 20);
        for pixel in 0..28 * 28 {
            let (column, row) = (pixel % 28, pixel / 28);
            let inside = (x..x + 5).contains(&column) && (y..y + 8).contains(&row);
            images.push(if inside { 255 - (image % 64) as u8 } else { 0 });
        }
        labels.push((image % 10) as u8);
    }
    std::fs::write(directory.join("train-images-idx3-ubyte"), images).unwrap();
    std::fs::write(directory.join("train-labels-idx1-ubyte"), labels).unwrap();
}
