//! Which of the modes of `stacked-mnist` images are of: the digits that the classifier sees in red, green and blue.

use anyhow::{Context, ensure};
use candle_core::Device;

use super::Classifier;
use crate::data::stacked::MODES;
use crate::distributed::Communicator;
use crate::image_shape::ImageShape;
use crate::metrics::predictions;

/// How many of `count` images of `shape` are of each mode, by their middle. `images` gives them, from the first number on so
/// many, (n, H, W, 3) in [-1, 1]. The `processes` share the work, and each gets all. `proceed` is told how many are done.
///
/// # Errors
/// Where images of `shape` hold no three digits. Those of `images`.
pub fn mode_histogram(
    classifier: &Classifier,
    (shape, count): (ImageShape, usize),
    device: &Device,
    processes: &dyn Communicator,
    mut proceed: impl FnMut(usize),
    mut images: impl FnMut(usize, usize) -> anyhow::Result<Vec<f32>>,
) -> anyhow::Result<Vec<u64>> {
    let digit = classifier.image_shape;
    let is_large_enough = shape.height >= digit.height && shape.width >= digit.width;
    ensure!(shape.channels == 3 && is_large_enough, "images of {shape} hold no three digits of {digit}");
    let (top, left) = ((shape.height - digit.height) / 2, (shape.width - digit.width) / 2);
    // Digit 3 i + c is the channel c of image i.
    let digits = |first: usize, some: usize| {
        let (from, to) = (first / 3, (first + some).div_ceil(3));
        let pixels = images(from, to - from)?;
        let mut digits = Vec::with_capacity(some * digit.stride());
        for number in first..first + some {
            let image = &pixels[(number / 3 - from) * shape.stride()..][..shape.stride()];
            for row in 0..digit.height {
                let line = &image[((top + row) * shape.width + left) * 3..][..digit.width * 3];
                digits.extend(line.iter().skip(number % 3).step_by(3));
            }
        }
        Ok(digits)
    };
    let proceed = |done: usize| {
        proceed(done / 3);
        true
    };
    let found = classifier.activations(3 * count, device, processes, proceed, digits)?;
    let found = predictions(&found.context("not all digits were classified")?.scores)?;
    let mut histogram = vec![0; MODES];
    for image in found.chunks_exact(3) {
        histogram[image.iter().fold(0, |mode, digit| 10 * mode + *digit as usize)] += 1;
    }
    Ok(histogram)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::digits::{self, Part};
    use crate::distributed::Alone;
    use crate::evaluator::classifier::pixels;

    #[test]
    fn a_mode_is_the_digits_of_the_channels() {
        let (classifier, device) = (Classifier::find(None, &Device::Cpu).unwrap(), &Device::Cpu);
        let grey = digits::first(Part::Test, 302);
        let of_digits = classifier.activations_of(&grey, device, &Alone).unwrap();
        let seen = predictions(&of_digits.scores).unwrap();
        let ink = pixels(&grey, 0, 302).unwrap();
        // Image i has the digits i, i + 1 and i + 2, in the middle of 32x32 pixels.
        let shape = ImageShape::new(32, 32, 3);
        let stacked = |first: usize, some: usize| {
            let mut images = vec![-1.0; some * shape.stride()];
            for (image, number) in images.chunks_exact_mut(shape.stride()).zip(first..) {
                for channel in 0..3 {
                    for (place, ink) in ink[(number + channel) * 784..][..784].iter().enumerate() {
                        image[((place / 28 + 2) * 32 + place % 28 + 2) * 3 + channel] = *ink;
                    }
                }
            }
            Ok(images)
        };
        let found = mode_histogram(&classifier, (shape, 300), device, &Alone, |_| (), stacked).unwrap();
        let mut expected = vec![0; MODES];
        seen.windows(3).for_each(|of| expected[(100 * of[0] + 10 * of[1] + of[2]) as usize] += 1);
        assert_eq!(found, expected);
        assert!(found.iter().filter(|count| **count > 0).count() > 100, "the digits are of many kinds");
        for unfit in [ImageShape::new(28, 28, 1), ImageShape::new(16, 16, 3)] {
            assert!(mode_histogram(&classifier, (unfit, 1), device, &Alone, |_| (), stacked).is_err());
        }
    }
}
