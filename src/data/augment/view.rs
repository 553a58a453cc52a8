//! One view of an image.

use super::{Crop, Jitter, colour};
use crate::data::ImageShape;
use crate::data::augment::normalise::{ColourScale, normalise_planes};
use crate::data::augment::resize::{memory, resize};
use crate::kernels::cpu::{scratch, vectorised};

/// All that is random in a view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ViewParameters {
    /// The part that is resized to the view.
    pub crop: Crop,
    /// Whether it is mirrored left to right.
    pub flip: bool,
    /// How the colours change; `None` leaves them.
    pub jitter: Option<Jitter>,
    /// Whether it becomes grey.
    pub grey: bool,
}

impl ViewParameters {
    /// The view that changes nothing but the size.
    pub fn plain(source: ImageShape) -> Self {
        Self { crop: Crop::whole(source), flip: false, jitter: None, grey: false }
    }

    /// Writes the view of an image, (height, width, 3) of `shape`, into `view`: (`size`, `size`, 3), normalised. The
    /// crop must lie within the image.
    pub fn apply(&self, (pixels, shape): (&[u8], ImageShape), size: usize, scale: ColourScale, view: &mut [f32]) {
        debug_assert_eq!(shape.channels, 3, "views have colours");
        let area = size * size;
        scratch(3 * area + memory(self.crop, size), |scratch| {
            let (planes, memory) = scratch.split_at_mut(3 * area);
            vectorised(
                #[inline(always)]
                || {
                    resize((pixels, shape), self.crop, self.flip, size, memory, planes);
                    let (red, rest) = planes.split_at_mut(area);
                    let (green, blue) = rest.split_at_mut(area);
                    let mut planes = [red, green, blue];
                    if let Some(jitter) = &self.jitter {
                        jitter.apply(&mut planes);
                    }
                    if self.grey {
                        colour::grey(&mut planes);
                    }
                    let [red, green, blue] = planes;
                    normalise_planes([red, green, blue], size, scale, view);
                },
            );
        });
    }
}
