//! A directory of pictures: one folder a class, or flat.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::broken::without_broken;
use super::held_pictures::HeldPictures;
use super::open::readable;
use super::picture_files::{PictureFiles, load};
use super::picture_place::PicturePlace;
use super::reading::Reading;
use super::walk;
use super::{
    DataOptions, Dataset, ImageSet, ImageShape, Images, MAX_CLASSES, MAX_PIXELS, OnBytes, TargetShape, archives, cifar,
    entries, idx, parquet, picture,
};
use crate::data::splits::Folders;
use crate::data::summary::{counts, refitted};
use crate::data::walk::{PassedOver, Walk};
use crate::error::{Error, in_a_line, legible};

/// Pictures with the class of each.
#[derive(Default)]
struct Listing {
    /// The folders of the classes in order; empty for a flat directory.
    classes: Vec<PathBuf>,
    files: Vec<PicturePlace>,
    /// Empty for a flat directory.
    labels: Vec<u32>,
}

/// The set in `directory`, in `target`'s shape (see [`picture::fit_into`]: the centre is cut out, then resized).
///
/// Where it has a folder `train`, that is the training part; `val` and `test`, if they are there, are the other two (see
/// [`Split::names`](super::splits::Split::names)). Otherwise all is for training. Where pictures lie directly in a part,
/// all below it are taken, at any depth, without labels. Otherwise each folder in it is a class, labelled in the order of
/// their names, to which all pictures below it belong. Within a class they are in the order of their paths. Hidden files
/// are passed over, and those that are not [named](picture::is_named) as pictures.
///
/// Where all parts together take no more than [`DataOptions::memory`], they are decoded now; else each picture when it is
/// used first, and then read from a cache; or else whenever it is used ([`holding()`](super::holding::holding)). That gives
/// the same bytes. `on_bytes` is told of what is read now.
///
/// [`Error::Input`] where there is no picture, a class has none, there are more than [`MAX_CLASSES`], or a picture
/// cannot be decoded; of those that are decoded later, where its headers cannot be read.
pub fn open(directory: &Path, target: TargetShape, options: &DataOptions, on_bytes: OnBytes) -> Result<Dataset> {
    let mut passed = PassedOver::default();
    let Parts { folders: Folders { train, validation, test, .. }, mut notes } = parts(directory, &mut passed)?;
    let train_folder = train.unwrap_or_else(|| directory.to_path_buf());
    let folders = [Some(&train_folder), validation.as_ref(), test.as_ref()];
    let mut walk = Walk::through(folders.into_iter().flatten().map(|folder| &**folder));
    let train = list(&train_folder, &mut walk, &mut passed)?;
    let mut warnings: Vec<String> = wrapper(&train_folder, &train).into_iter().collect();
    let mut other = |folder: Option<PathBuf>| match folder {
        Some(folder) => matched(list(&folder, &mut walk, &mut passed)?, &train, &folder),
        None => Ok(Listing::default()),
    };
    let (mut validation, mut test) = (other(validation)?, other(test)?);
    if validation.classes.is_empty() != train.classes.is_empty() && !validation.files.is_empty() {
        warnings
            .push(format!("{} pictures to validate on are passed over: they have no classes", validation.files.len()));
        validation = Listing::default();
    }
    let mut train = train;
    if options.skip_broken {
        let parts = [&mut train, &mut validation, &mut test];
        warnings.extend(without_broken(parts.map(|part| (&mut part.files, &mut part.labels)))?);
    }
    let parts = [&train, &validation, &test].map(|part| (&part.files[..], &part.labels[..]));
    let HeldPictures { parts: [train_images, validation_images, test_images], sources, note } =
        HeldPictures::read(parts, target, options, on_bytes)?;

    notes.insert(0, counts([&train, &validation, &test].map(|part| part.files.len()), train.classes.len()));
    if train.classes.is_empty() && train.files.iter().any(|place| place.path().parent() != Some(&train_folder)) {
        notes.push("pictures lie directly in the directory, so that the folders in it are no classes".into());
    }
    notes.extend(refitted("pictures", &sources, target));
    notes.push(note);
    notes.extend(passed.line());
    let of = legible(&directory.display().to_string());
    let notes = notes.into_iter().map(|note| format!("{of}: {note}")).collect();
    let warnings = warnings.into_iter().map(|warning| format!("{of}: {warning}")).collect();
    let dataset = Dataset::new("", train.classes.iter().map(|path| name(path)).collect(), train_images, test_images);
    Ok(Dataset { validation: validation_images, notes, warnings, ..dataset })
}

/// All pictures below `directory`, at any depth, in the order of their paths, in `shape`, without labels; and what the user
/// should know of them, a line each.
///
/// [`Error::Input`] where there is no picture, or one cannot be decoded.
pub fn open_all(directory: &Path, shape: ImageShape) -> Result<(Images, Vec<String>)> {
    let (files, passed) = all(directory)?;
    let reading = &mut Reading::of([&files, &[], &[]], &|_, _, _| ());
    let (images, sources) = load(&files, &[], shape, MAX_PIXELS, reading)?;
    Ok((images.to_images()?, refitted("pictures", &sources, shape.into()).into_iter().chain(passed).collect()))
}

