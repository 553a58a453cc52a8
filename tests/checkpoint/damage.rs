//! Truncated, edited and hostile files.

use super::*;

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
    assert!(missing.contains("none.safetensors: there is no such file"), "{missing}");
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
    for (name, stride) in [("network.safetensors", 1), ("network.pth", 11), ("legacy.pth", 7)] {
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
    fn damaged_state_dicts_never_panic(edits in edits(), of in 0..4usize) {
        let file = ["views.pth", "legacy.pth", "variety/kinds.pth", "variety/trainer_legacy.pth"][of];
        let bytes = edited(&fs::read(fixture(file)).unwrap(), &edits);
        if let Err(error) = read_bytes(&bytes) {
            prop_assert_eq!(exit_code(&error), 3);
        }
    }

    /// The checksum of the ZIP guards the pickle against chance, not against malice: here it always fits.
    #[test]
    fn damaged_pickles_never_panic(edits in edits(), of in 0..3usize) {
        let sane = match of {
            0 => pickled_tensor(b"K\x00", b"K\x02K\x02\x86", b"K\x02K\x01\x86"),
            _ => pickle_of(["variety/inert2.pth", "variety/inert5.pth"][of - 1]),
        };
        if let Err(error) = read_bytes(&pth(&edited(&sane, &edits), 16)) {
            prop_assert_eq!(exit_code(&error), 3);
        }
    }
}

/// The pickle in a file from torch.save.
fn pickle_of(file: &str) -> Vec<u8> {
    let mut zip = zip::ZipArchive::new(io::Cursor::new(fs::read(fixture(file)).unwrap())).unwrap();
    let names: Vec<_> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
    let name = names.into_iter().find(|name| name.ends_with("data.pkl")).unwrap();
    let mut pickle = Vec::new();
    io::Read::read_to_end(&mut zip.by_name(&name).unwrap(), &mut pickle).unwrap();
    pickle
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
