//! A zip file of pictures.
#![no_main]

mod set;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| set::open("x.zip", bytes));
