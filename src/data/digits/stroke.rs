//! The pen's path: points joined by a smooth curve, cut into short straight pieces.

/// A place, a direction or a displacement.
pub(super) type Vector = [f32; 2];

/// A knot of a stroke.
#[derive(Clone, Copy)]
pub(super) struct Knot {
    pub at: Vector,
    /// Whether the pen turns sharply here.
    pub corner: bool,
}

/// The straight pieces between two knots.
const PIECES: usize = 5;

pub(super) fn distance(from: Vector, to: Vector) -> f32 {
    let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
    (dx * dx + dy * dy).sqrt()
}

/// The knots' spacing in the curve's parameter: the root of their distance (a centripetal spline), which keeps it free
/// of loops and overshoot where the knots lie unevenly (Yuksel, Schaefer, Keyser, "Parameterization and applications
/// of Catmull-Rom curves", 2011).
fn spacing(from: Vector, to: Vector) -> f32 {
    distance(from, to).sqrt().max(1e-3)
}

/// The curve's velocity at `knots[index]`, where `ahead` tells which of the two sides of a corner is meant.
fn velocity(knots: &[Knot], index: usize, ahead: bool) -> Vector {
    let slope = |from: usize, to: usize| {
        let step = spacing(knots[from].at, knots[to].at);
        [(knots[to].at[0] - knots[from].at[0]) / step, (knots[to].at[1] - knots[from].at[1]) / step]
    };
    let last = knots.len() - 1;
    if index == 0 || (knots[index].corner && ahead && index < last) {
        return slope(index, index + 1);
    }
    if index == last || knots[index].corner {
        return slope(index - 1, index);
    }
    // The parabola through the knot and its two neighbours.
    let before = spacing(knots[index - 1].at, knots[index].at);
    let after = spacing(knots[index].at, knots[index + 1].at);
    let (arriving, leaving) = (slope(index - 1, index), slope(index, index + 1));
    let mix = |axis: usize| (arriving[axis] * after + leaving[axis] * before) / (before + after);
    [mix(0), mix(1)]
}

/// Appends the points of the curve through `knots` (at least two) to `path`, from the first knot to the last.
pub(super) fn flatten(knots: &[Knot], path: &mut Vec<Vector>) {
    path.push(knots[0].at);
    for index in 0..knots.len() - 1 {
        let (from, to) = (knots[index].at, knots[index + 1].at);
        let step = spacing(from, to);
        let (leaving, arriving) = (velocity(knots, index, true), velocity(knots, index + 1, false));
        for piece in 1..=PIECES {
            // Hermite's basis.
            let t = piece as f32 / PIECES as f32;
            let (square, cube) = (t * t, t * t * t);
            let end = 3.0 * square - 2.0 * cube;
            let (pull, push) = ((cube - 2.0 * square + t) * step, (cube - square) * step);
            let along =
                |axis: usize| from[axis] * (1.0 - end) + to[axis] * end + leaving[axis] * pull + arriving[axis] * push;
            path.push([along(0), along(1)]);
        }
    }
}
