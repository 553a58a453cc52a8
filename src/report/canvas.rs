//! A white sheet to draw anti-aliased lines and text on, the same bytes on every run.

use ab_glyph::{Font, FontRef, OutlineCurve, Point};
use anyhow::{Context, Result};
use tiny_skia::{Color, FillRule, LineCap, LineJoin, Mask, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform};

use crate::error::legible;
use crate::report::grid::Picture;

/// Red, green, blue and opacity.
pub(super) type Ink = [u8; 4];

/// Where the position given for a text lies on it.
#[derive(Clone, Copy)]
pub(super) enum Align {
    Left,
    Centre,
    Right,
}

pub(super) struct Canvas {
    pixmap: Pixmap,
    font: FontRef<'static>,
}

impl Canvas {
    pub fn new(width: u32, height: u32) -> Result<Self> {
        let mut pixmap = Pixmap::new(width, height).context("a chart needs a size")?;
        pixmap.fill(Color::WHITE);
        let font = FontRef::try_from_slice(dejavu::sans::regular()).context("the built-in font")?;
        Ok(Self { pixmap, font })
    }

    /// Draws lines through `points`, `width` pixels wide, only inside `frame` (left, top, right, bottom).
    pub fn line(&mut self, points: &[(f32, f32)], width: f32, ink: Ink, frame: Option<[f32; 4]>) {
        let mut builder = PathBuilder::new();
        for (index, &(x, y)) in points.iter().enumerate() {
            if index == 0 { builder.move_to(x, y) } else { builder.line_to(x, y) }
        }
        let stroke = Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
        let mask = frame.and_then(|[left, top, right, bottom]| {
            let mut mask = Mask::new(self.pixmap.width(), self.pixmap.height())?;
            let inside = PathBuilder::from_rect(Rect::from_ltrb(left, top, right, bottom)?);
            mask.fill_path(&inside, FillRule::Winding, false, Transform::identity());
            Some(mask)
        });
        if let Some(path) = builder.finish() {
            self.pixmap.stroke_path(&path, &paint(ink), &stroke, Transform::identity(), mask.as_ref());
        }
    }

    /// Draws a disc around `centre`.
    pub fn disc(&mut self, centre: (f32, f32), radius: f32, ink: Ink) {
        if let Some(circle) = PathBuilder::from_circle(centre.0, centre.1, radius) {
            self.fill(&circle, ink, Transform::identity());
        }
    }

    /// Fills the pixels from (left, top) up to, not including, (right, bottom).
    pub fn rectangle(&mut self, [left, top, right, bottom]: [i32; 4], ink: Ink) {
        let sides = [left, top, right, bottom].map(|side| side as f32);
        if let Some(rectangle) = Rect::from_ltrb(sides[0], sides[1], sides[2], sides[3]) {
            self.pixmap.fill_rect(rectangle, &paint(ink), Transform::identity(), None);
        }
    }

    /// Lays `picture` over the canvas, its top left corner at (left, top). What does not fit is cut off.
    pub fn paste(&mut self, picture: &Picture, (left, top): (usize, usize)) {
        let (width, channels) = (self.pixmap.width() as usize, picture.channels);
        let columns = (picture.width as usize).min(width.saturating_sub(left));
        let rows = picture.pixels.chunks_exact((picture.width as usize * channels).max(1));
        let targets = self.pixmap.data_mut().chunks_exact_mut(4 * width).skip(top);
        for (row, target) in rows.zip(targets) {
            let target = target[4 * left.min(width)..].chunks_exact_mut(4).take(columns);
            for (pixel, target) in row.chunks_exact(channels).zip(target) {
                target[..3].copy_from_slice(&[pixel[0], pixel[channels / 2], pixel[channels - 1]]);
            }
        }
    }

    /// `text` in a line, or as much of its beginning as fits into `width` pixels, with an ellipsis.
    pub fn shortened(&self, text: &str, size: f32, width: f32) -> String {
        let text = legible(text);
        if self.text_width(&text, size) <= width {
            return text;
        }
        let letters: Vec<char> = text.chars().collect();
        let cut = |count: usize| letters[..count].iter().collect::<String>().trim_end().to_owned() + "…";
        let fitting = (0..letters.len()).rev().map(cut).find(|cut| self.text_width(cut, size) <= width);
        fitting.unwrap_or_default()
    }

