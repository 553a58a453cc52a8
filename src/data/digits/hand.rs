//! A writer's hand: what stays alike in the digits that one person writes, and what changes each time.

use crate::data::digits::glyphs::{DIGITS, Form};
use crate::data::digits::pen::{SIDE, Segment};
use crate::data::digits::stroke::{Knot, Vector, distance, flatten};
use crate::rng::{Generator, Stream};

/// Pixels of the longer side of a digit at its largest, pen included; as MNIST's digits.
const BOX: f32 = 20.0;

/// The most poses that a form has.
const POSES: usize = 4;

/// A bell-shaped number: mean 0, standard deviation 1, within (-3, 3).
fn bell(generator: &mut Generator) -> f32 {
    generator.symmetric() + generator.symmetric() + generator.symmetric()
}

/// A smooth bend of the plane: a polynomial of the place, with coordinates of about -1 to 1.
#[derive(Clone, Copy)]
struct Warp([Vector; 5]);

impl Warp {
    fn draw(generator: &mut Generator, strength: f32) -> Self {
        let mut weights = [(); 5].map(|()| [strength * bell(generator), strength * bell(generator)]);
        // Stems that bow far make a 7 a T.
        weights[2][0] *= 0.5;
        Self(weights)
    }

    fn bend(&self, [x, y]: Vector) -> Vector {
        let terms = [x * y, x * x - 0.3, y * y - 0.4, y * (y * y - 0.6), x * (y * y - 0.4)];
        let along = |axis: usize| self.0.iter().zip(terms).map(|(weight, term)| weight[axis] * term).sum::<f32>();
        [x + along(0), y + along(1)]
    }
}

/// How one writer writes one digit.
pub(super) struct Hand {
    form: &'static Form,
    /// How much of each pose is in the shape, before they are brought to a sum of 1.
    blend: [f32; POSES],
    warp: Warp,
    /// To the right for every unit upwards.
    slant: f32,
    /// Factor on the width.
    breadth: f32,
    /// The pen's width in pixels.
    pen: f32,
    /// The direction in which the nib draws its thinnest line, times how uneven it is.
    nib: Vector,
    /// How far the hand strays from a smooth line, relative to the usual.
    tremor: f32,
    /// Pixels from full ink to none.
    softness: f32,
}

impl Hand {
    /// The hand of `writer` for `digit`: its style from one index of `writers`, its form of the digit from `habits`.
    pub fn new(writers: &Stream, habits: &Stream, writer: u64, digit: u8) -> Self {
        let style = &mut writers.at(writer);
        let habit = &mut habits.at(10 * writer + u64::from(digit));
        let forms = DIGITS[usize::from(digit)];
        let mut ticket = habit.below(forms.iter().map(|form| form.weight).sum());
        let mut form = &forms[0];
        for candidate in forms {
            form = candidate;
            if ticket < form.weight {
                break;
            }
            ticket -= form.weight;
        }
        // Squares lean towards one pose: an even mixture of all would make every hand the average hand.
        let blend = [(); POSES].map(|()| habit.unit()).map(|share| share * share + 0.02);
        let nib = [style.symmetric(), style.symmetric()];
        Self {
            form,
            blend,
            warp: Warp::draw(habit, 0.135),
            slant: 0.16 + 0.22 * bell(style) + 0.1 * bell(habit),
            breadth: (1.29 + 0.2 * bell(style)) * (1.0 + 0.16 * bell(habit)),
            pen: (2.45 + 0.55 * bell(style)).max(1.35),
            nib: nib.map(|axis| 0.4 * axis),
            tremor: style.between(0.4, 1.6),
            softness: style.between(0.9, 1.3),
        }
    }

    /// Writes the digit once: the strokes in pixels, ready for [`super::pen::draw`], and the edge's softness.
    pub fn write(&self, generator: &mut Generator) -> (Vec<Segment>, f32) {
        let knots = self.knots(generator);
        let mut path = Vec::with_capacity(128);
        // Where in the path each stroke ends.
        let mut ends = Vec::with_capacity(2);
        let mut start = 0;
        for &length in self.form.strokes {
            flatten(&knots[start..start + length], &mut path);
            ends.push(path.len());
            start += length;
        }

        let (low, high) = bounds(&path);
        let (across, down) = (high[0] - low[0], high[1] - low[1]);
        let longer = across.max(down).max(0.1);
        let size = BOX * generator.between(0.92, 1.0);
        let pen = (self.pen * (1.0 + 0.07 * bell(generator))).min(room(&path, longer) * size / longer).max(1.3);
        let scale = (size - pen) / longer;
        let shake = 0.09 * self.tremor;
        // A fraction of a pixel off the middle, so that edges fall on the grid in every way.
        let middle = [(); 2].map(|()| 0.5 * (SIDE as f32 + generator.symmetric()));
        for point in &mut path {
            for axis in 0..2 {
                let off = point[axis] - 0.5 * (low[axis] + high[axis]);
                point[axis] = middle[axis] + scale * off + shake * generator.symmetric();
            }
        }

        let mut segments = Vec::with_capacity(path.len());
        let mut start = 0;
        for end in ends {
            self.ink(&path[start..end], pen, generator, &mut segments);
            start = end;
        }
        (segments, self.softness)
    }

