//! Colours as the encoder takes them: less the mean and over the standard deviation of CIFAR-10's training set.

/// Of red, green and blue in [0, 1].
pub const MEAN: [f32; 3] = [0.4914, 0.4822, 0.4465];
/// The standard deviation of each channel (the mean of the images' own, as the course has it).
pub const STD: [f32; 3] = [0.2023, 0.1994, 0.2010];

/// RGB pixels, channels last, as an encoder takes them in evaluation: torchvision's `ToTensor` and `Normalize`.
/// `normalised` is as long as `pixels`.
pub fn normalise(pixels: &[u8], normalised: &mut [f32]) {
    let table: [[f32; 256]; 3] = std::array::from_fn(|channel| {
        std::array::from_fn(|pixel| (pixel as f32 / 255.0 - MEAN[channel]) / STD[channel])
    });
    for (values, pixel) in normalised.chunks_exact_mut(3).zip(pixels.chunks_exact(3)) {
        for channel in 0..3 {
            values[channel] = table[channel][usize::from(pixel[channel])];
        }
    }
}

/// The inverse: normalised colours, channels last, to the nearest pixels. `pixels` is as long as `normalised`.
pub fn denormalise(normalised: &[f32], pixels: &mut [u8]) {
    for (pixel, values) in pixels.chunks_exact_mut(3).zip(normalised.chunks_exact(3)) {
        for channel in 0..3 {
            let colour = values[channel] * STD[channel] + MEAN[channel];
            pixel[channel] = (255.0 * colour + 0.5) as u8; // `as` stays within 0 and 255
        }
    }
}

/// Writes (3, `size` columns, `size` rows) in [0, 1] as (`size` rows, `size` columns, 3), normalised.
#[inline(always)]
pub(super) fn normalise_planes([red, green, blue]: [&[f32]; 3], size: usize, normalised: &mut [f32]) {
    const SHARPNESS: [f32; 3] = [1.0 / STD[0], 1.0 / STD[1], 1.0 / STD[2]];
    for (y, row) in normalised.chunks_exact_mut(3 * size).enumerate() {
        let columns = red.chunks_exact(size).zip(green.chunks_exact(size)).zip(blue.chunks_exact(size));
        for (pixel, ((red, green), blue)) in row.chunks_exact_mut(3).zip(columns) {
            pixel[0] = (red[y] - MEAN[0]) * SHARPNESS[0];
            pixel[1] = (green[y] - MEAN[1]) * SHARPNESS[1];
            pixel[2] = (blue[y] - MEAN[2]) * SHARPNESS[2];
        }
    }
}