/// The same in colour and in their own sizes, each decoded when it is asked for. [`Error::Input`] where there is none, or
/// one is none by its headers.
pub fn open_originals(directory: &Path) -> Result<(ImageSet, Vec<String>)> {
    let (files, passed) = all(directory)?;
    let reading = &mut Reading::of([&files, &[], &[]], &|_, _, _| ());
    let (pictures, _) = PictureFiles::open(files, Vec::new(), reading)?;
    let colour = TargetShape::originals(ImageShape { channels: 3, ..ImageShape::COURSE });
    Ok((ImageSet::from(pictures).fit(colour)?, passed.into_iter().collect()))
}

/// All pictures below `directory`, at least one, and what was passed over.
fn all(directory: &Path) -> Result<(Vec<PicturePlace>, Option<String>)> {
    let mut passed = PassedOver::default();
    let files: Vec<_> = walk::pictures(directory, &mut passed)?.into_iter().map(PicturePlace::File).collect();
    if files.is_empty() {
        let what = passed.line().map_or(String::new(), |line| format!("; {line}"));
        bail!(Error::reading(directory, format!("holds no {} files{what}", picture::FORMAT_NAMES)));
    }
    Ok((files, passed.line()))
}

/// `directory` where there are pictures in a folder of it, or in a folder of that. They may lie deeper, which takes longer
/// to find out.
pub fn source(directory: &Path) -> Result<Option<PathBuf>> {
    let has_pictures = |folder: &PathBuf| directly_in(folder).is_ok_and(|pictures| !pictures.is_empty());
    let folders_in = |folder: &Path| -> Result<Vec<PathBuf>> {
        Ok(entries(folder)?.into_iter().filter(|path| path.is_dir()).collect())
    };
    let folders = folders_in(directory)?;
    let deeper = || folders.iter().flat_map(|folder| folders_in(folder).unwrap_or_default());
    let found = folders.iter().any(has_pictures) || deeper().any(|folder| has_pictures(&folder));
    Ok(found.then(|| directory.to_path_buf()))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Which folders are for what.
pub(super) struct Parts {
    /// Without one to train on, the directory itself is.
    pub(super) folders: Folders,
    pub(super) notes: Vec<String>,
}

/// The folders of `directory` that are for parts. [`Error::Input`] where there are some and none to train on.
pub(super) fn parts(directory: &Path, passed: &mut PassedOver) -> Result<Parts> {
    let folders = Folders::find(directory)?;
    let Some(train) = &folders.train else {
        let only = [&folders.validation, &folders.test].into_iter().flatten().next();
        if let Some(only) = only.filter(|_| !folders.beside.iter().any(|path| path.is_dir() || picture::is_named(path)))
        {
            let (directory, beside) = (in_a_line(directory), legible(&name(only)));
            let problem = format!("{directory}: no folder train/ beside {beside}/; to train on what is there, name it");
            bail!(Error::DataElsewhere { problem, meant: only.clone() });
        }
        return Ok(Parts { folders: Folders::default(), notes: Vec::new() });
    };
    let mut beside = Vec::new();
    for path in &folders.beside {
        if path.is_dir() && walk::has_pictures(path)? || picture::is_named(path) {
            beside.push(legible(&name(path)) + if path.is_dir() { "/" } else { "" });
        }
    }
    // A class may be called so too: trains beside buses.
    let is_alone = folders.validation.is_none() && folders.test.is_none();
    if is_alone && beside.iter().any(|name| name.ends_with('/')) && !directly_in(train)?.is_empty() {
        return Ok(Parts { folders: Folders::default(), notes: Vec::new() });
    }
    folders
        .beside
        .iter()
        .filter(|path| !path.is_dir() && !picture::is_named(path))
        .for_each(|path| passed.add_file(path));
    let mut notes = Vec::new();
    if let Some(first) = beside.first() {
        let more = if beside.len() > 1 { format!(" and {} more", beside.len() - 1) } else { String::new() };
        notes.push(format!("{first}{more} passed over: beside {}/ only val/ and test/ are looked into", name(train)));
    }
    Ok(Parts { folders, notes })
}

/// The pictures directly in `directory`.
pub(super) fn directly_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = entries(directory)?;
    paths.retain(|path| picture::is_named(path) && path.is_file());
    Ok(paths)
}

