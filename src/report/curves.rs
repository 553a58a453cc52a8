//! Curves over the steps of a run, as a chart that is read at a glance.

use anyhow::Result;

use crate::report::axis::Range;
use crate::report::canvas::{Align, Canvas};
use crate::report::grid::Picture;
use crate::report::numbers::grouped;
use crate::report::palette::{AXIS, BLACK, CURVES, GREY, PALE_GRID, opaque};

/// One quantity over the run. Points that are not finite are not drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// As the legend calls it; empty where the axis says it all.
    pub name: String,
    /// (x, y), in the order of x
    pub points: Vec<(f64, f64)>,
}

/// Curves in one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// Above the frame; empty in a panel below another.
    pub title: String,
    /// Below the frame; empty in a panel above another.
    pub x_label: String,
    pub y_label: String,
    pub curves: Vec<Curve>,
}

/// Which values a chart shows.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// All but a few that would flatten the others.
    Robust,
    /// All, where none can be far off.
    Whole,
}

const WIDTH: u32 = 1000;
const HEIGHT: u32 = 600;
/// Left and right end of the plot itself. The right margin holds each curve's last value.
const SIDES: (f32, f32) = (86.0, 926.0);
/// Pixels above and below it, with and without a title and a label of the axis.
const ABOVE: (f32, f32) = (70.0, 32.0);
const BELOW: (f32, f32) = (64.0, 46.0);

/// Up to so many points each is marked by a dot.
const FEW_POINTS: usize = 40;
/// From so many points on, a curve is drawn pale under its own moving average ...
const MANY_POINTS: usize = 80;
/// ... over this part of it.
const SMOOTHED_PART: usize = 40;

impl Chart {
    /// Draws the chart, 1000 by 600 pixels in colour. A few values that would flatten all others are left outside, and
    /// the chart says how many.
    pub fn draw(&self) -> Result<Picture> {
        self.panel(HEIGHT, self.x_range(), Scale::Robust)
    }

    /// The steps from the first drawn point to the last.
    fn x_range(&self) -> Range {
        Range::of(self.finite_curves().iter().flatten().map(|point| point.0))
    }

    fn finite_curves(&self) -> Vec<Vec<(f64, f64)>> {
        let finite =
            |curve: &Curve| curve.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
        self.curves.iter().map(finite).collect()
    }

    /// Draws charts one below another, each so many pixels high, over the steps of the first.
    pub(super) fn draw_panels(panels: &[(Chart, u32, Scale)]) -> Result<Picture> {
        let steps = panels.first().map_or(Range::of(std::iter::empty()), |(chart, ..)| chart.x_range());
        let draw = |(chart, height, scale): &(Chart, u32, Scale)| chart.panel(*height, steps, *scale);
        Ok(Picture::stacked(&panels.iter().map(draw).collect::<Result<Vec<_>>>()?))
    }

    fn panel(&self, height: u32, x: Range, scale: Scale) -> Result<Picture> {
        let curves = self.finite_curves();
        let heights: Vec<Vec<f64>> = curves.iter().map(|points| points.iter().map(|point| point.1).collect()).collect();
        let top = if self.title.is_empty() { ABOVE.1 } else { ABOVE.0 };
        let bottom = height as f32 - if self.x_label.is_empty() { BELOW.1 } else { BELOW.0 };
        let y = match scale {
            Scale::Robust => Range::robust(&heights),
            Scale::Whole => Range::whole(&heights),
        };
        let plot = Plot { x, y, frame: [SIDES.0, top, SIDES.1, bottom] };

        let mut canvas = Canvas::new(WIDTH, height)?;
        self.draw_axes(&mut canvas, &plot);
        for pass in [Pass::Raw, Pass::Main] {
            for (points, ink) in curves.iter().zip(CURVES.iter().cycle()) {
                plot.draw_curve(&mut canvas, points, *ink, pass);
            }
        }
        self.draw_last_values(&mut canvas, &plot, &curves);
        self.draw_heading(&mut canvas, top);

        let outside = heights.iter().flatten().filter(|&&value| !plot.y.contains(value)).count();
        let missing = self.curves.iter().map(|curve| curve.points.len()).sum::<usize>()
            - curves.iter().map(Vec::len).sum::<usize>();
        let mut remarks = Vec::new();
        if outside > 0 {
            let (subject, verb) = if outside == 1 { ("value", "lies") } else { ("values", "lie") };
            remarks.push(format!("{} {subject} {verb} outside the frame", grouped(outside as f64)));
        }
        if missing > 0 {
            let verb = if missing == 1 { "is" } else { "are" };
            remarks.push(format!("{} {verb} not finite", grouped(missing as f64)));
        }
        let [left, top, right, bottom] = plot.frame;
        canvas.text(
            &remarks.join(", "),
            (right, bottom + if self.x_label.is_empty() { 38.0 } else { 46.0 }),
            12.0,
            Align::Right,
            GREY,
        );
        if curves.iter().all(Vec::is_empty) {
            canvas.text("no values", ((left + right) / 2.0, (top + bottom) / 2.0), 18.0, Align::Centre, GREY);
        }
        Ok(canvas.into_picture())
    }

