//! Safetensors and .pth, told apart by content. Begin with `tests/fixtures` and `tests/fixtures/variety`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let described = gan::checkpoint::describe(file.path());
    if let Ok(archive) = gan::checkpoint::read(file.path()) {
        assert_eq!(described.unwrap().tensors, archive.signature());
    }
});
