//! Pictures of every format, what their headers say of them, and what is made of them.
#![no_main]

use gan::data::{ImageShape, picture};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let shape = picture::shape(bytes, bytes.len());
    let Ok(image) = picture::decode(bytes) else { return };
    for (height, width, channels) in [(28, 28, 1), (32, 32, 3)] {
        let mut pixels = vec![0; height * width * channels];
        picture::fit_into(image.clone(), ImageShape { height, width, channels }, &mut pixels).unwrap();
    }
    assert_eq!(shape.unwrap(), picture::to_pixels(image).0);
});
