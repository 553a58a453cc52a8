//! Where a view lies in its image.

use crate::data::ImageShape;
use crate::rng::Generator;

/// How often a crop is drawn before the central one is taken.
const TRIES: usize = 10;

/// A rectangle of an image, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// The first row.
    pub top: usize,
    /// The first column.
    pub left: usize,
    /// At least 1, as is the width.
    pub height: usize,
    /// At least 1.
    pub width: usize,
}

impl Crop {
    /// The whole of an image.
    pub fn whole(source: ImageShape) -> Self {
        Self { top: 0, left: 0, height: source.height, width: source.width }
    }

    /// torchvision's `RandomResizedCrop.get_params`: area and the logarithm of the ratio are uniform; where ten such
    /// rectangles do not fit into the image, the largest central one of a ratio between the limits.
    pub(super) fn draw(generator: &mut Generator, scale: [f64; 2], ratio: [f64; 2], source: ImageShape) -> Self {
        let area = (source.height * source.width) as f64;
        let log_ratio = ratio.map(libm::log); // libm: the same crops on every machine
        for _ in 0..TRIES {
            let area = area * between(generator, scale);
            let ratio = libm::exp(between(generator, log_ratio));
            let width = (area * ratio).sqrt().round_ties_even() as usize;
            let height = (area / ratio).sqrt().round_ties_even() as usize;
            if (1..=source.width).contains(&width) && (1..=source.height).contains(&height) {
                let top = generator.below((source.height - height + 1) as u32) as usize;
                let left = generator.below((source.width - width + 1) as u32) as usize;
                return Self { top, left, height, width };
            }
        }
        Self::central(ratio, source)
    }

    fn central([narrowest, widest]: [f64; 2], source: ImageShape) -> Self {
        let (full_height, full_width) = (source.height as f64, source.width as f64);
        let side = |side: f64, limit: usize| (side.round_ties_even() as usize).clamp(1, limit);
        let (height, width) = if full_width / full_height < narrowest {
            (side(full_width / narrowest, source.height), source.width)
        } else if full_width / full_height > widest {
            (source.height, side(full_height * widest, source.width))
        } else {
            (source.height, source.width)
        };
        Self { top: (source.height - height) / 2, left: (source.width - width) / 2, height, width }
    }
}

fn between(generator: &mut Generator, [low, high]: [f64; 2]) -> f64 {
    low + (high - low) * f64::from(generator.unit())
}
