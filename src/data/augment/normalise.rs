//! Colours as the encoder takes them: less the mean and over the standard deviation of a [`Normalisation`] of red, green and
//! blue.

use anyhow::{Result, anyhow};
use rayon::prelude::*;

use crate::data::ImageSource;
use crate::normalisation::Normalisation;

/// RGB pixels, channels last, as an encoder takes them in evaluation: torchvision's `ToTensor` and `Normalize`.
/// `normalised` is as long as `pixels`.
pub fn normalise(pixels: &[u8], Normalisation { mean, std }: &Normalisation, normalised: &mut [f32]) {
    let table: Vec<[f32; 256]> = mean.iter().zip(std).map(|(mean, std)| shades(*mean, *std)).collect();
    let channels = table.len().max(1);
    for (values, pixel) in normalised.chunks_exact_mut(channels).zip(pixels.chunks_exact(channels)) {
        for ((value, pixel), shades) in values.iter_mut().zip(pixel).zip(&table) {
            *value = shades[usize::from(*pixel)];
        }
    }
}

/// What each value of a pixel becomes.
fn shades(mean: f32, std: f32) -> [f32; 256] {
    std::array::from_fn(|pixel| (pixel as f32 / 255.0 - mean) / std)
}

/// The inverse: normalised colours, channels last, to the nearest pixels. `pixels` is as long as `normalised`.
pub fn denormalise(normalised: &[f32], Normalisation { mean, std }: &Normalisation, pixels: &mut [u8]) {
    let channels = mean.len().max(1);
    for (pixel, values) in pixels.chunks_exact_mut(channels).zip(normalised.chunks_exact(channels)) {
        for (channel, (pixel, value)) in pixel.iter_mut().zip(values).enumerate() {
            let colour = value * std[channel] + mean[channel];
            *pixel = (255.0 * colour + 0.5) as u8; // `as` stays within 0 and 255
        }
    }
}

/// A [`Normalisation`] of red, green and blue as views take it: (colour - mean) * factor, colours being in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColourScale {
    /// Of red, green and blue.
    pub mean: [f32; 3],
    /// 1 / standard deviation.
    pub factor: [f32; 3],
}

impl ColourScale {
    /// # Errors
    /// Where it is not of three channels.
    pub fn new(normalisation: &Normalisation) -> Result<Self> {
        let colours = |values: &[f32]| {
            let no_colours = || anyhow!("views are normalised in red, green and blue, found {} channels", values.len());
            <[f32; 3]>::try_from(values).map_err(|_| no_colours())
        };
        Ok(Self { mean: colours(&normalisation.mean)?, factor: colours(&normalisation.std)?.map(|std| 1.0 / std) })
    }
}

/// Writes (3, `size` columns, `size` rows) in [0, 1] as (`size` rows, `size` columns, 3), normalised.
#[inline(always)]
pub(super) fn normalise_planes(
    [red, green, blue]: [&[f32]; 3],
    size: usize,
    ColourScale { mean, factor }: ColourScale,
    normalised: &mut [f32],
) {
    for (y, row) in normalised.chunks_exact_mut(3 * size).enumerate() {
        let columns = red.chunks_exact(size).zip(green.chunks_exact(size)).zip(blue.chunks_exact(size));
        for (pixel, ((red, green), blue)) in row.chunks_exact_mut(3).zip(columns) {
            pixel[0] = (red[y] - mean[0]) * factor[0];
            pixel[1] = (green[y] - mean[1]) * factor[1];
            pixel[2] = (blue[y] - mean[2]) * factor[2];
        }
    }
}

/// The mean and the standard deviation of each channel over all pixels of `images`. The sums are of whole numbers, so that
/// no order of adding changes a bit. A channel that never changes has a standard deviation of one step of a pixel.
///
/// # Errors
/// Where an image cannot be read.
pub fn measure(images: &dyn ImageSource) -> Result<Normalisation> {
    let channels = if images.is_empty() { 0 } else { images.shape_of(0).channels };
    let sums_of = |index: usize| -> Result<Vec<[u64; 2]>> {
        let mut sums = vec![[0; 2]; channels];
        for pixel in images.bytes_of(index)?.chunks_exact(channels) {
            for (sums, value) in sums.iter_mut().zip(pixel) {
                let value = u64::from(*value);
                *sums = [sums[0] + value, sums[1] + value * value];
            }
        }
        Ok(sums)
    };
    let added = |left: Vec<[u64; 2]>, right: Vec<[u64; 2]>| {
        Ok(left.iter().zip(right).map(|(left, right)| [left[0] + right[0], left[1] + right[1]]).collect())
    };
    let sums = (0..images.len()).into_par_iter().map(sums_of).try_reduce(|| vec![[0; 2]; channels], added)?;
    let pixels = (0..images.len()).map(|index| images.shape_of(index)).map(|shape| shape.height * shape.width);
    let count = pixels.sum::<usize>().max(1) as f64;
    let of_channel = |[sum, squares]: [u64; 2]| {
        let mean = sum as f64 / count;
        let variance = squares as f64 / count - mean * mean;
        [mean / 255.0, variance.sqrt().max(1.0) / 255.0].map(|value| value as f32)
    };
    let (mean, std) = sums.into_iter().map(of_channel).map(|[mean, std]| (mean, std)).unzip();
    Ok(Normalisation { mean, std })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::source::tests::OneByOne;
    use crate::data::{ImageShape, Images};

    #[test]
    fn the_measured_statistics_are_those_of_all_pixels() {
        let shape = ImageShape::new(1, 2, 3);
        let pixels = vec![0, 10, 7, 255, 20, 7, 0, 30, 7, 255, 40, 7];
        let images = Images { pixels, ..Images::empty(shape) };
        let found = measure(&images).unwrap();
        let expected = [[127.5, 127.5], [25.0, 125f64.sqrt()], [7.0, 1.0]].map(|of| of.map(|value| value / 255.0));
        for (channel, [mean, std]) in expected.into_iter().enumerate() {
            assert_eq!([found.mean[channel], found.std[channel]], [mean as f32, std as f32]);
        }
        assert_eq!(measure(&OneByOne(images)).unwrap(), found);
    }

    #[test]
    fn normalised_pixels_come_back() {
        let pixels: Vec<u8> = (0..=255).flat_map(|value| [value, 255 - value, value / 2]).collect();
        for normalisation in [Normalisation::cifar10(), Normalisation::imagenet()] {
            let (mut values, mut back) = (vec![0.0; pixels.len()], vec![0; pixels.len()]);
            normalise(&pixels, &normalisation, &mut values);
            denormalise(&values, &normalisation, &mut back);
            assert_eq!(back, pixels);
        }
    }
}
