//! State dicts of PyTorch's; hostile ones.

use super::*;

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
