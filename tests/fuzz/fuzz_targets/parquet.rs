//! A parquet file of pictures and labels.
#![no_main]

mod set;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| set::open("train.parquet", bytes));