    /// Grid, ticks and the labels of both axes.
    fn draw_axes(&self, canvas: &mut Canvas, plot: &Plot) {
        let [left, top, right, bottom] = plot.frame;
        for (value, label) in plot.y.ticks(8, false) {
            let y = crisp(plot.height(value));
            canvas.line(&[(left, y), (right, y)], 1.0, PALE_GRID, None);
            canvas.text(&label, (left - 10.0, y + 4.5), 13.0, Align::Right, BLACK);
        }
        for (value, label) in plot.x.ticks(8, true) {
            let x = crisp(plot.across(value));
            canvas.line(&[(x, top), (x, bottom)], 1.0, PALE_GRID, None);
            canvas.line(&[(x, bottom), (x, bottom + 5.0)], 1.0, AXIS, None);
            canvas.text(&label, (x, bottom + 21.0), 13.0, Align::Centre, BLACK);
        }
        canvas.line(&[(left, crisp(bottom)), (right, crisp(bottom))], 1.0, AXIS, None);
        canvas.line(&[(crisp(left), top), (crisp(left), bottom)], 1.0, AXIS, None);
        canvas.text(&self.x_label, ((left + right) / 2.0, bottom + 46.0), 15.0, Align::Centre, BLACK);
        canvas.text_upwards(&self.y_label, (26.0, (top + bottom) / 2.0), 15.0, Align::Centre, BLACK);
    }

    /// Title on the left, legend on the right of the line above the frame, where no curve can run into them.
    fn draw_heading(&self, canvas: &mut Canvas, top: f32) {
        let (left, right) = SIDES;
        let (title, legend) = (top - 26.0, top - if self.title.is_empty() { 14.0 } else { 27.0 });
        canvas.text(&self.title, (left, title), 21.0, Align::Left, BLACK);
        let mut end = right;
        let entries = self.curves.iter().zip(CURVES.iter().cycle()).filter(|(curve, _)| !curve.name.is_empty());
        for (curve, ink) in entries.collect::<Vec<_>>().into_iter().rev() {
            canvas.text(&curve.name, (end, legend), 15.0, Align::Right, BLACK);
            end -= canvas.text_width(&curve.name, 15.0) + 9.0;
            canvas.line(&[(end - 24.0, legend - 5.0), (end, legend - 5.0)], 4.0, opaque(*ink), None);
            end -= 24.0 + 26.0;
        }
    }

    /// The last value of each curve, at its end, moved apart where two would touch.
    fn draw_last_values(&self, canvas: &mut Canvas, plot: &Plot, curves: &[Vec<(f64, f64)>]) {
        const LINE_HEIGHT: f32 = 17.0;
        let mut labels: Vec<(f32, f64, [u8; 3])> = Vec::new();
        for (points, ink) in curves.iter().zip(CURVES.iter().cycle()) {
            if let Some(&(_, last)) = plot.main_line(points).last() {
                labels.push((plot.height(plot.y.clamp(last)), last, *ink));
            }
        }
        labels.sort_by(|one, other| one.0.total_cmp(&other.0));
        for index in 1..labels.len() {
            let short = LINE_HEIGHT - (labels[index].0 - labels[index - 1].0);
            if short > 0.0 {
                labels[index - 1].0 -= short / 2.0;
                labels[index].0 += short / 2.0;
            }
        }
        for (y, last, ink) in labels {
            canvas.text(&format!("{last:.2}"), (plot.frame[2] + 10.0, y + 5.0), 14.0, Align::Left, opaque(ink));
        }
    }
}

