//! Colour jitter: four changes of colour in a random order.

use super::colour;
use super::{Augmentation, hue};
use crate::data::augment::colour::Planes;
use crate::rng::Generator;

/// A change of colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Brightness,
    Contrast,
    Saturation,
    Hue,
}

impl Part {
    /// In torchvision's numbering.
    pub const ALL: [Part; 4] = [Part::Brightness, Part::Contrast, Part::Saturation, Part::Hue];
}

/// torchvision's `ColorJitter`, drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter {
    pub order: [Part; 4],
    /// At least 0, as the next two; 1 changes nothing.
    pub brightness: f32,
    pub contrast: f32,
    pub saturation: f32,
    /// In [-0.5, 0.5], of the circle; 0 changes nothing.
    pub hue: f32,
}

impl Jitter {
    pub(super) fn draw(generator: &mut Generator, strengths: &Augmentation) -> Self {
        let mut order = Part::ALL;
        for last in (1..order.len()).rev() {
            order.swap(last, generator.below(last as u32 + 1) as usize);
        }
        let mut factor = |strength: f32| generator.between((1.0 - strength).max(0.0), 1.0 + strength);
        Self {
            order,
            brightness: factor(strengths.brightness),
            contrast: factor(strengths.contrast),
            saturation: factor(strengths.saturation),
            hue: generator.between(-strengths.hue, strengths.hue),
        }
    }

    #[inline(always)]
    pub(super) fn apply(&self, planes: &mut Planes) {
        for part in self.order {
            match part {
                Part::Brightness => colour::brightness(planes, self.brightness),
                Part::Contrast => colour::contrast(planes, self.contrast),
                Part::Saturation => colour::saturation(planes, self.saturation),
                Part::Hue => hue::turn(planes, self.hue),
            }
        }
    }
}
