//! Where a run has come to: the header entry of a checkpoint.
#![no_main]

use gan::checkpoint::Archive;
use gan::checkpoint::header::STATE;
use gan::run::Position;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let metadata = [(STATE.to_string(), text.to_string())].into();
    let archive = Archive { metadata, ..Archive::default() };
    let _ = Position::of(&archive, "step-00000001.safetensors".as_ref());
});
