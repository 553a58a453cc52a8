//! The places where commands are refused: each is made once, and every row has a copy.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use candle_core::{DType, Device, Tensor};
use gan::checkpoint::{self, Archive};
use gan::data::cifar;

use super::snapshot::Snapshot;
use crate::data::parquet_files;
use crate::support::{TINY, Workplace, write_idx, write_pictures};

/// What lies at a place.
#[derive(Clone, Copy, Debug)]
pub enum State {
    /// Data of every format, whole and damaged, and files that are no weights.
    Data,
    /// The same and the GAN run `run` of nine steps, with three checkpoints.
    Gan,
    /// The same and the runs `encoder`, of three steps with two checkpoints, and `probe`, a table on it that was
    /// killed after four steps of six.
    Encoder,
    /// The same and a GAN run of one step on each format: `idx`, `hub`, `batches`, `pictures`.
    Formats,
}

/// The places that were made, and copies of them that nothing was done to.
#[derive(Default)]
pub struct Places {
    made: [OnceLock<Workplace>; 4],
    unchanged: [Mutex<Vec<Place>>; 4],
}

/// A copy, and how it looked when nothing had been done to it.
pub struct Place {
    state: State,
    pub work: Workplace,
    pub snapshot: Snapshot,
}

impl Places {
    /// A place in that state, with nobody else there.
    pub fn take(&self, state: State) -> Place {
        if let Some(place) = self.unchanged[state as usize].lock().unwrap().pop() {
            return place;
        }
        let made = self.made[state as usize].get_or_init(|| make(state));
        let work = Workplace { directory: tempfile::tempdir().unwrap() };
        copy_into(made.directory.path(), work.directory.path());
        rename_places(made, &work);
        Place { state, snapshot: Snapshot::of(work.directory.path()), work }
    }

    /// Takes a place back that is as it was.
    pub fn give_back(&self, place: Place) {
        self.unchanged[place.state as usize].lock().unwrap().push(place);
    }
}

/// The runs of a copy were begun in it: what they keep of where things lie is not of the original.
fn rename_places(original: &Workplace, copy: &Workplace) {
    let [from, to] = [original, copy].map(|work| work.path("").canonicalize().unwrap().display().to_string());
    for run in fs::read_dir(copy.path("weights")).into_iter().flatten() {
        let path = run.unwrap().path().join("config.json");
        let Ok(config) = fs::read_to_string(&path) else { continue };
        fs::remove_file(&path).unwrap(); // it may be a link to the original's
        fs::write(&path, config.replace(&from, &to)).unwrap();
    }
}

/// Copies a directory. Large files are shared: programs replace them whole, and one that did not would be found out.
fn copy_into(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            fs::create_dir(&copy).unwrap();
            copy_into(&path, &copy);
        } else if entry.metadata().unwrap().len() > 1 << 20 {
            fs::hard_link(&path, &copy).unwrap();
        } else {
            fs::copy(&path, &copy).unwrap();
        }
    }
}

fn make(state: State) -> Workplace {
    let place = Workplace::new();
    write_data(&place);
    write_damaged(&place);
    write_weights(&place);
    let gan = |arguments: &str| {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        place.gan(&arguments).assert().success();
    };
    match state {
        State::Data => {}
        State::Gan => drop(place.train("run", "9", &["--no-ema", "--checkpoint-every", "3"])),
        State::Encoder => {
            gan(
                "pretrain-simclr --data pictures --batch-size 4 --steps 3 --checkpoint-every 1 --keep 2 --knn-every 0 \
                 --run encoder",
            );
            gan("finetune --data pictures --weights weights/encoder --labels 1.0 --batch-size 4 --epochs 2 \
                 --checkpoint-every 2 --run probe");
            // As if it had been killed before its end.
            remove(&place, "weights/probe/step-00000006.safetensors");
        }
        State::Formats => {
            for (run, data) in [("idx", "data"), ("hub", "hub"), ("batches", "batches"), ("pictures", "pictures")] {
                place
                    .gan(
                        &[TINY, &["--run", run, "--steps", "1", "--no-ema", "--batch-size", "4", "--data", data]]
                            .concat(),
                    )
                    .assert()
                    .success();
                // Its checkpoint is enough.
                remove(&place, &format!("weights/{run}/generator.safetensors"));
                remove(&place, &format!("weights/{run}/discriminator.safetensors"));
            }
        }
    }
    place
}

/// `data` (IDX, 96 images, nothing to test on), `whole` (the same, with 12 to test on), `hub` (parquet, 20 and 4),
/// `batches` (CIFAR-10's, 20 and 4), `pictures` (PNG by class, 12 and 3), and `file`, which is no directory.
fn write_data(place: &Workplace) {
    fs::create_dir(place.path("whole")).unwrap();
    write_idx(&place.path("whole"), 12);
    for (train, test) in [("train-images-idx3", "t10k-images-idx3"), ("train-labels-idx1", "t10k-labels-idx1")] {
        let path = |name: &str| place.path(&format!("whole/{name}-ubyte"));
        fs::rename(path(train), path(test)).unwrap();
    }
    write_idx(&place.path("whole"), 96);
    write_pictures(&place.path("pictures"), 4, 1);
    fs::create_dir(place.path("hub")).unwrap();
    let png = |index: i64| place.read(&format!("pictures/train/disc/{:03}.png", index % 4));
    let rows: Vec<_> = (0..10).map(|index| (png(index), index % 3)).collect();
    parquet_files::write(&place.path("hub/train.parquet"), &rows, "[]");
    parquet_files::write(&place.path("hub/test.parquet"), &rows[..2], "[]");
    fs::create_dir(place.path("batches")).unwrap();
    for (batch, name) in cifar::BATCHES.iter().enumerate() {
        let record = |image: usize| [vec![image as u8], vec![(40 * image + batch) as u8; 3072]].concat();
        fs::write(place.path(&format!("batches/{name}")), (0..4).flat_map(record).collect::<Vec<u8>>()).unwrap();
    }
    fs::write(place.path("file"), "").unwrap();
}