    /// The digit's knots, in units of half its height: the blend of the poses, bent, turned and slanted.
    fn knots(&self, generator: &mut Generator) -> Vec<Knot> {
        let poses = self.form.poses;
        let mut blend = self.blend.map(|share| share + 0.1 * generator.unit());
        blend[poses.len()..].fill(0.0);
        let total: f32 = blend.iter().sum();
        // A little past the poses, so that they are not the limits of what is written.
        let past = 0.35;
        let even = past / poses.len() as f32;
        let blend = blend.map(|share| (1.0 + past) * share / total - even);
        let warp = Warp::draw(generator, 0.07);
        let slant = (self.slant + 0.09 * bell(generator)).max(-0.25);
        let breadth = (self.breadth * (1.0 + 0.08 * bell(generator))).clamp(0.75, 1.8);
        // A turn by a small angle with this tangent.
        let turn = 0.1 * bell(generator);
        let cosine = 1.0 / (1.0 + turn * turn).sqrt();
        let stray = 0.036 * self.tremor;

        let mut knots = Vec::with_capacity(poses[0].len());
        for index in 0..poses[0].len() {
            let mut at = [-0.6, -1.0];
            for (pose, share) in poses.iter().zip(blend) {
                at[0] += 0.02 * share * f32::from(pose[index].0);
                at[1] += 0.02 * share * f32::from(pose[index].1);
            }
            let [x, y] = warp.bend(self.warp.bend(at));
            let (x, y) = (x + stray * bell(generator), y + stray * bell(generator));
            let (x, y) = ((x - turn * y) * cosine, (y + turn * x) * cosine);
            knots.push(Knot { at: [breadth * x - slant * y, y], corner: self.form.corners.contains(&index) });
        }
        knots
    }

    /// Appends one stroke along `path` to `segments`: the radius follows the nib, the pressure and a lift at the end.
    fn ink(&self, path: &[Vector], pen: f32, generator: &mut Generator, segments: &mut Vec<Segment>) {
        let pressure = [(); 4].map(|()| 1.0 + 0.1 * bell(generator));
        let mut before: Option<f32> = None;
        for (index, ends) in path.windows(2).enumerate() {
            let along = [ends[1][0] - ends[0][0], ends[1][1] - ends[0][1]];
            let length = (along[0] * along[0] + along[1] * along[1]).sqrt().max(1e-3);
            let broad = (along[0] * self.nib[1] - along[1] * self.nib[0]) / length;
            let place = 3.0 * index as f32 / path.len() as f32;
            let (step, rest) = (place as usize, place - (place as usize) as f32);
            let pressed = pressure[step] * (1.0 - rest) + pressure[step + 1] * rest;
            let lifted = if index + 3 > path.len() - 1 { 0.85 } else { 1.0 };
            let shape = (0.9 + broad.abs()) * pressed * lifted + 0.05 * self.tremor * generator.symmetric();
            let radius = (0.5 * pen * shape).max(0.5);
            segments.push(Segment { from: ends[0], to: ends[1], radius: [before.unwrap_or(radius), radius] });
            before = Some(radius);
        }
    }
}

fn bounds(path: &[Vector]) -> (Vector, Vector) {
    path.iter().fold(([f32::MAX; 2], [f32::MIN; 2]), |(low, high), point| {
        ([low[0].min(point[0]), low[1].min(point[1])], [high[0].max(point[0]), high[1].max(point[1])])
    })
}

/// The widest pen, in units of `path`, that leaves the loops of a path open that doubles back within its `longer` side.
fn room(path: &[Vector], longer: f32) -> f32 {
    let length: f32 = path.windows(2).map(|ends| distance(ends[0], ends[1])).sum();
    if length < 2.0 * longer {
        return f32::MAX;
    }
    // The root of the covariance's determinant: the area that the path spreads over, whatever its slant.
    let count = path.len() as f32;
    let mean = [0, 1].map(|axis| path.iter().map(|point| point[axis]).sum::<f32>() / count);
    let moment = |one: usize, other: usize| {
        path.iter().map(|point| (point[one] - mean[one]) * (point[other] - mean[other])).sum::<f32>() / count
    };
    let area = (moment(0, 0) * moment(1, 1) - moment(0, 1) * moment(0, 1)).max(0.0).sqrt();
    6.5 * area / length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_has_more_poses_than_a_hand_blends() {
        assert!(DIGITS.iter().flat_map(|forms| forms.iter()).all(|form| form.poses.len() <= POSES));
    }
}
