//! The renderer: segments of a pen's path, drawn as round-ended strokes with a soft edge.

use crate::data::digits::stroke::Vector;

/// Pixels along each side of an image.
pub(super) const SIDE: usize = 28;

/// A straight piece of a stroke, in pixels; the pen's radius changes evenly between its ends.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    pub from: Vector,
    pub to: Vector,
    pub radius: [f32; 2],
}

/// Draws `segments` in white on black into the SIDE x SIDE `pixels`; pixel (0, 0) has its centre at (0.5, 0.5).
///
/// A pixel's ink falls evenly from full to none over `softness` pixels about the nearest stroke's edge. Only
/// operations that IEEE 754 rounds exactly, so the bytes are the same on every machine.
pub(super) fn draw(segments: &[Segment], softness: f32, pixels: &mut [u8]) {
    // The depth below the nearest edge, in units of the softness; 0 is the outer end of the ramp.
    let mut ink = [0f32; SIDE * SIDE];
    for segment in segments {
        cover(segment, softness, &mut ink);
    }
    for (pixel, depth) in pixels.iter_mut().zip(&ink) {
        *pixel = (depth.min(1.0) * 255.0 + 0.5) as u8;
    }
}

/// Raises `ink` to what `segment` leaves, within its bounding box.
fn cover(segment: &Segment, softness: f32, ink: &mut [f32; SIDE * SIDE]) {
    let Segment { from, to, radius } = *segment;
    let margin = radius[0].max(radius[1]) + 0.5 * softness - 0.5;
    let first = |axis: usize| (from[axis].min(to[axis]) - margin).max(0.0) as usize;
    let past = |axis: usize| ((from[axis].max(to[axis]) + margin).max(-1.0) + 1.0).min(SIDE as f32) as usize;
    let along = [to[0] - from[0], to[1] - from[1]];
    let inverse_square = 1.0 / (along[0] * along[0] + along[1] * along[1]).max(1e-6);
    let inverse_softness = 1.0 / softness;
    for row in first(1)..past(1) {
        let dy = row as f32 + 0.5 - from[1];
        for column in first(0)..past(0) {
            let dx = column as f32 + 0.5 - from[0];
            let nearest = ((dx * along[0] + dy * along[1]) * inverse_square).clamp(0.0, 1.0);
            let (away_x, away_y) = (dx - nearest * along[0], dy - nearest * along[1]);
            let distance = (away_x * away_x + away_y * away_y).sqrt();
            let edge = radius[0] + (radius[1] - radius[0]) * nearest;
            let depth = (edge - distance) * inverse_softness + 0.5;
            let old = &mut ink[row * SIDE + column];
            *old = old.max(depth);
        }
    }
}

/// Moves the ink of `pixels` by whole pixels so that its centre of mass lies within half a pixel of `aim` (column, row;
/// a pixel's centre is a whole number), or as near to that as keeps all of it in the image.
pub(super) fn centre(pixels: &mut [u8], aim: Vector) {
    let (mut mass, mut moment) = (0u32, [0u32; 2]);
    let (mut low, mut high) = ([SIDE; 2], [0; 2]);
    for row in 0..SIDE {
        for column in 0..SIDE {
            let ink = u32::from(pixels[row * SIDE + column]);
            if ink > 0 {
                mass += ink;
                for (axis, place) in [column, row].into_iter().enumerate() {
                    moment[axis] += ink * place as u32;
                    low[axis] = low[axis].min(place);
                    high[axis] = high[axis].max(place);
                }
            }
        }
    }
    let [right, down] = [0, 1].map(|axis| {
        let wanted = (aim[axis] - moment[axis] as f32 / mass.max(1) as f32).round() as isize;
        wanted.min(SIDE as isize - 1 - high[axis] as isize).max(-(low[axis] as isize))
    });
    let offset = down * SIDE as isize + right;
    if offset > 0 {
        pixels.rotate_right(offset as usize);
    } else {
        pixels.rotate_left(offset.unsigned_abs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_stroke_has_its_width_and_its_edge_where_they_belong() {
        let mut pixels = [0; SIDE * SIDE];
        let bar = Segment { from: [5.0, 14.0], to: [23.0, 14.0], radius: [1.5, 1.5] };
        draw(&[bar], 1.0, &mut pixels);
        let column: Vec<u8> = (10..18).map(|row| pixels[row * SIDE + 14]).collect();
        assert_eq!(column, [0, 0, 128, 255, 255, 128, 0, 0]);
        // The round end: 1.58 pixels away, where the edge is at 1.5.
        assert_eq!(pixels[13 * SIDE + 3], 107);
        assert_eq!(pixels.iter().filter(|&&pixel| pixel == 0).count(), SIDE * SIDE - 22 * 4 + 4);
    }

    #[test]
    fn ink_is_moved_to_the_middle_and_never_out_of_the_image() {
        let mut pixels = [0; SIDE * SIDE];
        pixels[2 * SIDE + 3] = 255;
        centre(&mut pixels, [14.0, 14.0]);
        assert_eq!(pixels.iter().position(|&pixel| pixel == 255), Some(14 * SIDE + 14));
        centre(&mut pixels, [40.0, -40.0]);
        assert_eq!(pixels.iter().position(|&pixel| pixel == 255), Some(27));
        assert_eq!(pixels.iter().filter(|&&pixel| pixel > 0).count(), 1);
        centre(&mut [0; SIDE * SIDE], [14.0, 14.0]);
    }

    #[test]
    fn strokes_may_leave_the_image() {
        let mut pixels = [0; SIDE * SIDE];
        let far = Segment { from: [-50.0, -50.0], to: [80.0, -20.0], radius: [2.0, 1.0] };
        let across = Segment { from: [-9.0, 14.0], to: [90.0, 14.0], radius: [2.0, 1.0] };
        draw(&[far], 1.0, &mut pixels);
        assert!(pixels.iter().all(|&pixel| pixel == 0));
        draw(&[far, across], 1.0, &mut pixels);
        assert!(pixels[14 * SIDE] == 255 && pixels[14 * SIDE + 27] == 255);
    }
}
