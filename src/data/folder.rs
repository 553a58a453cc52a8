//! A directory of pictures: one folder a class, or flat.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use rayon::prelude::*;

use super::{Dataset, ImageShape, Images, MAX_CLASSES, entries, picture, room};
use crate::error::Failure;

/// PNG and JPEG files with the class of each.
struct Listing {
    /// Folder names in order; empty for a flat directory.
    classes: Vec<String>,
    files: Vec<PathBuf>,
    /// Empty for a flat directory.
    labels: Vec<u32>,
}

/// The set in `directory`, in `shape` (see [`picture::fit_into`]: the centre is cut out, then resized).
///
/// Where it has a folder `train`, that is the training part, and `test`, if it is there, the test part; otherwise all
/// is for training. A part holds either one folder a class (labelled in the order of their names) or the pictures
/// themselves (no labels). Files are taken in the order of their names; hidden ones and those that do not end in
/// `.png`, `.jpg` or `.jpeg` are passed over.
///
/// [`Failure::Input`] where there is no picture, a class has none, there are more than [`MAX_CLASSES`], or a picture
/// cannot be decoded.
pub fn open(directory: &Path, shape: ImageShape) -> Result<Dataset> {
    let (train, test) = (directory.join("train"), directory.join("test"));
    let (train, test) =
        if train.is_dir() { (train, Some(test).filter(|path| path.is_dir())) } else { (directory.to_path_buf(), None) };
    let train = list(&train)?;
    let test = match test {
        Some(path) => Some(matched(list(&path)?, &train.classes, &path)?),
        None => None,
    };
    let test = match test {
        Some(listing) => load(&listing, shape)?,
        None => Images::empty(shape),
    };
    let images = load(&train, shape)?;
    Ok(Dataset::new("", train.classes, images, test))
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    ["png", "jpg", "jpeg"].iter().any(|known| extension == *known) && path.is_file()
}

fn pictures(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = entries(directory)?;
    paths.retain(|path| is_picture(path));
    Ok(paths)
}

fn list(directory: &Path) -> Result<Listing> {
    let fail = |text: &str| Failure::Input(format!("{}: {text}", directory.display()));
    let mut folders = entries(directory)?;
    folders.retain(|path| path.is_dir());
    let files = pictures(directory)?;
    if !files.is_empty() {
        // Previews and the like may lie beside class folders; pictures in both places may mean either.
        for folder in &folders {
            if !pictures(folder)?.is_empty() {
                let name = folder.file_name().unwrap_or_default().to_string_lossy();
                let text = format!("pictures both here and in {name}/; use one folder a class, or no folders");
                bail!(fail(&text));
            }
        }
        return Ok(Listing { classes: Vec::new(), files, labels: Vec::new() });
    }
    if folders.is_empty() {
        bail!(fail(
            "holds no data\nExpected are IDX files (MNIST's names), CIFAR-10's binary batches or their .tar.gz, the Hub's \
             parquet files, or PNG and JPEG files, flat or in one folder a class."
        ));
    }
    if folders.len() > MAX_CLASSES as usize {
        bail!(fail(&format!("{} folders, one a class; at most {MAX_CLASSES} classes are taken", folders.len())));
    }
    let mut listing = Listing { classes: Vec::new(), files: Vec::new(), labels: Vec::new() };
    for (label, folder) in folders.iter().enumerate() {
        let files = pictures(folder)?;
        if files.is_empty() {
            bail!(Failure::Input(format!(
                "{}: a folder without PNG or JPEG files, where each folder is a class; fill it or take it away",
                folder.display()
            )));
        }
        listing.classes.push(folder.file_name().unwrap_or_default().to_string_lossy().into_owned());
        listing.labels.resize(listing.labels.len() + files.len(), label as u32);
        listing.files.extend(files);
    }
    Ok(listing)
}

/// A test listing with the labels of the training part, which may have classes that the test part lacks.
fn matched(test: Listing, classes: &[String], directory: &Path) -> Result<Listing> {
    let mut label_of = Vec::with_capacity(test.classes.len());
    for class in &test.classes {
        match classes.iter().position(|known| known == class) {
            Some(label) => label_of.push(label as u32),
            None => bail!(Failure::Input(format!(
                "{}: a class that the training part does not have; it has: {}",
                directory.join(class).display(),
                if classes.is_empty() { "none".to_string() } else { classes.join(", ") }
            ))),
        }
    }
    let labels = test.labels.iter().map(|label| label_of[*label as usize]).collect();
    Ok(Listing { labels, ..test })
}

fn load(listing: &Listing, shape: ImageShape) -> Result<Images> {
    let mut pixels = room(listing.files.len(), shape)?;
    // Every file is tried, so that the one that is named is the first damaged one in order, on any number of threads.
    let outcomes: Vec<Result<()>> = pixels
        .par_chunks_mut(shape.stride())
        .zip(&listing.files)
        .map(|(pixels, path)| load_one(path, shape, pixels))
        .collect();
    outcomes.into_iter().collect::<Result<()>>()?;
    Ok(Images { pixels, labels: listing.labels.clone(), ..Images::empty(shape) })
}

fn load_one(path: &Path, shape: ImageShape, pixels: &mut [u8]) -> Result<()> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(picture::MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| Failure::reading(path, error))?;
    if bytes.len() as u64 > picture::MAX_BYTES {
        bail!(Failure::reading(path, "longer than the 256 MiB that are read for one picture"));
    }
    let image = picture::decode(&bytes)
        .map_err(|error| Failure::reading(path, format!("cannot be decoded: {error}; mend it or take it away")))?;
    picture::fit_into(image, shape, pixels)
}
