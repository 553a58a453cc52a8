//! Pictures of every format, and what is made of them.
#![no_main]

use gan::data::{ImageShape, picture};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(image) = picture::decode(bytes) {
        for (height, width, channels) in [(28, 28, 1), (32, 32, 3)] {
            let mut pixels = vec![0; height * width * channels];
            picture::fit_into(image.clone(), ImageShape { height, width, channels }, &mut pixels).unwrap();
        }
    }
});
