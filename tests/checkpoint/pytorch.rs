//! State dicts of PyTorch's; hostile ones.

use super::*;

#[test]
fn state_dicts_of_pytorch_are_read() {
    for (name, prefix) in
        [("network", ""), ("wrapped", "state_dict."), ("protocol4", ""), ("views", ""), ("legacy", "")]
    {
        let expected = if name == "legacy" { "network" } else { name };
        let (path, expected) = (fixture(&format!("{name}.pth")), fixture(&format!("{expected}.safetensors")));
        let found = read(&path).unwrap();
        let expected = read(&expected).unwrap().tensors;
        let tensors = expected.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect();
        assert_same(&found, &Archive { tensors, ..Archive::default() });
        let described = describe(&path).unwrap();
        assert_eq!(described.container, if name == "legacy" { Container::LegacyTorch } else { Container::Torch });
        assert_eq!(described.tensors, found.signature());
        assert!(described.unread.is_empty());
    }
    let network = read(&fixture("network.pth")).unwrap();
    assert_eq!(network.tensors["2.num_batches_tracked"].to_scalar::<i64>().unwrap(), 1);
    assert_eq!(network.signature()["4.weight"], (vec![1, 2, 2, 2], DType::F32));
}

/// The files of `tests/reference/generate_pytorch_files.py`: the same network in whatever PyTorch's users have around it.
#[test]
fn whatever_lies_beside_a_network_it_is_read() {
    let network = read(&fixture("network.safetensors")).unwrap();
    let text = fs::read_to_string(fixture("variety/variety.json")).unwrap();
    let variety: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert!(variety.len() > 10);
    for (file, told) in variety {
        let path = fixture(&format!("variety/{file}"));
        let texts = |key: &str| -> Vec<String> { serde_json::from_value(told[key].clone()).unwrap() };
        let described = describe(&path).unwrap();
        let archive = read(&path).unwrap();
        assert_eq!(archive.signature(), described.tensors, "{file}");
        let (prefix, mut rest) = (told["prefix"].as_str().unwrap(), archive);
        for (name, tensor) in &network.tensors {
            let found = rest.tensors.remove(&format!("{prefix}{name}")).unwrap_or_else(|| panic!("{file}: {name}"));
            assert_eq!((bytes_of(&found), found.dtype()), (bytes_of(tensor), tensor.dtype()), "{file}: {name}");
        }
        assert_eq!(rest.tensors.into_keys().collect::<Vec<_>>(), texts("more"), "{file}");
        assert_eq!(described.unread.into_keys().collect::<Vec<_>>(), texts("unread"), "{file}");
    }
}

#[test]
fn integers_that_candle_lacks_become_larger_ones() {
    let kinds = read(&fixture("variety/kinds.pth")).unwrap().tensors;
    assert_eq!(kinds["int8"].to_vec1::<i16>().unwrap(), [-128, 127]);
    assert_eq!(kinds["uint16"].to_vec1::<i32>().unwrap(), [0, 65535]);
    assert_eq!(kinds["uint32"].to_vec1::<u32>().unwrap(), [0, u32::MAX]);
    assert_eq!(kinds["bool"].to_vec1::<u8>().unwrap(), [1, 0]);
}

#[test]
fn a_pickled_module_is_named() {
    let text = refused(read(&fixture("variety/module.pth")), 3);
    assert!(text.contains("torch.nn.modules.container.Sequential") && text.contains("state_dict()"), "{text}");
}

/// As a machine with the other order of bytes saves it.
#[test]
fn big_endian_files_are_read() {
    let pickle = pickled_tensor(b"K\x00", b"K\x02\x85", b"K\x01\x85");
    let storage = [1.5f32, -2.0].map(f32::to_be_bytes).concat();
    let bytes = zipped(&[("archive/data.pkl", &pickle), ("archive/byteorder", b"big"), ("archive/data/0", &storage)]);
    assert_eq!(read_bytes(&bytes).unwrap().tensors["w"].to_vec1::<f32>().unwrap(), [1.5, -2.0]);
}

