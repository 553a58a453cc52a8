//! A grid whose rows are classes, each behind its name.

use anyhow::Result;

use crate::image_shape::ImageShape;
use crate::report::canvas::{Align, Canvas};
use crate::report::grid::{GAP_SHADE, Grid, Picture};
use crate::report::palette::{PALE_GRID, opaque};

/// The longest name, in pixels; longer ones are cut.
const LONGEST_NAME: f32 = 150.0;
/// Pixels on both sides of a name.
const MARGIN: usize = 6;
/// The size of the text where rows are high enough.
const TEXT: f32 = 13.0;

/// Draws `images` of `shape`, (N, H, W, C) in [-1, 1], a row for each of `names` in turn, as many images in each as in the
/// others, laid out as `grid` says but for its columns.
///
/// # Errors
/// Where there is no name, or the system's memory ends.
pub fn class_grid(images: &[f32], names: &[String], grid: Grid, shape: ImageShape) -> Result<Picture> {
    let count = images.len() / shape.stride();
    let grid = Grid { columns: Some((count / names.len().max(1)).max(1)), ..grid };
    let picture = grid.draw(images, count, shape);
    let side = shape.height * grid.scale;
    let size = TEXT.min(side as f32);
    let ruler = Canvas::new(1, 1)?;
    let names: Vec<String> = names.iter().map(|name| ruler.shortened(name, size, LONGEST_NAME)).collect();
    let widest = names.iter().map(|name| ruler.text_width(name, size)).fold(0.0, f32::max).ceil() as usize;
    let left = widest + 2 * MARGIN;

    let mut canvas = Canvas::new(left as u32, picture.height)?;
    canvas.rectangle([0, 0, left as i32, picture.height as i32], opaque([GAP_SHADE; 3]));
    for (row, name) in names.iter().enumerate() {
        let middle = (row * (side + grid.gap)) as f32 + side as f32 / 2.0;
        canvas.text(name, ((left - MARGIN) as f32, middle + size * 0.36), size, Align::Right, PALE_GRID);
    }
    let text = canvas.into_picture();
    let channels = picture.channels;
    let mut pixels = Vec::with_capacity(picture.pixels.len() + left * picture.height as usize * channels);
    let lines = picture.pixels.chunks_exact(picture.width as usize * channels);
    for (ink, line) in text.pixels.chunks_exact(left * text.channels).zip(lines) {
        ink.chunks_exact(text.channels).for_each(|pixel| pixels.extend(&pixel[..channels])); // all of it is grey
        pixels.extend(line);
    }
    Ok(Picture { width: picture.width + left as u32, pixels, ..picture })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_before_their_rows_and_images_as_in_other_grids() {
        for channels in [1, 3] {
            let shape = ImageShape::new(12, 10, channels);
            let images: Vec<f32> = (0..6 * shape.stride()).map(|at| (at % 200) as f32 / 100.0 - 1.0).collect();
            let names = ["cat".to_string(), "a\nname that is longer than any grid can show it".to_string()];
            let named = class_grid(&images, &names, Grid::default(), shape).unwrap();
            let plain = Grid { columns: Some(3), ..Grid::default() }.draw(&images, 6, shape);
            assert_eq!((named.height, named.channels), (plain.height, channels));
            let left = (named.width - plain.width) as usize;
            assert!(left > MARGIN && left <= LONGEST_NAME as usize + 2 * MARGIN, "{left}");
            let (wide, narrow) = (named.width as usize * channels, plain.width as usize * channels);
            let lines = || named.pixels.chunks_exact(wide);
            assert!(
                lines().zip(plain.pixels.chunks_exact(narrow)).all(|(line, plain)| line[left * channels..] == *plain)
            );
            // Ink in both rows, of different letters.
            let ink = |rows: std::ops::Range<usize>| -> usize {
                let lines = lines().skip(rows.start).take(rows.len());
                lines.map(|line| line[..left * channels].iter().filter(|value| **value > 128).count()).sum()
            };
            let (first, second) = (ink(0..24), ink(26..50));
            assert!(0 < first && first < second, "{first}, {second}");
        }
    }
}
