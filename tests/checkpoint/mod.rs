//! Checkpoints: the format against the reference implementation and PyTorch, damage and hostility, atomic writing, runs.
#![allow(clippy::unwrap_used, clippy::expect_used)] // clippy spares only the test functions themselves

mod damage;
mod directories;
mod format;
mod lines;
mod loading;
mod pytorch;
mod writing;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use candle_core::{DType, Device, Tensor};
use gan::checkpoint::saved_runs;
use gan::checkpoint::{Archive, Container, Signature, atomic, check_names, conform, describe, read, to_bytes, write};
use gan::commands::errors;
use gan::commands::exit_code::exit_code;
use gan::run::{RunDirectory, RunPlace};
use proptest::prelude::*;
use safetensors::SafeTensors;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// One tensor of every dtype, a scalar, an empty one, and one that is not contiguous.
fn every_dtype() -> Archive {
    let values = Tensor::arange(0f32, 6., &Device::Cpu).unwrap().reshape((2, 3)).unwrap();
    let mut tensors: BTreeMap<String, Tensor> =
        [DType::F64, DType::F32, DType::F16, DType::BF16, DType::I64, DType::I32, DType::I16, DType::U32, DType::U8]
            .into_iter()
            .map(|dtype| (format!("of.{}", dtype.as_str()), values.to_dtype(dtype).unwrap()))
            .collect();
    tensors.insert("0.num_batches_tracked".into(), Tensor::new(7i64, &Device::Cpu).unwrap());
    tensors.insert("empty".into(), Tensor::zeros((0, 4), DType::F32, &Device::Cpu).unwrap());
    tensors.insert("transposed".into(), values.t().unwrap());
    tensors.insert("row".into(), values.get(1).unwrap());
    let metadata = [("step", "500"), ("config", "{\"lr\": 0.001}"), ("a\n\"b\"", "ü")];
    Archive { tensors, metadata: metadata.map(|(name, text)| (name.to_owned(), text.to_owned())).into() }
}

fn bytes_of(tensor: &Tensor) -> Vec<u8> {
    let tensors = BTreeMap::from([("x".to_owned(), tensor.clone())]);
    let bytes = to_bytes(&Archive { tensors, ..Archive::default() }).unwrap();
    let reference = SafeTensors::deserialize(&bytes).unwrap();
    reference.tensor("x").unwrap().data().to_vec()
}

#[track_caller]
fn assert_same(left: &Archive, right: &Archive) {
    assert_eq!(left.signature(), right.signature());
    for (name, tensor) in &left.tensors {
        assert_eq!(bytes_of(tensor), bytes_of(&right.tensors[name]), "{name}");
    }
}

/// The text of an error that leaves with `code`, and is short.
#[track_caller]
fn refused<T>(result: anyhow::Result<T>, code: u8) -> String {
    let Err(error) = result else { panic!("accepted") };
    assert!(!gan::error::text(&error).contains("--"), "the library names no flags: {error:#}");
    let text = errors::text(&error);
    assert_eq!(exit_code(&error), code, "{text}");
    assert!(text.lines().count() <= 3, "{text}");
    text
}

/// A safetensors file with this header and `data` zeros.
fn with_header(json: &str, data: usize) -> Vec<u8> {
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn read_bytes(bytes: &[u8]) -> anyhow::Result<Archive> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("x");
    fs::write(&path, bytes)?;
    let archive = read(&path);
    let described = describe(&path);
    if let Ok(archive) = &archive {
        assert_eq!(described?.tensors, archive.signature());
    }
    archive
}

/// A ZIP as torch.save writes it, of this pickle and one storage of `storage` zeros.
fn pth(pickle: &[u8], storage: usize) -> Vec<u8> {
    zipped(&[("archive/data.pkl", pickle), ("archive/data/0", &vec![0; storage])])
}

/// A ZIP of entries that are stored as they are.
pub fn zipped(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in entries {
        zip.start_file(*name, stored).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A pickle of {"w": tensor}, with the offset, sizes and strides given as pickled integers and tuples.
fn pickled_tensor(offset: &[u8], shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let mut pickle = b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((".to_vec();
    pickle.extend(b"X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ");
    pickle.extend([offset, shape, strides].concat());
    pickle.extend(b"\x89ccollections\nOrderedDict\n)RtRs.");
    pickle
}

fn listing(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