/// Curves are drawn in two passes, so that no curve's raw values cover another's main line.
#[derive(Clone, Copy, PartialEq)]
enum Pass {
    Raw,
    Main,
}

/// The two ranges of a chart, laid over its frame.
struct Plot {
    x: Range,
    y: Range,
    /// Left, top, right, bottom.
    frame: [f32; 4],
}

impl Plot {
    fn across(&self, x: f64) -> f32 {
        self.frame[0] + self.x.fraction(x) as f32 * (self.frame[2] - self.frame[0])
    }

    fn height(&self, y: f64) -> f32 {
        self.frame[3] - self.y.fraction(y) as f32 * (self.frame[3] - self.frame[1])
    }

    /// The line that is read: the points themselves, or their moving average where they are many.
    fn main_line(&self, points: &[(f64, f64)]) -> Vec<(f64, f64)> {
        if points.len() < MANY_POINTS {
            return points.to_vec();
        }
        // Values outside the frame count as its edge: a spike of 1e4 would else drag its whole neighbourhood along.
        let clamped: Vec<f64> = points.iter().map(|point| self.y.clamp(point.1)).collect();
        let reach = (points.len() / SMOOTHED_PART / 2).max(1);
        let smooth = moving_average(&moving_average(&clamped, reach), reach);
        points.iter().zip(smooth).map(|(point, y)| (point.0, y)).collect()
    }

    fn draw_curve(&self, canvas: &mut Canvas, points: &[(f64, f64)], ink: [u8; 3], pass: Pass) {
        let many = points.len() >= MANY_POINTS;
        if pass == Pass::Raw {
            if many {
                let opacity = if points.len() < WIDTH as usize { 75 } else { 45 };
                canvas.line(&self.on_sheet(points), 1.0, [ink[0], ink[1], ink[2], opacity], Some(self.frame));
            }
            return;
        }
        let line = self.on_sheet(&self.main_line(points));
        canvas.line(&line, 2.5, opaque(ink), Some(self.frame));
        if points.len() <= FEW_POINTS {
            for &(x, y) in line.iter().filter(|point| (self.frame[1]..=self.frame[3]).contains(&point.1)) {
                canvas.disc((x, y), 3.5, opaque(ink));
            }
        }
    }

    /// Points in pixels. Where many fall on one column of pixels, only its lowest and highest are kept: the same
    /// picture, at a cost that does not grow with the run.
    fn on_sheet(&self, points: &[(f64, f64)]) -> Vec<(f32, f32)> {
        // Far outside is drawn as just outside, so that no coordinate overflows.
        let reach = self.y.high - self.y.low;
        let edge = Range { low: self.y.low - reach, high: self.y.high + reach };
        let placed = points.iter().map(|&(x, y)| (self.across(x), self.height(edge.clamp(y))));
        if points.len() < 4 * WIDTH as usize {
            return placed.collect();
        }
        let mut line: Vec<(f32, f32)> = Vec::new();
        let mut column = f32::NAN;
        for (x, y) in placed {
            if x.floor() != column {
                column = x.floor();
                line.extend([(column + 0.5, y); 2]);
            } else if let [.., low, high] = line.as_mut_slice() {
                low.1 = low.1.min(y);
                high.1 = high.1.max(y);
            }
        }
        line
    }
}

/// The mean of each value and its neighbours up to `reach` on either side, as far as there are any.
fn moving_average(values: &[f64], reach: usize) -> Vec<f64> {
    let mut sums = vec![0.0];
    sums.extend(values.iter().scan(0.0, |sum, value| {
        *sum += value;
        Some(*sum)
    }));
    (0..values.len())
        .map(|index| {
            let (start, end) = (index.saturating_sub(reach), (index + reach + 1).min(values.len()));
            (sums[end] - sums[start]) / (end - start) as f64
        })
        .collect()
}

/// The middle of a pixel: a line one pixel wide there is not smeared over two.
fn crisp(position: f32) -> f32 {
    position.floor() + 0.5
}
