use anyhow::Result;

use crate::data::{Census, Gallery, ImageShape};
use crate::report::{ContactRow, Picture, contact_sheet};

/// A picture on the sheet.
const SHAPE: ImageShape = ImageShape::new(64, 64, 3);
/// Pictures of a row, ...
const COLUMNS: usize = 12;
/// ... and rows at most.
const ROWS: usize = 40;

/// Whole pictures of each class, a row each, or of the whole set where it has no classes, evenly spread over them; and how
/// many these are.
pub fn draw(gallery: &Gallery, census: &Census) -> Result<(Picture, usize)> {
    let mut rows: Vec<(String, Vec<usize>)> = Vec::new();
    if gallery.classes.is_empty() {
        let spread = evenly(&census.whole, ROWS * COLUMNS);
        rows.extend(spread.chunks(COLUMNS).map(|row| (String::new(), row.to_vec())));
    } else {
        for (class, name) in gallery.classes.iter().take(ROWS).enumerate() {
            let of_class = census.whole.iter().filter(|index| gallery.entries[**index].class == Some(class as u32));
            rows.push((name.clone(), evenly(&of_class.copied().collect::<Vec<_>>(), COLUMNS)));
        }
    }
    let mut pictures = 0;
    let mut drawn = Vec::with_capacity(rows.len());
    for (name, indices) in rows {
        let mut pixels = Vec::with_capacity(indices.len() * SHAPE.stride());
        for index in &indices {
            let read = gallery.read(*index..index + 1, SHAPE).into_iter().collect::<Result<Vec<_>>>()?;
            pixels.extend(read.concat());
        }
        pictures += indices.len();
        drawn.push(ContactRow { name, pixels });
    }
    Ok((contact_sheet(&drawn, SHAPE)?, pictures))
}

/// At most `most` of `all`, evenly spread.
fn evenly(all: &[usize], most: usize) -> Vec<usize> {
    let count = all.len().min(most);
    (0..count).map(|place| all[place * all.len() / count]).collect()
}