/// Each kind of damage in a folder of its own under `bad/`.
fn write_damaged(place: &Workplace) {
    let damage = |name: &str, of: &str, file: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let folder = format!("bad/{name}");
        copy(place, of, &folder);
        let path = format!("{folder}/{file}");
        fs::write(place.path(&path), change(place.read(&path))).unwrap();
    };
    let half = |bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec();
    damage("idx-cut", "data", "train-images-idx3-ubyte", &half);
    damage("idx-kind", "data", "train-images-idx3-ubyte", &|bytes| [b"no IDX".to_vec(), bytes].concat());
    damage("idx-labels", "data", "train-labels-idx1-ubyte", &|_| {
        [0x0801u32, 2, 0].map(u32::to_be_bytes).concat()[..10].to_vec()
    });
    damage("hub-cut", "hub", "train.parquet", &half);
    damage("batches-cut", "batches", "data_batch_3.bin", &half);
    damage("batches-label", "batches", "test_batch.bin", &|bytes| [vec![10], bytes[1..].to_vec()].concat());
    damage("pictures-cut", "pictures", "train/cross/002.png", &half);
    copy(place, "data", "bad/idx-alone");
    remove(place, "bad/idx-alone/train-labels-idx1-ubyte");
    copy(place, "batches", "bad/batches-few");
    remove(place, "bad/batches-few/data_batch_4.bin");
    copy(place, "hub", "bad/hub-untrained");
    remove(place, "bad/hub-untrained/train.parquet");
    fs::create_dir_all(place.path("bad/empty")).unwrap();
    fs::create_dir_all(place.path("bad/text")).unwrap();
    fs::write(place.path("bad/text/readme.txt"), "no data").unwrap();
    fs::write(place.path("bad/cut.tar"), [1; 600]).unwrap();
    fs::write(place.path("bad/cut.zip"), b"PK\x03\x04").unwrap();
    fs::write(place.path("bad/cut.tar.gz"), [0x1f, 0x8b, 8, 0, 0, 0]).unwrap();
}

/// Files that are named where weights or arrays are expected.
fn write_weights(place: &Workplace) {
    let tensors = [("other".to_string(), Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap())].into();
    checkpoint::write(&place.path("other.safetensors"), &Archive { tensors, ..Archive::default() }).unwrap();
    let whole = place.read("other.safetensors");
    fs::write(place.path("cut.safetensors"), &whole[..whole.len() - 1]).unwrap();
    fs::write(place.path("text.safetensors"), "no weights").unwrap();
    fs::write(place.path("text.pth"), "no weights").unwrap();
    fs::write(place.path("text.npy"), "no array").unwrap();
    write_npy(place, "narrow.npy", &[12, 5], 0.5);
    write_npy(place, "few.npy", &[9, 1, 28, 28], 0.5);
    write_npy(place, "bright.npy", &[12, 1, 28, 28], 3.0);
    write_npy(place, "nan.npy", &[12, 1, 28, 28], f32::NAN);
    write_npy(place, "latents.npy", &[12, 96], 0.5);
}

fn write_npy(place: &Workplace, name: &str, shape: &[u64], value: f32) {
    let count = shape.iter().product::<u64>() as usize;
    let values = vec![value.to_le_bytes(); count].concat();
    fs::write(place.path(name), [gan::report::npy_header(shape), values].concat()).unwrap();
}

/// Copies a directory of a place.
pub fn copy(place: &Workplace, from: &str, to: &str) {
    fs::create_dir_all(place.path(to)).unwrap();
    copy_into(&place.path(from), &place.path(to));
}

/// Removes a file or a directory with all in it.
pub fn remove(place: &Workplace, name: &str) {
    let path = place.path(name);
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
}

/// Puts a file there, not into one that the places share.
pub fn put(place: &Workplace, name: &str, content: impl AsRef<[u8]>) {
    let path = place.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let _ = fs::remove_file(&path);
    fs::write(path, content).unwrap();
}

/// Cuts a file in half.
pub fn cut(place: &Workplace, name: &str) {
    let bytes = place.read(name);
    put(place, name, &bytes[..bytes.len() / 2]);
}

/// Sets fields of a run's saved configuration.
pub fn configure(place: &Workplace, run: &str, fields: serde_json::Value) {
    let name = format!("weights/{run}/config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&place.read(&name)).unwrap();
    config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    put(place, &name, config.to_string());
}

/// Changes what a checkpoint or a network holds.
pub fn rewrite(place: &Workplace, name: &str, change: impl Fn(&mut Archive)) {
    let mut archive = checkpoint::read(&place.path(name)).unwrap();
    change(&mut archive);
    checkpoint::write(&place.path(name), &archive).unwrap();
}

/// Puts a NaN into a tensor of a checkpoint or a network.
pub fn spoil(place: &Workplace, name: &str, tensor: &str) {
    rewrite(place, name, |archive| {
        let spoilt = (&archive.tensors[tensor] * f64::NAN).unwrap();
        archive.tensors.insert(tensor.into(), spoilt);
    });
}