#[test]
fn the_name_of_the_file_does_not_matter() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("misnamed.safetensors");
    fs::copy(fixture("network.pth"), &path).unwrap();
    assert_same(&read(&path).unwrap(), &read(&fixture("network.safetensors")).unwrap());
}

/// `surprise` in it would call a shell.
#[test]
fn code_in_a_state_dict_is_not_run_and_is_named() {
    let described = describe(&fixture("hostile.pth")).unwrap();
    assert_eq!(described.tensors.keys().collect::<Vec<_>>(), ["weight"]);
    assert!(described.unread["surprise"].ends_with(".system"), "{:?}", described.unread);
    assert_eq!(read(&fixture("hostile.pth")).unwrap().signature(), described.tensors);
    assert!(!Path::new("hostile.pth-was-here").exists());
}

#[test]
fn every_tensor_has_the_path_that_leads_to_it() {
    let two = describe(&fixture("two.pth")).unwrap();
    // The same dict twice in the file: it is listed once.
    for name in ["generator.0.weight", "generator.2.running_mean", "generator.4.bias"] {
        assert!(two.tensors.contains_key(name), "{name}");
    }
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
        (b"\x80\x02K\x01.".to_vec(), "no tensors"),
        (b"\x80\x02}.".to_vec(), "no tensors"),
        // A dict within itself.
        (b"\x80\x02}q\x00X\x01\x00\x00\x00wh\x00s.".to_vec(), "no tensors"),
        // Tuples nested a hundred thousand deep.
        ([b"\x80\x02)".to_vec(), vec![0x85; 100_000], b".".to_vec()].concat(), "no tensors"),
        // Each tuple holds the one before twice: 2^50 leaves to whoever copies.
        ([b"\x80\x02)".to_vec(), b"q\x00h\x00\x86".repeat(50), b".".to_vec()].concat(), "no tensors"),
        ([b"\x80\x02".to_vec(), vec![b'N'; 1_000_001], b".".to_vec()].concat(), "objects"),
        ([b"\x80\x02".to_vec(), vec![b']'; 500_000], b".".to_vec()].concat(), "objects"),
        ([b"\x80\x02N".to_vec(), vec![0x94; 1_000_000], b".".to_vec()].concat(), "objects"),
        (b"\x80\x02Nr\xff\xff\xff\xff.".to_vec(), "objects"),
        // What is unknown may be called, filled and given attributes; a tensor of it is none.
        (b"\x80\x02ca\nb\n)\x81}b(K\x01K\x02u(K\x01e.".to_vec(), "it is of a.b"),
        (b"\x80\x02}X\x01\x00\x00\x00wcos\nsystem\n)Rs.".to_vec(), "\"w\" in it is made by os.system"),
        (b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(h\x00tR.".to_vec(), "not made"),
        (b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(NNNtR.".to_vec(), "do not fit"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.".to_vec(), "do not fit"),
        // One long key before ten thousand tensors, and again before those.
        (long_names(), "names"),
    ];
    for (pickle, expected) in cases {
        let text = refused(read_bytes(&pth(&pickle, 16)), 3);
        assert!(text.contains(expected), "expected {expected:?}: {text}");
        assert!(text.len() < 700 && !text.contains('\x1b'), "{text}");
    }
}

/// Ten thousand tensors, or rather one ten thousand times, under a key of a hundred thousand letters.
fn long_names() -> Vec<u8> {
    let tensor = pickled_tensor(b"K\x00", b"K\x02\x85", b"K\x01\x85");
    let tensor = &tensor[9..tensor.len() - 2]; // without the dict around it
    let key = [b"X\xa0\x86\x01\x00".to_vec(), vec![b'k'; 100_000]].concat();
    let entries: Vec<u8> = (0..10_000u16).flat_map(|n| [b"M", &n.to_le_bytes()[..], b"h\x00"].concat()).collect();
    [&b"\x80\x02}"[..], &key, b"}(X\x01\x00\x00\x00w", tensor, b"q\x00", &entries, b"us."].concat()
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
