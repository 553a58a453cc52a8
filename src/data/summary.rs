//! What is said of a set that was read: what became of its pictures, and whether there is anything in them.

use std::cmp::Reverse;
use std::collections::HashMap;

use anyhow::Result;
use rayon::prelude::*;

use super::{ImageSet, ImageShape, TargetShape, parts};

/// What a picture was before it was made to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Original {
    /// Pixels per row.
    pub width: u32,
    /// Rows of pixels.
    pub height: u32,
    /// Whether it has colours.
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

/// How many pictures there are to train, to validate and to test on, those to train on in so many classes.
pub fn counts([train, validation, test]: [usize; 3], classes: usize) -> String {
    let pictures = if train == 1 { "picture" } else { "pictures" };
    let mut line = match classes {
        0 => format!("{train} {pictures}, no classes"),
        1 => format!("{train} {pictures} in 1 class"),
        _ => format!("{train} {pictures} in {classes} classes"),
    };
    for (what, count) in [("validate", validation), ("test", test)] {
        if count > 0 {
            line += &format!(", {count} to {what} on");
        }
    }
    line
}

/// Sizes (width x height) and colours of `sources`, and what becomes of them for a network; `None` where they are of its
/// shape. `what` they are: pictures, images.
pub fn refitted(what: &str, sources: &[Original], target: TargetShape) -> Option<String> {
    let fitted = Original::of(target.shape);
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
    let cut = match sources.iter().any(is_cut) {
        _ if target.keeps_sizes => ", as crops of the originals",
        true => ", the largest centre of that shape",
        false => "",
    };
    Some(format!("{what} {sizes} {colours} become {} {}{cut}", fitted.size(), colour(fitted.is_colour)))
}

/// Images that are looked at where each has to be decoded for it.
const LOOKED_AT: usize = 1000;

/// What is wrong where most of the training images show nothing: each is one shade all over. Of images that are decoded on
/// demand a fixed choice, of every class in proportion, stands for all.
///
/// # Errors
/// Where an image cannot be read.
pub fn emptiness(train: &ImageSet) -> Result<Option<String>> {
    let all = train.len();
    let images = match train.contiguous() {
        None if all > LOOKED_AT => &train.select(&parts::balanced(&train.labels(), all, LOOKED_AT)),
        _ => train,
    };
    // The first value of an image that is blank.
    let blank = |index: usize| -> Result<Option<u8>> {
        let (image, channels) = (images.bytes_of(index)?, images.shape_of(index).channels);
        Ok(image.chunks_exact(channels).all(|pixel| *pixel == image[..channels]).then(|| image[0]))
    };
    let len = images.len();
    let blanks: Vec<Result<Option<u8>>> = (0..len).into_par_iter().map(blank).collect();
    let blanks: Vec<u8> = blanks.into_iter().filter_map(Result::transpose).collect::<Result<_>>()?;
    let count = blanks.len();
    if count * 2 <= len {
        return Ok(None);
    }
    let which = if count == len { format!("all {len}") } else { format!("{count} of {len}") };
    let of = if len < all { format!(" that were looked at, of {all},") } else { String::new() };
    let hint = match blanks.first() {
        Some(0) => {
            "\nTransparent pixels are put on black: pictures in black ink on transparency must be put on white first."
        }
        _ => "",
    };
    Ok(Some(format!("{which} training images{of} show nothing: each is one shade all over{hint}")))
}
