//! Checkpoints: the format against the reference implementation and PyTorch, damage and hostility, atomic writing, runs.
#![allow(clippy::unwrap_used, clippy::expect_used)] // clippy spares only the test functions themselves

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use candle_core::{DType, Device, Tensor};
use gan::checkpoint::{
    Archive, Container, RunDirectory, Signature, atomic, check_names, conform, describe, read, runs, to_bytes, write,
};
use gan::error::exit_code;
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
    let text = format!("{error:#}");
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

// ---- the format

#[test]
fn every_dtype_survives_a_round_trip() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("all.safetensors");
    let archive = every_dtype();
    write(&path, &archive).unwrap();
    let back = read(&path).unwrap();
    assert_same(&archive, &back);
    let mut metadata = archive.metadata.clone();
    metadata.insert("format".into(), "pt".into());
    assert_eq!(back.metadata, metadata);
    assert_eq!(back.tensors["transposed"].to_vec2::<f32>().unwrap(), [[0., 3.], [1., 4.], [2., 5.]]);

    let described = describe(&path).unwrap();
    assert_eq!(described.container, Container::Safetensors);
    assert_eq!((described.tensors, described.metadata), (archive.signature(), metadata));
    assert_eq!(described.bytes, fs::metadata(&path).unwrap().len());
}

#[test]
fn the_same_tensors_give_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["a", "b"].map(|name| directory.path().join(name));
    write(&paths[0], &every_dtype()).unwrap();
    write(&paths[1], &read(&paths[0]).unwrap()).unwrap();
    let bytes = paths.map(|path| fs::read(path).unwrap());
    assert_eq!(bytes[0], bytes[1]);
    assert_eq!(bytes[0], to_bytes(&every_dtype()).unwrap());
}

#[test]
fn the_reference_implementation_writes_the_same_bytes() {
    let archive = Archive { metadata: BTreeMap::new(), ..every_dtype() };
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    let contiguous = archive.tensors.iter().map(|(name, tensor)| (name, tensor.contiguous().unwrap()));
    let reference = safetensors::serialize(contiguous, Some(metadata)).unwrap();
    assert_eq!(to_bytes(&archive).unwrap(), reference);
}

#[test]
fn names_of_one_dtype_are_in_order_and_data_is_aligned() {
    let tensors = ["b.weight", "a", "c", "10.bias", "2.bias"]
        .map(|name| (name.to_owned(), Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap()));
    let bytes = to_bytes(&Archive { tensors: tensors.into(), ..Archive::default() }).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    assert_eq!(length % 8, 0);
    let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    let places = ["__metadata__", "10.bias", "2.bias", "a", "b.weight", "c"]
        .map(|name| header.find(&format!("\"{name}\"")).unwrap());
    assert!(places.is_sorted(), "{header}");
}

#[test]
fn a_name_that_is_metadata_is_no_tensor() {
    let tensors = [("__metadata__".to_owned(), Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap())].into();
    assert!(to_bytes(&Archive { tensors, ..Archive::default() }).is_err());
}

// ---- PyTorch's files

#[test]
fn state_dicts_of_pytorch_are_read() {
    for name in ["network", "wrapped", "protocol4", "views"] {
        let (path, expected) = (fixture(&format!("{name}.pth")), fixture(&format!("{name}.safetensors")));
        let found = read(&path).unwrap();
        assert_same(&found, &read(&expected).unwrap());
        let described = describe(&path).unwrap();
        assert_eq!(described.container, Container::Torch);
        assert_eq!(described.tensors, found.signature());
    }
    let network = read(&fixture("network.pth")).unwrap();
    assert_eq!(network.tensors["2.num_batches_tracked"].to_scalar::<i64>().unwrap(), 1);
    assert_eq!(network.signature()["4.weight"], (vec![1, 2, 2, 2], DType::F32));
}

#[test]
fn the_name_of_the_file_does_not_matter() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("misnamed.safetensors");
    fs::copy(fixture("network.pth"), &path).unwrap();
    assert_same(&read(&path).unwrap(), &read(&fixture("network.safetensors")).unwrap());
}

