//! Colour jitter: four changes of colour in a random order.

use super::colour;
use super::{Augmentation, hue};
use crate::data::augment::colour::Planes;
use crate::rng::Generator;

/// A change of colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColourChange {
    /// All values multiplied.
    Brightness,
    /// The distance from the mean grey multiplied.
    Contrast,
    /// The distance from each pixel's grey multiplied.
    Saturation,
    /// The hue turned.
    Hue,
}

impl ColourChange {
    /// In torchvision's numbering.
    pub const ALL: [ColourChange; 4] =
        [ColourChange::Brightness, ColourChange::Contrast, ColourChange::Saturation, ColourChange::Hue];
}

/// torchvision's `ColorJitter`, drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter {
    /// In which the changes are made.
    pub order: [ColourChange; 4],
    /// At least 0, as the next two; 1 changes nothing.
    pub brightness: f32,
    /// As `brightness`, of the distance from the mean grey.
    pub contrast: f32,
    /// As `brightness`, of the distance from each pixel's grey.
    pub saturation: f32,
    /// In [-0.5, 0.5], of the circle; 0 changes nothing.
    pub hue: f32,
}

impl Jitter {
    pub(super) fn draw(generator: &mut Generator, strengths: &Augmentation) -> Self {
        let mut order = ColourChange::ALL;
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
                ColourChange::Brightness => colour::brightness(planes, self.brightness),
                ColourChange::Contrast => colour::contrast(planes, self.contrast),
                ColourChange::Saturation => colour::saturation(planes, self.saturation),
                ColourChange::Hue => hue::turn(planes, self.hue),
            }
        }
    }
}
