//! Hue turned in HSV, without a branch or a table, so that it is computed a vector at a time.

use crate::data::augment::colour::Planes;

/// torchvision's `adjust_hue`: to HSV, `turn` (a part of the circle) added to the hue, and back.
///
/// With hue in sixths of the circle, a channel is `max - range * clamp(min(k, 4 - k), 0, 1)`, where k = hue + 5, 3, 1
/// modulo 6 for red, green and blue (Wikipedia, "HSL and HSV", alternative form of HSV to RGB); range = max - min is
/// value times saturation.
#[inline(always)]
pub fn turn([red, green, blue]: &mut Planes, turn: f32) {
    let turn = 6.0 * turn;
    let turn = if turn < 0.0 { turn + 6.0 } else { turn }; // [0, 6)
    for ((red, green), blue) in red.iter_mut().zip(&mut **green).zip(&mut **blue) {
        let (r, g, b) = (*red, *green, *blue);
        let max = larger(larger(r, g), b);
        let range = max + larger(larger(-r, -g), -b);
        // Of a grey pixel the hue does not matter: it is multiplied by range = 0.
        let per_range = 1.0 / if range > 0.0 { range } else { 1.0 };
        let (difference, third) = if max == r {
            (g - b, 0.0)
        } else if max == g {
            (b - r, 2.0)
        } else {
            (r - g, 4.0)
        };
        let hue = below_six(difference * per_range + third + turn); // [-1, 6)
        *red = max - range * share(hue + 5.0);
        *green = max - range * share(hue + 3.0);
        *blue = max - range * share(hue + 1.0);
    }
}

/// How far a channel lies below the largest, in ranges, for k in [0, 12).
#[inline(always)]
fn share(k: f32) -> f32 {
    let k = below_six(k);
    let fall = 4.0 - k;
    (if k < fall { k } else { fall }).clamp(0.0, 1.0)
}

#[inline(always)]
fn below_six(sixths: f32) -> f32 {
    if sixths >= 6.0 { sixths - 6.0 } else { sixths }
}

/// `f32::max` minds NaN, which costs two more instructions.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}
