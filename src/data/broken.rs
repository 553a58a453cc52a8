//! A set without the pictures in it that cannot be decoded.

use anyhow::{Result, bail};
use rayon::prelude::*;

use super::picture_files::is_whole;
use super::picture_place::PicturePlace;
use crate::error::{Error, legible};

/// Broken pictures that are named.
const NAMED: usize = 5;

/// Takes the pictures out of the parts of a set, the training part first, that cannot be decoded, with their labels where
/// there are labels. What is to be said of them; `None` where all are whole.
///
/// [`Error::Input`] where no picture is left to train on.
pub fn without_broken(parts: [(&mut Vec<PicturePlace>, &mut Vec<u32>); 3]) -> Result<Option<String>> {
    let mut broken = Vec::new();
    for (place, (files, labels)) in parts.into_iter().enumerate() {
        let are_whole: Vec<bool> = files.par_iter().map(is_whole).collect();
        let mut kept = are_whole.iter();
        labels.retain(|_| kept.next() == Some(&true));
        let mut whole = Vec::with_capacity(files.len());
        for (place, is_whole) in files.drain(..).zip(are_whole) {
            if is_whole { whole.push(place) } else { broken.push(place) }
        }
        *files = whole;
        if let (0, true, Some(first)) = (place, files.is_empty(), broken.first()) {
            let others = broken.len() - 1;
            bail!(Error::reading(&first.path(), format!("cannot be decoded, nor can the {others} others to train on")));
        }
    }
    let names = broken.iter().take(NAMED).map(|place| place.path().display().to_string());
    Ok(left_out(broken.len(), names))
}

/// What is to be said of `count` pictures that are left out, some of which are called `names`.
pub fn left_out(count: usize, names: impl IntoIterator<Item = String>) -> Option<String> {
    let mut names: Vec<String> = names.into_iter().take(NAMED).collect();
    names.extend((count > NAMED).then(|| "...".to_string()));
    let what = match count {
        0 => return None,
        1 => "1 picture cannot be decoded and is left out".to_string(),
        count => format!("{count} pictures cannot be decoded and are left out"),
    };
    Some(legible(&format!("{what}: {}", names.join(", "))))
}