    /// Writes `text` with its baseline at `y`; `size` is the height of an em in pixels.
    pub fn text(&mut self, text: &str, (x, y): (f32, f32), size: f32, align: Align, ink: Ink) {
        self.write(text, size, align, ink, Transform::from_translate(x, y));
    }

    /// The same, read from below, with its baseline at `x`.
    pub fn text_upwards(&mut self, text: &str, (x, y): (f32, f32), size: f32, align: Align, ink: Ink) {
        // A quarter turn, written out: sines and cosines are not the same on every machine.
        self.write(text, size, align, ink, Transform::from_row(0.0, -1.0, 1.0, 0.0, x, y));
    }

    /// The width of `text` in pixels.
    pub fn text_width(&self, text: &str, size: f32) -> f32 {
        let mut width = 0.0;
        let mut previous = None;
        for glyph in text.chars().map(|letter| self.font.glyph_id(letter)) {
            width += previous.map_or(0.0, |previous| self.font.kern_unscaled(previous, glyph));
            width += self.font.h_advance_unscaled(glyph);
            previous = Some(glyph);
        }
        width * self.em(size)
    }

    pub fn into_picture(self) -> Picture {
        let (width, height) = (self.pixmap.width(), self.pixmap.height());
        // Nothing is transparent on a white sheet, so that the premultiplied colours are the colours.
        let pixels = self.pixmap.data().chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        Picture { width, height, channels: 3, pixels }
    }

    /// Pixels a font unit.
    fn em(&self, size: f32) -> f32 {
        size / self.font.units_per_em().unwrap_or(2048.0)
    }

    fn write(&mut self, text: &str, size: f32, align: Align, ink: Ink, placed: Transform) {
        let em = self.em(size);
        let mut pen = match align {
            Align::Left => 0.0,
            Align::Centre => -0.5 * self.text_width(text, size),
            Align::Right => -self.text_width(text, size),
        };
        let mut previous = None;
        for letter in text.chars() {
            let glyph = self.font.glyph_id(letter);
            pen += previous.map_or(0.0, |previous| self.font.kern_unscaled(previous, glyph)) * em;
            if let Some(outline) = self.font.outline(glyph).and_then(|outline| outline_path(&outline.curves)) {
                let glyph_to_text = Transform::from_row(em, 0.0, 0.0, -em, pen, 0.0);
                self.fill(&outline, ink, glyph_to_text.post_concat(placed));
            }
            pen += self.font.h_advance_unscaled(glyph) * em;
            previous = Some(glyph);
        }
    }

    fn fill(&mut self, path: &Path, ink: Ink, transform: Transform) {
        self.pixmap.fill_path(path, &paint(ink), FillRule::Winding, transform, None);
    }
}

fn paint(ink: Ink) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(ink[0], ink[1], ink[2], ink[3]);
    paint
}

/// A glyph's curves, in font units, as closed contours.
fn outline_path(curves: &[OutlineCurve]) -> Option<Path> {
    let mut builder = PathBuilder::new();
    let mut pen: Option<Point> = None;
    for curve in curves {
        let (OutlineCurve::Line(start, end)
        | OutlineCurve::Quad(start, _, end)
        | OutlineCurve::Cubic(start, _, _, end)) = *curve;
        if pen != Some(start) {
            builder.close();
            builder.move_to(start.x, start.y);
        }
        match *curve {
            OutlineCurve::Line(..) => builder.line_to(end.x, end.y),
            OutlineCurve::Quad(_, bend, _) => builder.quad_to(bend.x, bend.y, end.x, end.y),
            OutlineCurve::Cubic(_, first, second, _) => {
                builder.cubic_to(first.x, first.y, second.x, second.y, end.x, end.y)
            }
        }
        pen = Some(end);
    }
    builder.close();
    builder.finish()
}
