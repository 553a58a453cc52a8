//! A map of features in two dimensions: a dot for each image in the colour of its class.

use anyhow::{Result, ensure};

use crate::report::axis::Range;
use crate::report::canvas::{Align, Canvas};
use crate::report::grid::Picture;
use crate::report::numbers::grouped;
use crate::report::palette::{AXIS, BLACK, GREY, class_colour, opaque};
use crate::rng::Stream;

/// Points of a plane with their classes. Points that are not finite are not drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingMap<'a> {
    pub title: String,
    /// In small letters under the title: how the map was made.
    pub caption: String,
    /// (N)
    pub points: &'a [[f64; 2]],
    /// (N), each below the number of classes
    pub labels: &'a [u32],
    /// Names of the classes.
    pub classes: &'a [String],
}

/// The map itself, and the sheet around it.
const SIDE: f32 = 700.0;
const LEFT: f32 = 26.0;
const TOP: f32 = 80.0;
/// Pixels from the frame to the outermost points.
const INSET: f32 = 18.0;
/// The legend: pixels to its right end, a line, and its longest name.
const LEGEND: f32 = 190.0;
const LINE: f32 = 24.0;
const LONGEST_NAME: f32 = 140.0;
/// Dots grow smaller and paler as they become many.
const RADIUS: std::ops::RangeInclusive<f32> = 1.9..=5.0;
const OPACITY: std::ops::RangeInclusive<f32> = 150.0..=215.0;

impl EmbeddingMap<'_> {
    /// Draws the map: both directions to one scale, and no axes, since the coordinates mean nothing by themselves.
    pub fn draw(&self) -> Result<Picture> {
        ensure!(
            self.points.len() == self.labels.len(),
            "a map of {} points needs as many labels, not {}",
            self.points.len(),
            self.labels.len()
        );
        let width = LEFT + SIDE + LEGEND + LEFT;
        let mut canvas = Canvas::new(width as u32, (TOP + SIDE + LEFT) as u32)?;
        canvas.text(&self.title, (LEFT, 38.0), 21.0, Align::Left, BLACK);
        canvas.text(&self.caption, (LEFT, 62.0), 14.0, Align::Left, GREY);
        let (left, top, right, bottom) = (LEFT + 0.5, TOP + 0.5, LEFT + SIDE + 0.5, TOP + SIDE + 0.5);
        canvas.line(&[(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], 1.0, AXIS, None);
        self.draw_points(&mut canvas);
        self.draw_legend(&mut canvas);
        Ok(canvas.into_picture())
    }

    fn draw_points(&self, canvas: &mut Canvas) {
        let finite: Vec<usize> =
            (0..self.points.len()).filter(|&index| self.points[index].iter().all(|value| value.is_finite())).collect();
        let middle = (LEFT + SIDE / 2.0, TOP + SIDE / 2.0);
        if finite.len() < self.points.len() {
            let missing = format!("{} points are not finite", grouped((self.points.len() - finite.len()) as f64));
            canvas.text(&missing, (LEFT + SIDE - 8.0, TOP + SIDE - 9.0), 12.0, Align::Right, GREY);
        }
        if finite.is_empty() {
            return canvas.text("no points", middle, 18.0, Align::Centre, GREY);
        }
        let ranges = [0, 1].map(|axis| Range::of(finite.iter().map(|&index| self.points[index][axis])));
        let extent = ranges.iter().map(|range| range.high - range.low).fold(0.0, f64::max);
        let place = |point: [f64; 2]| {
            let [x, y] = [0, 1].map(|axis| {
                let centre = ranges[axis].low / 2.0 + ranges[axis].high / 2.0;
                ((point[axis] - centre) / extent) as f32 * (SIDE - 2.0 * INSET)
            });
            (middle.0 + x, middle.1 - y)
        };
        let density = (200.0 / finite.len() as f32).sqrt().sqrt();
        let radius = (4.5 * density).clamp(*RADIUS.start(), *RADIUS.end());
        let opacity = (215.0 * density).clamp(*OPACITY.start(), *OPACITY.end()) as u8;
        // In a random order, so that no class lies on top because its images come last.
        for place_in_list in Stream::new(0, "embedding map").at(0).permutation(finite.len()) {
            let index = finite[place_in_list as usize];
            let [red, green, blue] = class_colour(self.labels[index] as usize);
            canvas.disc(place(self.points[index]), radius, [red, green, blue, opacity]);
        }
    }

    /// Names of the classes beside the map, as many as there is room for.
    fn draw_legend(&self, canvas: &mut Canvas) {
        let room = (SIDE / LINE) as usize;
        let shown = if self.classes.len() > room { room - 1 } else { self.classes.len() };
        let x = LEFT + SIDE + 30.0;
        let y = |line: usize| TOP + (line as f32 + 0.5) * LINE;
        for (class, name) in self.classes.iter().take(shown).enumerate() {
            canvas.disc((x, y(class)), 5.5, opaque(class_colour(class)));
            let name = canvas.shortened(name, 14.0, LONGEST_NAME);
            canvas.text(&name, (x + 15.0, y(class) + 5.0), 14.0, Align::Left, BLACK);
        }
        if shown < self.classes.len() {
            let rest = format!("and {} more", self.classes.len() - shown);
            canvas.text(&rest, (x + 15.0, y(shown) + 5.0), 14.0, Align::Left, GREY);
        }
    }
}
