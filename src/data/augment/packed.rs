//! What is drawn of a view as a kernel takes it.

use super::{ColourChange, Crop, Jitter, ViewParameters};

/// The words of one view.
pub const WORDS: usize = 8;

const FLIP: u32 = 1;
const GREY: u32 = 2;
const JITTER: u32 = 4;
/// Where the parts of the jitter begin, and the bits of each.
const ORDER: u32 = 8;
const PART: u32 = 4;

impl ViewParameters {
    /// This view of the image number `image`: `kernel.cu`'s `View`, floats as their bits. The crop must lie within the
    /// first 65,535 pixels either way.
    pub fn packed(&self, image: u32) -> [u32; WORDS] {
        let crop = self.crop;
        let pair = |high: usize, low: usize| (high as u32) << 16 | (low as u32 & 0xFFFF);
        let mut flags = if self.flip { FLIP } else { 0 } | if self.grey { GREY } else { 0 };
        let mut factors = [0.0; 4];
        if let Some(Jitter { order, brightness, contrast, saturation, hue }) = self.jitter {
            flags |= JITTER;
            for (turn, part) in (0..).zip(order) {
                flags |= (part as u32) << (ORDER + PART * turn);
            }
            factors = [brightness, contrast, saturation, hue];
        }
        let [brightness, contrast, saturation, hue] = factors.map(f32::to_bits);
        let (corner, extent) = (pair(crop.top, crop.left), pair(crop.height, crop.width));
        [image, corner, extent, flags, brightness, contrast, saturation, hue]
    }

    /// The image and the view of it that [`packed`](Self::packed) gave these words.
    pub fn unpacked([image, corner, extent, flags, factors @ ..]: [u32; WORDS]) -> (u32, Self) {
        let high = |pair: u32| (pair >> 16) as usize;
        let low = |pair: u32| (pair & 0xFFFF) as usize;
        let crop = Crop { top: high(corner), left: low(corner), height: high(extent), width: low(extent) };
        let [brightness, contrast, saturation, hue] = factors.map(f32::from_bits);
        let part =
            |turn: usize| ColourChange::ALL[(flags >> (ORDER + PART * turn as u32)) as usize % ColourChange::ALL.len()];
        let jitter = Jitter { order: std::array::from_fn(part), brightness, contrast, saturation, hue };
        let jitter = (flags & JITTER != 0).then_some(jitter);
        (image, Self { crop, flip: flags & FLIP != 0, jitter, grey: flags & GREY != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ImageShape;
    use crate::data::augment::Augmentation;

    #[test]
    fn packed_views_are_unpacked_to_the_bit() {
        let shape = ImageShape { height: 65_535, width: 300, channels: 3 };
        for image in 0..100 {
            let view = Augmentation::default().view(1, 0, image, 0, shape);
            assert_eq!(ViewParameters::unpacked(view.packed(image)), (image, view));
        }
    }
}