#[test]
fn a_state_dict_that_would_run_code_is_refused_and_runs_nothing() {
    for result in [read(&fixture("hostile.pth")).map(drop), describe(&fixture("hostile.pth")).map(drop)] {
        let text = refused(result, 3);
        assert!(text.contains("posix.system") || text.contains("os.system"), "{text}");
    }
    assert!(!Path::new("hostile.pth-was-here").exists());
}

#[test]
fn what_is_no_single_state_dict_says_so() {
    let text = refused(read(&fixture("legacy.pth")), 3);
    assert!(text.contains("before 1.6") && text.contains("torch.save"), "{text}");
    let text = refused(read(&fixture("two.pth")), 3);
    assert!(text.contains("discriminator, generator"), "{text}");
}

/// A ZIP as torch.save writes it, of this pickle and one storage of `storage` zeros.
fn pth(pickle: &[u8], storage: usize) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in [("archive/data.pkl", pickle), ("archive/data/0", &vec![0; storage])] {
        zip.start_file(name, stored).unwrap();
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

#[test]
fn hostile_pickles_are_refused() {
    // First the sane one, so that the others fail for their own reason.
    let sane = read_bytes(&pth(&pickled_tensor(b"K\x00", b"K\x02K\x02\x86", b"K\x02K\x01\x86"), 16)).unwrap();
    assert_eq!(sane.signature()["w"], (vec![2, 2], DType::F32));

    let large = b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"; // 2^63 - 1
    let pair = |item: &[u8]| [item, item, b"\x86"].concat();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (pickled_tensor(b"K\x01", b"K\x02K\x02\x86", b"K\x02K\x01\x86"), "reaches element 5"),
        (pickled_tensor(b"K\x00", &pair(large), &pair(b"K\x00")), "impossible shape"),
        (pickled_tensor(b"K\x00", &pair(b"K\x03"), &pair(large)), "impossible strides"),
        (pickled_tensor(large, &pair(b"K\x02"), &pair(b"K\x01")), "reaches element"),
        (pickled_tensor(b"K\x00", b"J\xff\xff\xff\xff\x85", b"K\x01\x85"), "negative size"),
        // A gigabyte from four numbers.
        (pickled_tensor(b"K\x00", b"J\x00\x00\x00\x10\x85", b"K\x00\x85"), "stored once"),
        (pickled_tensor(b"K\x00", b"K\x02\x85", b")"), "1 sizes, 0 strides"),
        (b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.".to_vec(), "os.system"),
        (b"\x80\x02cos\x1b[2J\nsystem\n.".to_vec(), "os\\u{1b}[2J.system"),
        ([b"\x80\x02cos".to_vec(), vec![b's'; 100_000], b"\n\n.".to_vec()].concat(), "osssssssssss"),
        (b"\x80\x02cbuiltins\neval\n.".to_vec(), "builtins.eval"),
        (b"\x80\x02\x8c\x02os\x8c\x06system\x93.".to_vec(), "os.system"),
        (b"\x80\x02}X\xff\xff\xff\xffw.".to_vec(), "truncated"),
        (b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xff.".to_vec(), "truncated"),
        (b"\x80\x02h\x00.".to_vec(), "not made"),
        (b"\x80\x02(0.".to_vec(), "empty stack"),
        (b"\x80\x02}(K\x01u.".to_vec(), "without a value"),
        (b"\x80\x02".to_vec(), "truncated"),
        (b"".to_vec(), "truncated"),
        (b"\x80\x02K\x01.".to_vec(), "no dict of tensors"),
        (b"\x80\x02}.".to_vec(), "no tensors"),
        // A dict within itself.
        (b"\x80\x02}q\x00X\x01\x00\x00\x00wh\x00s.".to_vec(), "no tensors"),
        // Tuples nested a hundred thousand deep.
        ([b"\x80\x02)".to_vec(), vec![0x85; 100_000], b".".to_vec()].concat(), "no dict of tensors"),
        // Each tuple holds the one before twice: 2^50 leaves to whoever copies.
        ([b"\x80\x02)".to_vec(), b"q\x00h\x00\x86".repeat(50), b".".to_vec()].concat(), "no dict of tensors"),
        ([b"\x80\x02".to_vec(), vec![b'N'; 1_000_001], b".".to_vec()].concat(), "objects"),
    ];
    for (pickle, expected) in cases {
        let text = refused(read_bytes(&pth(&pickle, 16)), 3);
        assert!(text.contains(expected), "expected {expected:?}: {text}");
        assert!(text.len() < 700 && !text.contains('\x1b'), "{text}");
    }
}

#[test]
fn hostile_zip_files_are_refused() {
    let sane = pth(&pickled_tensor(b"K\x00", b"K\x02\x85", b"K\x01\x85"), 16);
    let end = sane.len() - 22;
    let directory = u32::from_le_bytes(sane[end + 16..end + 20].try_into().unwrap()) as usize;
    let patch = |at: usize, bytes: &[u8]| {
        let mut patched = sane.clone();
        patched[at..at + bytes.len()].copy_from_slice(bytes);
        patched
    };
    let cases = [
        (patch(end + 12, &[0xFF; 3]), "lies beyond"),
        (patch(end + 16, &[0xFF; 4]), "lies beyond"),
        (patch(directory + 20, &[0xF0; 8]), "claim"),
        (patch(directory + 42, &[0xF0; 4]), "truncated"),
        (patch(directory + 10, &[8]), "compressed"),
        (patch(directory + 16, &[1, 2, 3, 4]), "checksum"),
        (patch(directory + 28, &[0xFF; 2]), "damaged"),
        (patch(directory + 46, &[0xFF]), "UTF-8"),
        (sane[..end].to_vec(), "truncated"),
        (sane[..sane.len() / 2].to_vec(), "truncated"),
    ];
    for (bytes, expected) in cases {
        let text = refused(read_bytes(&bytes), 3);
        assert!(text.contains(expected), "expected {expected:?}: {text}");
    }
    // Twice the same name: the second takes the place of the first for some readers and not for others.
    let twice = sane[directory..end].repeat(2);
    let bytes = [&sane[..directory], &twice, &patch(end + 12, &(twice.len() as u32).to_le_bytes())[end..]].concat();
    assert!(refused(read_bytes(&bytes), 3).contains("twice"));
}

// ---- damage

#[test]
fn hostile_headers_are_refused() {
    let f32s = |shape: &str, start: u64, end: u64| {
        format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":[{start},{end}]}}"#)
    };
    let one = f32s("[2]", 0, 8);
    assert_eq!(read_bytes(&with_header(&format!(r#"{{"w":{one}}}"#), 8)).unwrap().tensors.len(), 1);

    let cases = [
        (format!(r#"{{"w":{one},"w":{one}}}"#), 8, "twice"),
        (format!(r#"{{"__metadata__":{{"a":"1","a":"2"}},"w":{one}}}"#), 8, "twice"),
        (format!(r#"{{"__metadata__":{{}},"__metadata__":{{}},"w":{one}}}"#), 8, "twice"),
        (format!(r#"{{"__metadata__":{{"a":1}},"w":{one}}}"#), 8, "damaged"),
        (format!(r#"{{"w":{one}}}"#), 7, "truncated"),
        (format!(r#"{{"w":{one}}}"#), 9, "follow"),
        (format!(r#"{{"v":{one},"w":{one}}}"#), 8, "starts at byte 0"),
        (format!(r#"{{"v":{one},"w":{}}}"#, f32s("[2]", 4, 12)), 12, "starts at byte 4"),
        (format!(r#"{{"v":{one},"w":{}}}"#, f32s("[2]", 12, 20)), 20, "starts at byte 12"),
        (format!(r#"{{"w":{}}}"#, f32s("[3]", 0, 8)), 8, "takes 12"),
        (format!(r#"{{"w":{}}}"#, f32s("[2]", 8, 0)), 8, "starts at byte 8"),
        (format!(r#"{{"w":{}}}"#, f32s("[4611686018427387905,4]", 0, 8)), 8, "impossible"),
        (format!(r#"{{"w":{}}}"#, f32s("[0,4611686018427387905,4]", 0, 0)), 0, "impossible"),
        (format!(r#"{{"w":{}}}"#, f32s("[-1]", 0, 8)), 8, "damaged"),
        (format!(r#"{{"w":{}}}"#, f32s("[1e3]", 0, 8)), 8, "damaged"),
        (format!(r#"{{"w":{}}}"#, f32s("[4611686018427387904]", 0, u64::MAX)), 8, "impossible"),
        (format!(r#"{{"w":{}}}"#, f32s("[1000000000000]", 0, 4_000_000_000_000)), 8, "truncated"),
        (r#"{"w":{"dtype":"Q8","shape":[],"data_offsets":[0,1]}}"#.into(), 1, "Q8"),
        (r#"{"w":{"dtype":"U64","shape":[],"data_offsets":[0,8]}}"#.into(), 8, "U64"),
        (r#"{"w":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}"#.into(), 1, "F4"),
        (r#"{"w":{"dtype":"F32"}}"#.into(), 0, "damaged"),
        (format!(r#"{{"w":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000)), 0, "damaged"),
        (format!(r#"{{"w":{}"#, r#"{"x":"#.repeat(100_000)), 0, "damaged"),
        (format!(r#"{{"w":{one}}} {{}}"#), 8, "damaged"),
        ("{".into(), 0, "damaged"),
        (String::new(), 0, "neither"),
    ];
    for (json, data, expected) in cases {
        let text = refused(read_bytes(&with_header(&json, data)), 3);
        assert!(text.contains(expected), "expected {expected:?}: {text}");
        assert!(text.len() < 700, "{text}");
    }

    let mut not_text = with_header(&format!(r#"{{"w":{one}}}"#), 8);
    not_text[10] = 0xFF;
    assert!(refused(read_bytes(&not_text), 3).contains("UTF-8"));
    for claim in [u64::MAX, u64::MAX - 7, 1 << 40, 1000] {
        let mut lying = with_header(&format!(r#"{{"w":{one}}}"#), 8);
        lying[..8].copy_from_slice(&claim.to_le_bytes());
        assert!(refused(read_bytes(&lying), 3).contains("claims"));
    }
}

#[test]
fn what_is_no_checkpoint_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let missing = refused(read(&directory.path().join("none.safetensors")), 3);
    assert!(missing.contains("none.safetensors: there is no such file") && missing.contains("train-gan"), "{missing}");
    assert!(refused(read(directory.path()), 3).contains("directory"));
    assert!(refused(read_bytes(b""), 3).contains("empty"));
    assert!(refused(read_bytes(b"{"), 3).contains("neither"));
    assert!(refused(read_bytes(b"\x89PNG\r\n\x1a\nxxxxxxxxx"), 3).contains("neither"));
    assert!(refused(read_bytes(b"version https://git-lfs.github.com/spec/v1\n"), 3).contains("git lfs pull"));
    #[cfg(unix)]
    assert!(refused(read(Path::new("/dev/zero")), 3).contains("no regular file"));
}

#[test]
fn truncation_is_refused_wherever_it_falls() {
    for (name, stride) in [("network.safetensors", 1), ("network.pth", 11)] {
        let whole = fs::read(fixture(name)).unwrap();
        for length in (0..whole.len()).step_by(stride) {
            refused(read_bytes(&whole[..length]), 3);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens to the bytes, reading returns; and what it accepts, the reference accepts.
    #[test]
    fn damaged_safetensors_never_panic(edits in edits()) {
        let bytes = edited(&fs::read(fixture("views.safetensors")).unwrap(), &edits);
        match read_bytes(&bytes) {
            Ok(_) => prop_assert!(SafeTensors::deserialize(&bytes).is_ok()),
            Err(error) => prop_assert_eq!(exit_code(&error), 3),
        }
    }

    #[test]
    fn damaged_state_dicts_never_panic(edits in edits()) {
        let bytes = edited(&fs::read(fixture("views.pth")).unwrap(), &edits);
        if let Err(error) = read_bytes(&bytes) {
            prop_assert_eq!(exit_code(&error), 3);
        }
    }

    /// The checksum of the ZIP guards the pickle against chance, not against malice: here it always fits.
    #[test]
    fn damaged_pickles_never_panic(edits in edits()) {
        let sane = pickled_tensor(b"K\x00", b"K\x02K\x02\x86", b"K\x02K\x01\x86");
        if let Err(error) = read_bytes(&pth(&edited(&sane, &edits), 16)) {
            prop_assert_eq!(exit_code(&error), 3);
        }
    }
}

/// Where, as a fraction of the file, and what: flip a bit, set a byte, cut the rest off, repeat a stretch.
fn edits() -> impl Strategy<Value = Vec<(f64, u8, u8)>> {
    prop::collection::vec((0.0..1.0, 0u8..10, any::<u8>()), 1..6)
}

fn edited(bytes: &[u8], edits: &[(f64, u8, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for &(place, kind, value) in edits {
        let at = (place * bytes.len() as f64) as usize;
        match kind {
            _ if bytes.is_empty() => {}
            0..=3 => bytes[at] ^= 1 << (value % 8),
            4..=7 => bytes[at] = value,
            8 => bytes.truncate(at),
            _ => {
                let stretch = bytes[at..bytes.len().min(at + usize::from(value))].to_vec();
                bytes.splice(at..at, stretch);
            }
        }
    }
    bytes
}

// ---- strict loading

fn signature(entries: &[(&str, &[usize], DType)]) -> Signature {
    entries.iter().map(|&(name, shape, dtype)| (name.to_owned(), (shape.to_vec(), dtype))).collect()
}

#[test]
fn names_shapes_and_dtypes_must_fit() {
    let expected = signature(&[("a", &[2], DType::F32), ("b", &[3], DType::F32), ("n", &[], DType::I64)]);
    check_names(&expected, &expected, "x").unwrap();
    let half = signature(&[("a", &[2], DType::F16), ("b", &[3], DType::F64), ("n", &[], DType::I64)]);
    check_names(&half, &expected, "x").unwrap();

    let found = signature(&[("a", &[4, 5], DType::F32), ("n", &[], DType::F32), ("zz", &[1], DType::F32)]);
    let text = refused(check_names(&found, &expected, "x.pth: the generator"), 3);
    for part in
        ["x.pth: the generator", "missing: b", "not expected: zz", "f32 [4, 5]", "needs f32 [2]", "needs i64 []"]
    {
        assert!(text.contains(part), "{text}");
    }

    let many: Vec<String> = (0..9).map(|index| format!("{index}.weight")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), &[1usize][..], DType::F32)).collect();
    let text = refused(check_names(&Signature::new(), &signature(&many), "x"), 3);
    assert!(text.contains("2.weight and 6 more") && !text.contains("3.weight"), "{text}");
}

#[test]
fn floats_are_converted_and_integers_are_not() {
    let values = Tensor::new(&[1.5f32, -2.], &Device::Cpu).unwrap();
    let expected = signature(&[("w", &[2], DType::F32)]);
    for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16] {
        let found = [("w".to_owned(), values.to_dtype(dtype).unwrap())].into();
        let conformed = conform(&found, &expected, "x").unwrap();
        assert_eq!(conformed["w"].to_vec1::<f32>().unwrap(), [1.5, -2.]);
    }
    let found = [("w".to_owned(), values.to_dtype(DType::I64).unwrap())].into();
    refused(conform(&found, &expected, "x"), 3);
}

// ---- atomic writing

fn listing(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_failed_write_leaves_the_old_file_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x");
    atomic::write(&path, |out| out.write_all(b"old")).unwrap();
    let text = refused(
        atomic::write(&path, |out| {
            out.write_all(&vec![1; 1 << 20])?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }),
        5,
    );
    assert!(text.contains("cannot write"), "{text}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(listing(directory.path()), ["x"]);

    let panicked = std::panic::catch_unwind(|| atomic::write(&path, |_| panic!("within the writer")));
    assert!(panicked.is_err());
    assert_eq!(listing(directory.path()), ["x"]);

    atomic::write(&path, |out| out.write_all(b"new")).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
}

#[test]
fn unwritable_places_are_storage_failures() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    // Below a regular file: refused to root as well.
    for path in [file.join("x"), directory.path().join("none/x"), directory.path().to_owned(), PathBuf::from("/")] {
        refused(write(&path, &every_dtype()), 5);
    }
    refused(RunDirectory::create("run", &file, directory.path(), false), 5);
    refused(RunDirectory::create("run", directory.path(), &file, false), 5);
    #[cfg(target_os = "linux")]
    {
        assert!(refused(write(Path::new("/dev/full"), &every_dtype()), 5).contains("No space left"));
        write(Path::new("/dev/null"), &every_dtype()).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}

#[cfg(unix)]
#[test]
fn files_obey_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let mode = |name: &str| fs::metadata(directory.path().join(name)).unwrap().permissions().mode() & 0o777;
    // The umask belongs to the whole process, so it is compared with and not set: with what a plain file gets.
    fs::write(directory.path().join("plain"), "").unwrap();
    write(&directory.path().join("x"), &every_dtype()).unwrap();
    assert_eq!(mode("x"), mode("plain"));
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_stays_one() {
    let directory = tempfile::tempdir().unwrap();
    let [target, link] = ["target", "link"].map(|name| directory.path().join(name));
    fs::write(&target, "old").unwrap();
    std::os::unix::fs::symlink("target", &link).unwrap();
    atomic::write(&link, |out| out.write_all(b"new")).unwrap();
    assert!(link.is_symlink());
    assert_eq!(fs::read(&target).unwrap(), b"new");
}

#[test]
fn a_sweep_removes_what_the_dead_left_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    for name in [".x.tmp-1", ".y.safetensors.tmp-99999", "x.tmp-1", ".x.tmp-", ".x.tmp-1a", ".lock"] {
        fs::write(directory.path().join(name), "").unwrap();
    }
    let path = directory.path().join("z");
    atomic::write(&path, |out| {
        atomic::sweep(directory.path()).map_err(io::Error::other)?;
        out.write_all(b"whole")
    })
    .unwrap();
    assert_eq!(listing(directory.path()), [".lock", ".x.tmp-", ".x.tmp-1a", "x.tmp-1", "z"]);
    assert_eq!(fs::read(&path).unwrap(), b"whole");
}

// ---- runs

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }
    fn weights(&self) -> PathBuf {
        self.directory.path().join("weights")
    }
    fn create(&self, name: &str, force: bool) -> anyhow::Result<RunDirectory> {
        RunDirectory::create(name, &self.weights(), &self.directory.path().join("samples"), force)
    }
    fn open(&self, name: &str) -> anyhow::Result<RunDirectory> {
        RunDirectory::open(name, &self.weights(), &self.directory.path().join("samples"))
    }
}

fn step(number: u64) -> Archive {
    let tensors = [("step".to_owned(), Tensor::new(number as i64, &Device::Cpu).unwrap())].into();
    Archive { tensors, ..Archive::default() }
}

#[test]
fn a_run_is_not_written_over_without_force() {
    let place = Place::new();
    let run = place.create("dcgan", false).unwrap();
    assert_eq!(run.checkpoint_path(500), place.weights().join("dcgan/step-00000500.safetensors"));
    assert_eq!(run.sample_path(250), place.directory.path().join("samples/dcgan/step-00000250.png"));
    assert_eq!(run.checkpoint_path(123_456_789).file_name().unwrap(), "step-123456789.safetensors");
    drop(run);
    // Nothing has been written yet.
    let run = place.create("dcgan", false).unwrap();
    write(&run.checkpoint_path(1), &step(1)).unwrap();
    for file in ["config.json", "metrics.jsonl", "notes.txt", "my-step-1.png"] {
        fs::write(run.weights.join(file), "").unwrap();
        fs::write(run.samples.join(file), "").unwrap();
    }
    fs::write(run.samples.join("losses.png"), "").unwrap();
    fs::write(run.sample_path(1), "").unwrap();
    drop(run);

    let text = refused(place.create("dcgan", false), 2);
    assert!(text.contains("--resume dcgan") && text.contains("--force") && text.contains("--run"), "{text}");
    let run = place.create("dcgan", true).unwrap();
    assert_eq!(listing(&run.weights), [".lock", "my-step-1.png", "notes.txt"]);
    assert_eq!(listing(&run.samples), ["config.json", "metrics.jsonl", "my-step-1.png", "notes.txt"]);
    assert!(run.checkpoints().unwrap().is_empty());
}

#[test]
fn a_generator_alone_is_not_written_over() {
    let place = Place::new();
    fs::create_dir_all(place.weights().join("dcgan")).unwrap();
    write(&place.weights().join("dcgan/generator.safetensors"), &step(1)).unwrap();
    refused(place.create("dcgan", false), 2);
}

#[test]
fn names_of_runs_stay_within_the_directory() {
    let place = Place::new();
    for name in ["", ".", "..", "../x", "a/b", "/x", ".hidden", "a\\b", "a\0"] {
        refused(place.create(name, false), 2);
        refused(place.open(name), 2);
    }
    assert!(listing(place.directory.path()).is_empty());
}

#[test]
fn a_run_belongs_to_one_process_at_a_time() {
    let place = Place::new();
    let run = place.create("x", false).unwrap();
    fs::write(run.weights.join("config.json"), "{}").unwrap();
    for second in [place.create("x", true), place.open("x")] {
        let text = refused(second, 2);
        assert!(text.contains(&format!("in use by process {}", std::process::id())), "{text}");
    }
    place.create("y", false).unwrap();
    drop(run);
    place.open("x").unwrap();
}

#[test]
fn a_run_that_is_missing_names_those_that_are_there() {
    let place = Place::new();
    assert!(refused(place.open("x"), 3).contains("none yet"));
    assert!(!place.weights().exists());
    for name in ["first", "second", "third"] {
        let run = place.create(name, false).unwrap();
        write(&run.checkpoint_path(1), &step(1)).unwrap();
    }
    // Ages that do not hang on the clock of the file system.
    let age = |name: &str, file: &str, seconds: u64| {
        let file = fs::File::options().write(true).open(place.weights().join(name).join(file)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    };
    age("first", "step-00000001.safetensors", 300);
    age("second", "step-00000001.safetensors", 100);
    age("third", "step-00000001.safetensors", 200);
    let names = || runs(&place.weights()).into_iter().map(|run| run.name).collect::<Vec<_>>();
    assert_eq!(names(), ["first", "third", "second"]);
    assert!(refused(place.open("x"), 3).contains("first, third, second"));
    write(&place.weights().join("second/generator.safetensors"), &step(1)).unwrap();
    age("second", "generator.safetensors", 400);
    assert_eq!(names(), ["second", "first", "third"]);
}

#[test]
fn the_newest_checkpoints_stay() {
    let place = Place::new();
    let run = place.create("x", false).unwrap();
    for number in [20, 100, 3, 1_000_000_000, 40] {
        write(&run.checkpoint_path(number), &step(number)).unwrap();
    }
    fs::write(run.weights.join("step-best.safetensors"), "").unwrap();
    assert_eq!(run.checkpoints().unwrap(), [3, 20, 40, 100, 1_000_000_000]);
    run.prune(2).unwrap();
    // 40 is what was written last, though older ones by number were there.
    assert_eq!(run.checkpoints().unwrap(), [40, 100, 1_000_000_000]);
    run.checkpoint_path(1_000_000_000);
    run.prune(0).unwrap();
    assert_eq!(run.checkpoints().unwrap(), [1_000_000_000]);
    assert!(run.weights.join("step-best.safetensors").exists());
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    let place = Place::new();
    let run = place.create("x", false).unwrap();
    assert!(refused(run.newest_readable(), 3).contains("before its first checkpoint"));
    for number in [10, 20, 30] {
        write(&run.checkpoint_path(number), &step(number)).unwrap();
    }
    assert_eq!(run.newest_readable().unwrap().step, 30);

    let whole = fs::read(run.checkpoint_path(30)).unwrap();
    fs::write(run.checkpoint_path(30), &whole[..whole.len() - 1]).unwrap();
    let newest = run.newest_readable().unwrap();
    assert_eq!(newest.step, 20);
    assert_eq!(newest.archive.tensors["step"].to_scalar::<i64>().unwrap(), 20);
    assert_eq!(newest.notes.len(), 1);
    assert!(newest.notes[0].contains("step-00000030.safetensors") && newest.notes[0].contains("truncated"));
    // Set aside, so that it does not count among the newest that are kept.
    run.checkpoint_path(20);
    run.prune(1).unwrap();
    assert_eq!(run.checkpoints().unwrap(), [20]);
    assert!(run.weights.join("step-00000030.safetensors.damaged").exists());

    fs::write(run.checkpoint_path(20), "").unwrap();
    let text = refused(run.newest_readable(), 3);
    assert!(text.contains("step-00000020"), "{text}");
    assert_eq!(run.checkpoints().unwrap(), [20]);
    drop(run);
    assert_eq!(listing(&place.create("x", true).unwrap().weights), [".lock"]);
}
