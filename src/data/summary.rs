//! What is said of a set that was read: what became of its pictures, and whether there is anything in them.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::{ImageShape, Images};

/// What a picture was before it was made to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Original {
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Whether it has colours, not only shades of grey.
    pub is_colour: bool,
}

impl Original {
    /// An image of `shape`.
    pub fn of(shape: ImageShape) -> Self {
        Self { width: shape.width as u32, height: shape.height as u32, is_colour: shape.channels == 3 }
    }

    fn size(&self) -> String {
        format!("{}x{}", self.width, self.height)
    }

    fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// Sizes (width x height) and colours of `sources`, and what they become in `shape`; `None` where they are of it. `what`
/// they are: pictures, images.
pub fn refitted(what: &str, sources: &[Original], shape: ImageShape) -> Option<String> {
    let fitted = Original::of(shape);
    if sources.iter().all(|source| *source == fitted) {
        return None;
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    sources.iter().for_each(|source| *counts.entry(source.size()).or_default() += 1);
    let smallest = sources.iter().min_by_key(|source| source.pixels())?;
    let largest = sources.iter().max_by_key(|source| source.pixels())?;
    let (common, count) = counts.into_iter().min_by_key(|(size, count)| (Reverse(*count), size.clone()))?;
    let sizes = match count {
        _ if count == sources.len() => format!("of {common}"),
        0..2 => format!("of {} to {}", smallest.size(), largest.size()),
        _ => format!("of {} to {} (most often {common})", smallest.size(), largest.size()),
    };
    let colour = |is_colour| if is_colour { "in colour" } else { "in grey" };
    let colours = match sources.iter().filter(|source| source.is_colour).count() {
        0 => colour(false),
        some if some == sources.len() => colour(true),
        _ => "in colour and in grey",
    };
    let is_cut = |source: &Original| {
        u64::from(source.width) * u64::from(fitted.height) != u64::from(fitted.width) * u64::from(source.height)
    };
    let cut = if sources.iter().any(is_cut) { ", the largest centre of that shape" } else { "" };
    Some(format!("{what} {sizes} {colours} become {} {}{cut}", fitted.size(), colour(fitted.is_colour)))
}

/// What is wrong where most of `images` show nothing: each is one shade all over.
pub fn emptiness(images: &Images) -> Option<String> {
    let (len, channels) = (images.len(), images.channels);
    let is_blank = |image: &[u8]| image.chunks_exact(channels).all(|pixel| *pixel == image[..channels]);
    let mut blank = images.pixels.chunks_exact(images.stride().max(1)).filter(|image| is_blank(image)).peekable();
    let is_black = blank.peek().is_some_and(|image| image[0] == 0);
    let count = blank.count();
    if count * 2 <= len {
        return None;
    }
    let which = if count == len { format!("all {len}") } else { format!("{count} of {len}") };
    let hint = match is_black {
        true => {
            "\nTransparent pixels are put on black: pictures in black ink on transparency must be put on white first."
        }
        false => "",
    };
    Some(format!("{which} training images show nothing: each is one shade all over{hint}"))
}