fn list(directory: &Path, walk: &mut Walk, passed: &mut PassedOver) -> Result<Listing> {
    let fail = |text: String| Error::Input(format!("{}: {text}", in_a_line(directory)));
    let is_flat = !directly_in(directory)?.is_empty();
    let mut folders = entries(directory)?;
    folders.retain(|path| path.is_dir());
    if !is_flat && folders.len() > MAX_CLASSES as usize {
        bail!(fail(format!("{} folders, one a class; at most {MAX_CLASSES} classes are taken", folders.len())));
    }
    let pictures = walk.pictures(directory, &[], passed)?;
    if is_flat {
        return Ok(Listing { files: pictures.into_iter().map(PicturePlace::File).collect(), ..Listing::default() });
    }
    let mut listing = Listing::default();
    let mut pictures = pictures.into_iter().peekable(); // sorted, as the folders are
    for folder in folders {
        let before = listing.files.len();
        while let Some(path) = pictures.next_if(|path| path.starts_with(&folder)) {
            listing.files.push(PicturePlace::File(path));
        }
        if listing.files.len() == before {
            match holds_only_hidden(&folder)? {
                true => continue,
                false => bail!(without_pictures(&folder)?),
            }
        }
        listing.labels.resize(listing.files.len(), listing.classes.len() as u32);
        listing.classes.push(folder);
    }
    if listing.files.is_empty() {
        let mut what = passed.line().map_or(String::new(), |line| format!(": {line}"));
        if entries(directory)?.iter().any(|path| archives::is_named(path)) {
            what += "; the parts of a set are either all folders or all archives: unpack it, or pack the other parts";
        }
        if entries(directory)?.iter().any(|path| is_compressed_tar(path)) {
            what += "; tar files cannot be read in place where all of one is compressed: unpack them to .tar";
        }
        bail!(fail(format!("holds no data{what}\nExpected are {}.", readable())));
    }
    Ok(listing)
}

/// Whether it is a tar file by its name, all of which is compressed.
pub(super) fn is_compressed_tar(path: &Path) -> bool {
    let name = name(path).to_lowercase();
    [".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst"].iter().any(|ending| name.ends_with(ending))
}

/// So are folders of locks and of settings: no class, and not meant as one.
pub(super) fn holds_only_hidden(folder: &Path) -> Result<bool> {
    let mut all = std::fs::read_dir(folder).map_err(|error| Error::reading(folder, error))?;
    Ok(all.next().is_some() && entries(folder)?.is_empty())
}

/// Of a class without pictures, where something else may be meant.
fn without_pictures(folder: &Path) -> Result<Error> {
    let (path, mut passed) = (in_a_line(folder), PassedOver::default());
    if !walk::pictures(folder, &mut passed)?.is_empty() {
        let text = format!("{path}: a folder that was read already, by a link in another place; take one away");
        return Ok(Error::Input(text));
    }
    let kind = match idx::source(folder)?.is_some() {
        true => Some("IDX files"),
        false if cifar::find(folder)?.is_some() => Some("CIFAR-10's batches"),
        false => parquet::source(folder)?.map(|_| "parquet files"),
    };
    let text = match (kind, passed.line()) {
        (Some(kind), _) => {
            let problem = format!("{path}: holds {kind}, where its place is that of a class of pictures; name it");
            return Ok(Error::DataElsewhere { problem, meant: folder.into() });
        }
        (None, Some(line)) => format!(
            "{path}: a folder without pictures, where each folder is a class; fill it or take it away ({line}; pictures are \
             {} files)",
            picture::FORMAT_NAMES
        ),
        (None, None) => {
            format!("{path}: a folder without pictures, where each folder is a class; fill it or take it away")
        }
    };
    Ok(Error::Input(text))
}

/// What is probably meant where the one class holds folders and nothing else: an archive that was unpacked into a folder
/// of its own.
fn wrapper(directory: &Path, listing: &Listing) -> Option<String> {
    let [class] = &listing.classes[..] else { return None };
    let folder = |place: &PicturePlace| place.path().parent().map(Path::to_path_buf);
    let mut folders: Vec<PathBuf> = listing.files.iter().filter_map(folder).collect();
    folders.dedup();
    let is_inside = folders.len() > 1 && folders.iter().all(|folder| folder != class);
    is_inside.then(|| {
        format!(
            "all pictures are of one class, {}, the one folder there; if the folders in it are the classes, name it: {}",
            legible(&name(class)),
            in_a_line(&directory.join(name(class)))
        )
    })
}

/// The listing of another part with the labels of the training part, which may have classes that the other lacks.
fn matched(part: Listing, train: &Listing, directory: &Path) -> Result<Listing> {
    let mut label_of = Vec::with_capacity(part.classes.len());
    for class in &part.classes {
        match train.classes.iter().position(|known| known.file_name() == class.file_name()) {
            Some(label) => label_of.push(label as u32),
            None => {
                const SHOWN: usize = 10;
                let mut known: Vec<String> =
                    train.classes.iter().take(SHOWN).map(|path| legible(&name(path))).collect();
                if train.classes.len() > SHOWN {
                    known.push(format!("... ({} in all)", train.classes.len()));
                }
                bail!(Error::Input(format!(
                    "{}: a class that the training part does not have; it has: {}",
                    in_a_line(&directory.join(name(class))),
                    if known.is_empty() { "none".to_string() } else { known.join(", ") }
                )))
            }
        }
    }
    let labels = part.labels.iter().map(|label| label_of[*label as usize]).collect();
    Ok(Listing { labels, ..part })
}
