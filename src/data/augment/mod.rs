//! The augmentation of SimCLR (appendix A of 2002.05709, as torchvision 0.29 has its parts): what is drawn for a view,
//! and the view itself. Colours stay f32 in [0, 1] from the first part to the last, as in torchvision's transforms of
//! float tensors.

mod colour;
mod crop;
#[cfg(feature = "cuda")]
mod cuda;
mod hue;
mod jitter;
mod normalise;
mod op;
mod packed;
mod resize;
mod view;

use serde::{Deserialize, Serialize};

use super::ImageShape;
use crate::rng::{Generator, Stream};

pub use crop::Crop;
pub use jitter::{ColourChange, Jitter};
pub use normalise::{ColourScale, denormalise, measure, normalise};
pub use op::views;
pub use view::ViewParameters;

/// From which distributions the parameters of a view are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Augmentation {
    /// The least and the largest area of the crop, as parts of the image's.
    pub scale: [f64; 2],
    /// The least and the largest ratio of the crop's width to its height; uniform in its logarithm.
    pub ratio: [f64; 2],
    /// The probability of a mirrored view.
    pub flip: f32,
    /// The probability of colour jitter.
    pub jitter: f32,
    /// Brightness is multiplied by a factor uniform in 1 - brightness (at least 0) to 1 + brightness.
    pub brightness: f32,
    /// The same for the distance from the mean grey.
    pub contrast: f32,
    /// The same for the distance from each pixel's grey.
    pub saturation: f32,
    /// Hue is turned by up to this part of the circle, either way; at most 0.5.
    pub hue: f32,
    /// The probability of a view without colour.
    pub grey: f32,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self {
            scale: [0.08, 1.0],
            ratio: [3.0 / 4.0, 4.0 / 3.0],
            flip: 0.5,
            jitter: 0.8,
            brightness: 0.4,
            contrast: 0.4,
            saturation: 0.4,
            hue: 0.1,
            grey: 0.2,
        }
    }
}

impl Augmentation {
    /// The parameters of one view of an image of the shape `source`.
    pub fn draw(&self, generator: &mut Generator, source: ImageShape) -> ViewParameters {
        ViewParameters {
            crop: Crop::draw(generator, self.scale, self.ratio, source),
            flip: generator.unit() < self.flip,
            jitter: (generator.unit() < self.jitter).then(|| Jitter::draw(generator, self)),
            grey: generator.unit() < self.grey,
        }
    }

    /// The parameters of the view that `branch` (0 and 1 for SimCLR) takes of the image number `image` in an epoch:
    /// they depend on `seed`, these three and the image's shape alone.
    pub fn view(&self, seed: u64, epoch: u64, image: u32, branch: usize, source: ImageShape) -> ViewParameters {
        let stream = Stream::new(seed, &format!("augment.{branch}"));
        self.draw(&mut stream.at(epoch << 32 | u64::from(image)), source)
    }
}
