//! Images as they come to Inception V3 in each of the two programs, pixel by pixel.

use rayon::prelude::*;

use super::InceptionProgram;
use crate::image_shape::ImageShape;
use crate::models::InceptionV3;

/// What a pixel along a side of the network's images is made of: two pixels, and the part of the second.
struct Taps {
    first: usize,
    second: usize,
    part: f32,
}

/// Of each pixel of the network's images along a side that was `length` pixels long.
fn taps(length: usize, program: InceptionProgram) -> Vec<Taps> {
    let ratio = (length as f64 / InceptionV3::SIDE as f64) as f32;
    let of = |index: usize| {
        let place = match program {
            // torch.nn.functional.interpolate, align_corners=False: pixels are counted from their centres.
            InceptionProgram::PytorchFid => ((index as f32 + 0.5) * ratio - 0.5).max(0.0),
            // TensorFlow 1's resize_bilinear: from their corners.
            InceptionProgram::TorchFidelity => index as f32 * ratio,
        };
        let first = (place as usize).min(length - 1);
        Taps { first, second: (first + 1).min(length - 1), part: place - first as f32 }
    };
    (0..InceptionV3::SIDE).map(of).collect()
}

/// Images (N, H, W, C) of `shape`, grey or in colour, as the network takes them: (N, 299, 299, 3).
pub fn inception_pixels(images: &[u8], shape: ImageShape, program: InceptionProgram) -> Vec<f32> {
    const SIDE: usize = InceptionV3::SIDE;
    let (down, across) = (taps(shape.height, program), taps(shape.width, program));
    let mut pixels = vec![0.0; images.len() / shape.stride() * SIDE * SIDE * 3];
    let rows = pixels.par_chunks_exact_mut(SIDE * 3).enumerate();
    rows.for_each(|(index, row)| {
        let image = &images[index / SIDE * shape.stride()..][..shape.stride()];
        let down = &down[index % SIDE];
        let line = |row: usize| &image[row * shape.width * shape.channels..][..shape.width * shape.channels];
        let (above, below) = (line(down.first), line(down.second));
        for (pixel, across) in row.as_chunks_mut::<3>().0.iter_mut().zip(&across) {
            for (channel, value) in pixel.iter_mut().enumerate() {
                let channel = channel.min(shape.channels - 1); // grey in all three
                let [first, second] = [across.first, across.second].map(|column| column * shape.channels + channel);
                let between = |line: &[u8]| lerp(f32::from(line[first]), f32::from(line[second]), across.part);
                *value = scaled(lerp(between(above), between(below), down.part), program);
            }
        }
    });
    pixels
}

fn lerp(one: f32, other: f32, part: f32) -> f32 {
    one + (other - one) * part
}

fn scaled(value: f32, program: InceptionProgram) -> f32 {
    match program {
        InceptionProgram::PytorchFid => 2.0 * (value / 255.0) - 1.0,
        InceptionProgram::TorchFidelity => (value - 128.0) / 128.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ImageShape = ImageShape { height: 2, width: 3, channels: 1 };

    fn first_row(program: InceptionProgram) -> Vec<f32> {
        let pixels = inception_pixels(&[0, 100, 200, 50, 150, 250], SHAPE, program);
        assert_eq!(pixels.len(), 299 * 299 * 3);
        assert!(pixels.as_chunks::<3>().0.iter().all(|[red, green, blue]| red == green && red == blue));
        pixels.iter().copied().step_by(3).take(299).collect()
    }

    #[test]
    fn pixels_are_counted_from_centres_by_one_program_and_from_corners_by_the_other() {
        let shade = |value: f64| (2.0 * value / 255.0 - 1.0) as f32;
        let row = first_row(InceptionProgram::PytorchFid);
        assert_eq!([row[0], row[49], row[298]], [shade(0.0), shade(0.0), shade(200.0)]);
        // The middle of the row is the centre of the middle pixel.
        assert!((row[149] - shade(100.0)).abs() < 1e-6, "{}", row[149]);
        assert!((row[100] - shade(100.0 * (100.5 * 3.0 / 299.0 - 0.5))).abs() < 1e-5);
        let row = first_row(InceptionProgram::TorchFidelity);
        assert_eq!(row[0], -1.0);
        assert!((row[100] - (100.0 * (100.0 * 3.0 / 299.0) - 128.0) as f32 / 128.0).abs() < 1e-5);
        assert_eq!(row[298], (200.0 - 128.0) / 128.0, "beyond the last corner there is nothing to go to");
    }

    #[test]
    fn images_of_the_networks_size_stay_as_they_are() {
        let shape = ImageShape::new(299, 299, 3);
        let image: Vec<u8> = (0..shape.stride()).map(|place| (place * 7 % 256) as u8).collect();
        for program in [InceptionProgram::PytorchFid, InceptionProgram::TorchFidelity] {
            let pixels = inception_pixels(&image, shape, program);
            let expected: Vec<f32> = image.iter().map(|value| scaled(f32::from(*value), program)).collect();
            assert_eq!(pixels, expected);
        }
    }
}
