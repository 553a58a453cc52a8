//! Latents as .npy.
#![no_main]

use gan::pretrained::Latents;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let _ = Latents::read(file.path(), 3);
});
