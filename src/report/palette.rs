//! The colours of charts and pictures, on white.

use crate::report::canvas::Ink;

pub(super) const BLACK: Ink = [34, 34, 34, 255];
pub(super) const GREY: Ink = [110, 110, 110, 255];
pub(super) const PALE_GRID: Ink = [228, 228, 228, 255];
pub(super) const AXIS: Ink = [150, 150, 150, 255];

/// Of curves: told apart with every common colour blindness (Okabe and Ito, "Color universal design", 2008), best
/// contrast first.
pub(super) const CURVES: [[u8; 3]; 6] =
    [[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [230, 159, 0], [86, 180, 233]];

/// Of classes: as many as can be told apart in small dots (Tableau 10, its grey darkened).
const CLASSES: [[u8; 3]; 10] = [
    [31, 119, 180],
    [255, 127, 14],
    [44, 160, 44],
    [214, 39, 40],
    [148, 103, 189],
    [140, 86, 75],
    [227, 119, 194],
    [90, 90, 90],
    [188, 189, 34],
    [23, 190, 207],
];

/// The colour of a class. Those past the tenth share the hues, darker, then paler, then as they are.
pub(super) fn class_colour(class: usize) -> [u8; 3] {
    CLASSES[class % CLASSES.len()].map(|channel| match class / CLASSES.len() % 3 {
        0 => channel,
        1 => channel / 5 * 3,
        _ => 255 - (255 - channel) / 2,
    })
}

pub(super) fn opaque(ink: [u8; 3]) -> Ink {
    [ink[0], ink[1], ink[2], 255]
}

/// From white over blue to nearly black as `fraction` goes from 0 to 1: ever darker, so that it reads without colour
/// too. NaN is white.
pub(super) fn intensity(fraction: f64) -> [u8; 3] {
    const STOPS: [[f64; 3]; 4] =
        [[255.0, 255.0, 255.0], [158.0, 202.0, 225.0], [33.0, 113.0, 181.0], [8.0, 40.0, 95.0]];
    let place = fraction.clamp(0.0, 1.0).max(0.0) * (STOPS.len() - 1) as f64;
    let before = (place as usize).min(STOPS.len() - 2);
    let part = place - before as f64;
    std::array::from_fn(|channel| {
        let (low, high) = (STOPS[before][channel], STOPS[before + 1][channel]);
        (low + (high - low) * part).round() as u8
    })
}
