//! Which classes are taken for which, as a picture.

use anyhow::{Result, ensure};

use crate::report::canvas::{Align, Canvas, Ink};
use crate::report::grid::Picture;
use crate::report::numbers::{grouped, percent};
use crate::report::palette::{AXIS, BLACK, GREY, PALE_GRID, intensity, opaque};

/// Counts of images by their true and their predicted class.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfusionMatrix<'a> {
    pub title: String,
    /// Names of the classes.
    pub classes: &'a [String],
    /// (classes, classes): a row for each true class, a column for each predicted one.
    pub counts: &'a [u64],
}

/// The side of the matrix, as near as whole cells come to it, ...
const SIDE: usize = 660;
/// ... of at most and at least so many pixels.
const CELL: (usize, usize) = (110, 9);
/// Smaller cells hold no numbers.
const READABLE_CELL: usize = 30;
/// The longest name, in pixels; longer ones are cut.
const LONGEST_NAME: f32 = 130.0;
const TOP: usize = 84;
const MARGIN: usize = 26;
/// Pixels from the names of the classes to the middle of the axis' own name.
const AXIS_NAME: usize = 34;
/// Width of the colour scale.
const SCALE: usize = 16;

impl ConfusionMatrix<'_> {
    /// More than this make a picture of more than 4,500 pixels a side, that nobody looks at.
    pub const MOST_CLASSES: usize = 500;

    /// Draws the matrix. Cells are coloured, and where there is room numbered, by their part of the true class's images
    /// in per cent; a cell that holds none is left empty.
    pub fn draw(&self) -> Result<Picture> {
        let count = self.classes.len();
        ensure!(
            count > 0 && self.counts.len() == count * count,
            "a confusion matrix of {count} classes has {} counts, not {}",
            count * count,
            self.counts.len()
        );
        let cell = (SIDE / count).clamp(CELL.1, CELL.0);
        let size = (cell as f32 * 0.85).clamp(8.0, 14.0);
        let ruler = Canvas::new(1, 1)?;
        let names: Vec<String> = self.classes.iter().map(|name| ruler.shortened(name, size, LONGEST_NAME)).collect();
        let longest = names.iter().map(|name| ruler.text_width(name, size)).fold(0.0, f32::max).ceil() as usize;
        // Names that are wider than a cell are read from below.
        let upright = longest + 8 > cell;
        let side = cell * count;
        let left = MARGIN + AXIS_NAME + longest;
        let bottom = TOP + side;
        let below = if upright { longest } else { size as usize } + 12;
        let width = (left + side + 120).max(560);
        let mut canvas = Canvas::new(width as u32, (bottom + below + AXIS_NAME + 14) as u32)?;

        self.draw_heading(&mut canvas);
        self.draw_cells(&mut canvas, (left, TOP), cell);
        for (index, name) in names.iter().enumerate() {
            let middle = ((index * cell) as f32) + cell as f32 / 2.0 + size * 0.36;
            canvas.text(name, (left as f32 - 8.0, TOP as f32 + middle), size, Align::Right, BLACK);
            if upright {
                canvas.text_upwards(name, (left as f32 + middle, bottom as f32 + 8.0), size, Align::Right, BLACK);
            } else {
                let centre = left as f32 + (index as f32 + 0.5) * cell as f32;
                canvas.text(name, (centre, bottom as f32 + 6.0 + size), size, Align::Centre, BLACK);
            }
        }
        let middle = (left as f32 + side as f32 / 2.0, TOP as f32 + side as f32 / 2.0);
        canvas.text("predicted class", (middle.0, (bottom + below + 26) as f32), 15.0, Align::Centre, BLACK);
        canvas.text_upwards("true class", (MARGIN as f32 + 6.0, middle.1), 15.0, Align::Centre, BLACK);
        draw_scale(&mut canvas, left + side + 24, side);
        Ok(canvas.into_picture())
    }

    fn draw_heading(&self, canvas: &mut Canvas) {
        let right: u64 = self.counts.iter().step_by(self.classes.len() + 1).sum();
        let all: u64 = self.counts.iter().sum();
        let top1 = if all == 0 { "no images".into() } else { format!("top-1 {}", percent(right as f64 / all as f64)) };
        let line = format!("{top1}, {} images; cells in % of the true class", grouped(all as f64));
        canvas.text(&self.title, (MARGIN as f32, 38.0), 21.0, Align::Left, BLACK);
        canvas.text(&line, (MARGIN as f32, 62.0), 14.0, Align::Left, GREY);
    }

    fn draw_cells(&self, canvas: &mut Canvas, (left, top): (usize, usize), cell: usize) {
        let count = self.classes.len();
        let size = (cell as f32 * 0.3).clamp(11.0, 20.0);
        for (row, counts) in self.counts.chunks_exact(count).enumerate() {
            let whole: u64 = counts.iter().sum();
            for (column, &images) in counts.iter().enumerate().filter(|(_, images)| **images > 0) {
                let fraction = images as f64 / whole as f64;
                let (x, y) = (left + column * cell, top + row * cell);
                canvas.rectangle([x, y, x + cell, y + cell].map(|side| side as i32), opaque(intensity(fraction)));
                if cell >= READABLE_CELL {
                    let ink: Ink = if fraction > 0.5 { [255; 4] } else { BLACK };
                    let at = ((x as f32) + cell as f32 / 2.0, y as f32 + cell as f32 / 2.0 + size * 0.36);
                    canvas.text(&format!("{:.0}", 100.0 * fraction), at, size, Align::Centre, ink);
                }
            }
        }
        let side = (cell * count) as f32;
        let (left, top) = (left as f32 + 0.5, top as f32 + 0.5);
        let inner = if cell >= READABLE_CELL { 1..count } else { 0..0 };
        for line in inner.map(|index| (index * cell) as f32) {
            canvas.line(&[(left + line, top), (left + line, top + side)], 1.0, PALE_GRID, None);
            canvas.line(&[(left, top + line), (left + side, top + line)], 1.0, PALE_GRID, None);
        }
        let corners = [(left, top), (left + side, top), (left + side, top + side), (left, top + side), (left, top)];
        canvas.line(&corners, 1.0, AXIS, None);
    }
}

/// What the colours mean, beside the matrix.
fn draw_scale(canvas: &mut Canvas, left: usize, side: usize) {
    for y in 0..side {
        let fraction = 1.0 - y as f64 / (side - 1).max(1) as f64;
        let row = [left, TOP + y, left + SCALE, TOP + y + 1].map(|side| side as i32);
        canvas.rectangle(row, opaque(intensity(fraction)));
    }
    let (right, top) = ((left + SCALE) as f32 + 7.0, TOP as f32);
    for (label, part) in [("100 %", 0.0), ("50 %", 0.5), ("0 %", 1.0)] {
        canvas.text(label, (right, top + part * side as f32 + 4.5), 12.0, Align::Left, GREY);
    }
    let (x, y) = (left as f32 + 0.5, top + 0.5);
    let (width, height) = (SCALE as f32, side as f32);
    canvas.line(&[(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)], 1.0, AXIS, None);
}
