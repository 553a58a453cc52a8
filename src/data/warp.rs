//! Small random turns, stretches and shifts of grey images, for training a classifier on them.

use std::sync::Arc;

use anyhow::Result;

use super::batches::normalised;
use super::plan::{Order, StepPlan};
use super::source::fetch;
use super::{ImageSource, Prefetcher};
use crate::rng::Generator;

/// Largest turn either way, in degrees; largest stretch or shrinking, as a part; largest shift, in pixels.
const TURN: f64 = 15.0;
const STRETCH: f32 = 0.15;
const SHIFT: f32 = 2.0;

/// What one step trains on.
#[derive(Clone, Debug, PartialEq)]
pub struct WarpedBatch {
    /// (N, height, width) in [-1, 1]
    pub pixels: Vec<f32>,
    /// (N)
    pub labels: Vec<u32>,
}

/// The batches of a plan from step 0 on, of grey images with labels.
pub fn warped_batches(images: Arc<dyn ImageSource>, plan: &StepPlan) -> Result<Prefetcher<WarpedBatch>> {
    let (plan, shades, mut order) = (*plan, normalised(), Order::new(*plan));
    let make = move |step| {
        let indices = order.indices(step);
        let mut pixels = Vec::new();
        let generators = plan.generators(step, "warp");
        for ((image, index), mut generator) in fetch(&*images, indices)?.iter().zip(indices).zip(generators) {
            let begin = pixels.len();
            pixels.resize(begin + image.len(), 0.0);
            let width = images.shape_of(*index as usize).width;
            Warp::draw(&mut generator).apply(image, width, &shades, &mut pixels[begin..]);
        }
        let labels = indices.iter().filter_map(|index| images.label_of(*index as usize)).collect();
        Ok(WarpedBatch { pixels, labels })
    };
    Prefetcher::start("warped batches", 0, make, Ok)
}

/// Where in the image each pixel of the warped one lies: a linear map around the middle, and a shift.
struct Warp {
    map: [f32; 4],
    shift: [f32; 2],
}

impl Warp {
    fn draw(generator: &mut Generator) -> Self {
        let angle = TURN.to_radians() * f64::from(generator.symmetric());
        // libm's functions have the same bits on every machine.
        let (sine, cosine) = (libm::sin(angle) as f32, libm::cos(angle) as f32);
        let (along, across) = (1.0 + STRETCH * generator.symmetric(), 1.0 + STRETCH * generator.symmetric());
        let shift = [SHIFT * generator.symmetric(), SHIFT * generator.symmetric()];
        Self { map: [along * cosine, -across * sine, along * sine, across * cosine], shift }
    }

    /// Between pixels by bilinear interpolation, beyond the edge the black of the ground.
    fn apply(&self, image: &[u8], width: usize, shades: &[f32; 256], warped: &mut [f32]) {
        let height = image.len() / width;
        let shade = |x: isize, y: isize| match (0..width as isize).contains(&x) && (0..height as isize).contains(&y) {
            true => shades[usize::from(image[y as usize * width + x as usize])],
            false => shades[0],
        };
        let middle = [(width as f32 - 1.0) / 2.0, (height as f32 - 1.0) / 2.0];
        for (index, target) in warped.iter_mut().enumerate() {
            let (x, y) = ((index % width) as f32 - middle[0], (index / width) as f32 - middle[1]);
            let from_x = self.map[0] * x + self.map[1] * y + middle[0] + self.shift[0];
            let from_y = self.map[2] * x + self.map[3] * y + middle[1] + self.shift[1];
            let (left, top) = (from_x.floor(), from_y.floor());
            let (right_part, lower_part) = (from_x - left, from_y - top);
            let (left, top) = (left as isize, top as isize);
            let upper = shade(left, top) * (1.0 - right_part) + shade(left + 1, top) * right_part;
            let lower = shade(left, top + 1) * (1.0 - right_part) + shade(left + 1, top + 1) * right_part;
            *target = upper * (1.0 - lower_part) + lower * lower_part;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Images;

    #[test]
    fn no_warp_leaves_an_image_as_it_is_and_a_shift_moves_it() {
        let image: Vec<u8> = (0..12).map(|pixel| pixel * 20).collect(); // 4 wide, 3 high
        let (shades, mut warped) = (normalised(), vec![0.0; 12]);
        Warp { map: [1.0, 0.0, 0.0, 1.0], shift: [0.0, 0.0] }.apply(&image, 4, &shades, &mut warped);
        let expected: Vec<f32> = image.iter().map(|pixel| shades[usize::from(*pixel)]).collect();
        assert_eq!(warped, expected);
        Warp { map: [1.0, 0.0, 0.0, 1.0], shift: [1.0, 0.0] }.apply(&image, 4, &shades, &mut warped);
        assert_eq!(warped[..3], expected[1..4]);
        assert_eq!(warped[3], -1.0, "what comes in from beyond the edge is the ground");
        Warp { map: [0.0, -1.0, 1.0, 0.0], shift: [0.0, 0.0] }.apply(&image[..9], 3, &shades, &mut warped[..9]);
        assert_eq!(warped[0], expected[2], "a quarter of a turn");
    }

    #[test]
    fn batches_repeat_and_keep_their_labels() {
        let images = Arc::new(Images {
            height: 3,
            width: 3,
            channels: 1,
            pixels: (0..10u8).flat_map(|image| [image * 25; 9]).collect(),
            labels: (0..10).collect(),
        });
        let batches = |seed| {
            let plan = StepPlan::new(10, 4, true, seed).unwrap();
            let mut batches = warped_batches(images.clone(), &plan).unwrap();
            [(); 5].map(|()| batches.next().unwrap())
        };
        assert_eq!(batches(3), batches(3));
        assert_ne!(batches(3), batches(4));
        for batch in batches(3) {
            for (image, label) in batch.pixels.chunks_exact(9).zip(&batch.labels) {
                let middle = normalised()[*label as usize * 25];
                assert!(
                    (image[4] - middle).abs() < 1e-6 || image[4] < middle,
                    "the middle of {label} is its own shade"
                );
            }
        }
    }
}
