//! Some pictures of a set, class by class, on one sheet.

use anyhow::Result;

use crate::image_shape::ImageShape;
use crate::report::canvas::{Align, Canvas};
use crate::report::grid::Picture;
use crate::report::palette::BLACK;

/// Pixels between pictures, around the sheet, and at most for a name.
const GAP: usize = 4;
const MARGIN: usize = 14;
const NAMES: f32 = 150.0;
const TEXT: f32 = 13.0;

/// A row of the sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactRow {
    /// What stands before it.
    pub name: String,
    /// Pictures of one shape, (N, H, W, C).
    pub pixels: Vec<u8>,
}

/// A sheet of rows of pictures of `shape`, each row behind its name.
pub fn contact_sheet(rows: &[ContactRow], shape: ImageShape) -> Result<Picture> {
    let ruler = Canvas::new(1, 1)?;
    let names: Vec<String> = rows.iter().map(|row| ruler.shortened(&row.name, TEXT, NAMES)).collect();
    let widest = names.iter().map(|name| ruler.text_width(name, TEXT)).fold(0.0, f32::max).ceil() as usize;
    let left = MARGIN + if widest > 0 { widest + 10 } else { 0 };
    let columns = rows.iter().map(|row| row.pixels.len() / shape.stride()).max().unwrap_or(0).max(1);
    let width = left + columns * (shape.width + GAP) - GAP + MARGIN;
    let height = 2 * MARGIN + rows.len().max(1) * (shape.height + GAP) - GAP;
    let mut canvas = Canvas::new(width as u32, height as u32)?;
    for (row, (content, name)) in rows.iter().zip(&names).enumerate() {
        let top = MARGIN + row * (shape.height + GAP);
        canvas.text(name, (left as f32 - 10.0, (top + shape.height / 2) as f32 + 4.5), TEXT, Align::Right, BLACK);
        for (column, pixels) in content.pixels.chunks_exact(shape.stride()).enumerate() {
            let [width, height] = [shape.width, shape.height].map(|side| side as u32);
            let picture = Picture { width, height, channels: shape.channels, pixels: pixels.to_vec() };
            canvas.paste(&picture, (left + column * (shape.width + GAP), top));
        }
    }
    Ok(canvas.into_picture())
}
