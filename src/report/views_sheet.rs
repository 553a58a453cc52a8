//! What a contrastive network sees: images with their two augmented views.

use anyhow::{Result, ensure};

use crate::image_shape::ImageShape;
use crate::report::canvas::{Align, Canvas};
use crate::report::grid::{Grid, Picture};
use crate::report::palette::BLACK;

/// Images side by side; more go into further blocks below.
const COLUMNS: usize = 16;
/// Images below this height are enlarged twice.
const LARGE: usize = 64;
/// Pixels between images.
const GAP: usize = 2;
/// Pixels for the names of the rows, around the sheet, and between blocks.
const NAMES: usize = 64;
const MARGIN: usize = 14;
const BLOCK_GAP: usize = 20;
const ROWS: [&str; 3] = ["image", "view 1", "view 2"];

/// A sheet of `images` of `shape`, (N, H, W, C), and, below each, its two views in the same layout; small ones twice enlarged.
pub fn views_sheet(images: &[u8], first: &[u8], second: &[u8], shape: ImageShape) -> Result<Picture> {
    let size = shape.stride();
    ensure!(
        size > 0 && !images.is_empty() && images.len().is_multiple_of(size),
        "expected images of {shape} bytes, found {} bytes",
        images.len()
    );
    ensure!(
        [first, second].iter().all(|views| views.len() == images.len()),
        "expected two views of every image: {} bytes, found {} and {}",
        images.len(),
        first.len(),
        second.len()
    );
    let scale = if shape.height < LARGE { 2 } else { 1 };
    let blocks: Vec<Picture> = (0..images.len())
        .step_by(COLUMNS * size)
        .map(|start| {
            let end = (start + COLUMNS * size).min(images.len());
            let columns = (end - start) / size;
            // The grid takes values in [-1, 1] and gives the bytes back as they were.
            let rows = [images, first, second].map(|row| &row[start..end]).concat();
            let values: Vec<f32> = rows.iter().map(|&byte| f32::from(byte) / 127.5 - 1.0).collect();
            let grid = Grid { columns: Some(columns), scale, gap: GAP };
            grid.draw(&values, ROWS.len() * columns, shape)
        })
        .collect();

    let height = shape.height;
    let block_height = blocks[0].height as usize;
    let sheet_height = 2 * MARGIN + blocks.len() * (block_height + BLOCK_GAP) - BLOCK_GAP;
    let sheet_width = NAMES + blocks[0].width as usize + MARGIN;
    let mut canvas = Canvas::new(sheet_width as u32, sheet_height as u32)?;
    for (index, block) in blocks.iter().enumerate() {
        let top = MARGIN + index * (block_height + BLOCK_GAP);
        canvas.paste(block, (NAMES, top));
        for (row, name) in ROWS.iter().enumerate() {
            let middle = top + row * (height * scale + GAP) + height * scale / 2;
            canvas.text(name, (NAMES as f32 - 10.0, middle as f32 + 4.5), 13.0, Align::Right, BLACK);
        }
    }
    Ok(canvas.into_picture())
}
