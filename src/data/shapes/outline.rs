//! The ten forms: closed polygons, the same for every image.

use crate::data::shapes::canvas::Point;

/// In the order of the labels.
pub(super) const NAMES: [&str; 10] =
    ["disc", "ring", "square", "triangle", "star", "cross", "crescent", "corner", "bars", "hourglass"];

/// Corners of a round contour.
const ROUND: usize = 28;

/// A form as closed contours about (0, 0); what lies within an odd number of them is inside.
pub(super) type Outline = Vec<Vec<Point>>;

/// All forms, in the order of [`NAMES`], brought to about the same weight: neither area nor reach tells them apart by
/// much.
pub(super) fn all() -> [Outline; 10] {
    let arm = 0.3;
    let cross = [(arm, -1.0), (arm, -arm), (1.0, -arm), (1.0, arm), (arm, arm), (arm, 1.0)];
    let cross = cross.into_iter().chain(cross.into_iter().rev().map(|(x, y)| (-x, y)));
    [
        vec![arc([0.0, 0.0], 1.0, 0.0, TURN)],
        vec![arc([0.0, 0.0], 1.0, 0.0, TURN), arc([0.0, 0.0], 0.52, TURN, 0.0)],
        polygon(&[(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]),
        polygon(&[(0.0, -1.0), (0.9, 0.62), (-0.9, 0.62)]),
        vec![star(5, 0.4)],
        polygon(&cross.collect::<Vec<_>>()),
        vec![crescent()],
        polygon(&[(-0.9, -0.9), (-0.25, -0.9), (-0.25, 0.25), (0.9, 0.25), (0.9, 0.9), (-0.9, 0.9)]),
        [bar(-0.5), bar(0.5)].concat(),
        polygon(&[(-0.85, -1.0), (0.85, -1.0), (0.12, 0.0), (0.85, 1.0), (-0.85, 1.0), (-0.12, 0.0)]),
    ]
    .map(balanced)
}

const TURN: f64 = std::f64::consts::TAU;

fn polygon(corners: &[(f32, f32)]) -> Outline {
    vec![corners.iter().map(|&(x, y)| [x, y]).collect()]
}

/// A level bar at this height.
fn bar(middle: f32) -> Outline {
    let (top, bottom) = (middle - 0.25, middle + 0.25);
    polygon(&[(-1.0, top), (1.0, top), (1.0, bottom), (-1.0, bottom)])
}

/// Points of the circle about `centre`, from the angle `begin` up to but without `end`.
fn arc(centre: [f64; 2], radius: f64, begin: f64, end: f64) -> Vec<Point> {
    let count = ((end - begin).abs() / TURN * ROUND as f64).ceil().max(2.0);
    let angle = |step: usize| begin + (end - begin) * step as f64 / count;
    let point = |angle: f64| [centre[0] + radius * libm::cos(angle), centre[1] + radius * libm::sin(angle)];
    (0..count as usize).map(|step| point(angle(step)).map(|axis| axis as f32)).collect()
}

/// A star that stands on two of its `points`, with its inner corners at `inner` of its reach.
fn star(points: usize, inner: f64) -> Vec<Point> {
    let corner = |index: usize| {
        let angle = TURN * (index as f64 / (2 * points) as f64 - 0.25);
        let reach = if index.is_multiple_of(2) { 1.0 } else { inner };
        [(reach * libm::cos(angle)) as f32, (reach * libm::sin(angle)) as f32]
    };
    (0..2 * points).map(corner).collect()
}

/// A disc without another disc, open to the right.
fn crescent() -> Vec<Point> {
    let (radius, shift) = (0.85, 0.5);
    // The horns lie on both circles.
    let x = (1.0 - radius * radius + shift * shift) / (2.0 * shift);
    let y = libm::sqrt(1.0 - x * x);
    let (outer, inner) = (libm::atan2(y, x), libm::atan2(y, x - shift));
    let middle = 0.25;
    let mut contour = arc([middle, 0.0], 1.0, outer, TURN - outer);
    contour.extend(arc([middle + shift, 0.0], radius, TURN - inner, inner));
    contour
}

/// The form scaled so that its area times its squared reach is that of a disc of radius 1. Holes run the other way round
/// than the contours about them.
fn balanced(outline: Outline) -> Outline {
    let area = |contour: &Vec<Point>| {
        let ends = contour.iter().zip(contour.iter().cycle().skip(1));
        ends.map(|(from, to)| 0.5 * (from[0] * to[1] - from[1] * to[0])).sum::<f32>()
    };
    let inside = outline.iter().map(area).sum::<f32>().abs();
    let reach = outline.iter().flatten().map(|[x, y]| x * x + y * y).fold(0.0, f32::max);
    // The fourth root: both factors grow with the square of the scale.
    let scale = (std::f32::consts::PI / (inside * reach)).sqrt().sqrt();
    let scaled = |contour: Vec<Point>| contour.into_iter().map(|point| point.map(|axis| axis * scale)).collect();
    outline.into_iter().map(scaled).collect()
}
