//! A data file of the kind that the first byte says: IDX, the same packed, CIFAR's batches, their archive, metrics.
#![no_main]

use gan::data::{self, ImageShape, cifar};
use gan::report::{GanRecord, RunLog};
use libfuzzer_sys::fuzz_target;

const SHAPE: ImageShape = ImageShape { height: 28, width: 28, channels: 1 };

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(directory.path().join(name), bytes).unwrap();
    match kind % 5 {
        0 | 1 => {
            write("train-labels-idx1-ubyte", &[0, 0, 8, 1, 0, 0, 0, 2, 0, 1]);
            write(["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"][usize::from(kind % 5)], bytes);
        }
        2 => cifar::BATCHES.iter().for_each(|name| write(name, bytes)),
        3 => write(cifar::ARCHIVE, bytes),
        _ => {
            write("metrics.jsonl", bytes);
            let _ = RunLog::open(&directory.path().join("metrics.jsonl"), |record: &GanRecord| record.step < 2);
            return;
        }
    }
    let _ = data::open(directory.path().to_str().unwrap(), &data::DataOptions::default(), SHAPE, &|_, _, _| ());
});
