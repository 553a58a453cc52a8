//! Pictures to go through once, in order, each with its path and its class: of a directory, of one file, or of a data set.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use rayon::prelude::*;

use super::archives::{ArchivedPicture, Archives};
use super::folder;
use super::open::{archives_of, is_of_pictures, own_shape};
use super::picture_files::read_fitted;
use super::picture_place::PicturePlace;
use super::splits::{Folders, Split};
use super::walk::{PassedOver, Walk};
use super::{DataOptions, ImageSet, ImageShape, OnBytes, TargetShape, entries, open, parquet, picture};
use crate::error::{Error, in_a_line};

/// Pictures in the order of their paths; of archives and of a data set in the order that they have there.
///
/// Nothing is decoded before it is asked for.
pub struct Gallery {
    /// What is known of each picture without reading it.
    pub entries: Vec<GalleryEntry>,
    /// Names of the classes, sorted; of a data set in its order. Empty where there are none.
    pub classes: Vec<String>,
    /// What the user should know of how it was found, a line each.
    pub notes: Vec<String>,
    images: Place,
}

/// Which pictures of a directory are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All at any depth.
    Everything,
    /// Those that training takes: where there is a folder `train`, none beside the folders of the parts.
    Training,
}

/// A picture of a gallery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GalleryEntry {
    /// Its file, as the directory was named; of an image of a data set `NAME/train/000012`.
    pub path: String,
    /// Its class, an index into [`Gallery::classes`].
    pub class: Option<u32>,
    /// The part of the set that it belongs to; `None` where there are no parts.
    pub part: Option<Split>,
}

/// Where the pictures are.
enum Place {
    Files(Vec<PicturePlace>),
    /// The parts of a set, one after the other.
    Parts(Vec<ImageSet>),
}

impl Gallery {
    /// The pictures that `spec` names: a picture; a directory, in which the pictures at any depth are taken as `reach` says;
    /// archives of pictures, as [`open()`] finds them; or another set that [`open()`] takes.
    ///
    /// In a directory, the folder of a picture below the directory, or below its `train`, `val` or `test`, is its class;
    /// there are none where pictures lie directly there, as in [`folder::open`].
    ///
    /// # Errors
    /// [`Error::Input`] where there is no picture, and as [`open()`].
    pub fn open(spec: &str, reach: Reach, options: &DataOptions, on_bytes: OnBytes) -> Result<Self> {
        if is_of_pictures(spec)? {
            return Self::of_files(Path::new(spec), reach);
        }
        if let Some(found) = archives_of(spec)? {
            return Self::of_archives(&found, reach);
        }
        let shape = own_shape(spec);
        if shape.is_none()
            && let Some(directory) = parquet::source(Path::new(spec))?
        {
            return Self::of_parquet(spec, &directory);
        }
        let shape = shape.unwrap_or(ImageShape::COURSE); // of what is not there, which is said now
        let dataset = open(spec, options, TargetShape::originals(shape), on_bytes)?;
        let mut entries = Vec::new();
        let parts =
            [(Split::Train, dataset.train), (Split::Validation, dataset.validation), (Split::Test, dataset.test)];
        for (part, images) in &parts {
            let name = part.names()[0];
            entries.extend((0..images.len()).map(|index| GalleryEntry {
                path: format!("{}/{name}/{index:06}", dataset.name),
                class: images.label_of(index),
                part: Some(*part),
            }));
        }
        let images = Place::Parts(parts.into_iter().map(|(_, images)| images).collect());
        Ok(Self { entries, classes: dataset.classes, notes: dataset.notes, images })
    }

    fn of_archives(path: &Path, reach: Reach) -> Result<Self> {
        let Archives { mut pictures, classes, notes } = Archives::open(path)?;
        if reach == Reach::Training && pictures.iter().any(|picture| picture.part.is_some()) {
            pictures.iter_mut().for_each(|picture| picture.part = picture.part.or(Some(Split::Train)));
        }
        let mut entries = Vec::with_capacity(pictures.len());
        for ArchivedPicture { place, part, class } in &pictures {
            entries.push(GalleryEntry { path: place.path().display().to_string(), class: *class, part: *part });
        }
        let places = pictures.into_iter().map(|picture| picture.place);
        Ok(Self { entries, classes, notes, images: Place::Files(places.collect()) })
    }

    fn of_parquet(spec: &str, directory: &Path) -> Result<Self> {
        let (pictures, classes) = parquet::pictures(directory)?;
        let name = Path::new(spec).file_name().map_or(spec.into(), |name| name.to_string_lossy());
        let (mut entries, mut places) = (Vec::with_capacity(pictures.len()), Vec::with_capacity(pictures.len()));
        let mut counts = [0; 3];
        for (place, part, label) in pictures {
            let index = &mut counts[part as usize];
            let path = format!("{name}/{}/{index:06}", part.names()[0]);
            *index += 1;
            entries.push(GalleryEntry { path, class: Some(label), part: Some(part) });
            places.push(place);
        }
        Ok(Self { entries, classes, notes: Vec::new(), images: Place::Files(places) })
    }

    fn of_files(place: &Path, reach: Reach) -> Result<Self> {
        if place.is_file() {
            let entry = GalleryEntry { path: place.display().to_string(), class: None, part: None };
            let images = Place::Files(vec![PicturePlace::File(place.to_path_buf())]);
            return Ok(Self { entries: vec![entry], classes: Vec::new(), notes: Vec::new(), images });
        }
        let mut passed = PassedOver::default();
        // As training walks: part after part.
        let (parts, beside) = part_folders(place)?;
        let roots: Vec<&Path> = parts.iter().map(|(_, root)| &**root).collect();
        let mut walk = Walk::through(roots.iter().copied());
        let mut files = Vec::new();
        for root in &roots {
            files.extend(walk.pictures(root, &[], &mut passed)?);
        }
        if roots != [place] && reach == Reach::Everything {
            files.extend(walk.pictures(place, &roots, &mut passed)?);
        }
        files.sort();
        if files.is_empty() {
            let what = passed.line().map_or(String::new(), |line| format!("; {line}"));
            bail!(Error::reading(place, format!("holds no {} files{what}", picture::FORMAT_NAMES)));
        }
        let (mut roots, mut notes) = (Vec::new(), Vec::new());
        if reach == Reach::Training {
            notes.extend(beside.into_iter().map(|note| format!("{}: {note}", in_a_line(place))));
        }
        for (part, root) in &parts {
            let has_classes = folder::directly_in(root)?.is_empty();
            if has_classes {
                notes.extend(empty_classes(root, &files)?);
            }
            roots.push((*part, root, has_classes));
        }
        // Of each picture its part and the name of its class.
        let placed: Vec<(Option<Split>, Option<String>)> = files
            .iter()
            .map(|path| {
                let Some((part, root, has_classes)) = roots.iter().find(|(_, root, _)| path.starts_with(root)) else {
                    return (None, None);
                };
                let below = path.strip_prefix(root).ok().and_then(|below| below.components().next());
                (*part, below.filter(|_| *has_classes).map(|class| class.as_os_str().to_string_lossy().into_owned()))
            })
            .collect();
        let mut classes: Vec<String> = placed.iter().filter_map(|(_, class)| class.clone()).collect();
        classes.sort();
        classes.dedup();
        let index = |class: &String| classes.binary_search(class).ok().map(|index| index as u32);
        let entries = files
            .iter()
            .zip(&placed)
            .map(|(path, (part, class))| GalleryEntry {
                path: path.display().to_string(),
                class: class.as_ref().and_then(index),
                part: *part,
            })
            .collect();
        let images = Place::Files(files.into_iter().map(PicturePlace::File).collect());
        Ok(Self { entries, classes, notes: notes.into_iter().chain(passed.line()).collect(), images })
    }

    /// The number of pictures.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The class of a picture, by name.
    pub fn class_of(&self, index: usize) -> Option<&str> {
        self.classes.get(self.entries[index].class? as usize).map(String::as_str)
    }

    /// Where the file of a picture lies; `None` where it is an image of a set in other files.
    pub(super) fn file(&self, index: usize) -> Option<&PicturePlace> {
        match &self.images {
            Place::Files(files) => Some(&files[index]),
            Place::Parts(_) => None,
        }
    }

    /// The shape and the pixels of an image of a data set as the set has it. Not for pictures in files.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn original(&self, index: usize) -> Result<(ImageShape, Vec<u8>)> {
        match self.in_set(index) {
            Some((images, index)) => Ok((images.shape_of(index), images.bytes_of(index)?.into_owned())),
            None => bail!("picture {index} lies in a file of its own"),
        }
    }

    /// The pictures in `range` as `shape` wants them (see [`picture::fit_into`]: the centre is cut out, then resized),
    /// decoded on all threads. Of each that cannot be read, the error with its name.
    pub fn read(&self, range: Range<usize>, shape: ImageShape) -> Vec<Result<Vec<u8>>> {
        range.into_par_iter().map(|index| self.read_one(index, shape)).collect()
    }

    fn read_one(&self, index: usize, shape: ImageShape) -> Result<Vec<u8>> {
        match (self.file(index), self.in_set(index)) {
            (Some(place), _) => read_fitted(place, shape),
            (_, Some((images, index))) => Ok(images.fit_on_demand(shape).bytes_of(index)?.into_owned()),
            _ => bail!("there is no picture {index}"),
        }
    }

    /// The part of the set that the image lies in, and its index there.
    fn in_set(&self, index: usize) -> Option<(&ImageSet, usize)> {
        let Place::Parts(parts) = &self.images else { return None };
        let mut before = 0;
        for images in parts {
            if index < before + images.len() {
                return Some((images, index - before));
            }
            before += images.len();
        }
        None
    }
}

/// A line on the folders in `root` that hold none of `files`, which are sorted: training takes each folder for a class.
fn empty_classes(root: &Path, files: &[PathBuf]) -> Result<Option<String>> {
    let mut empty = Vec::new();
    for folder in entries(root)?.into_iter().filter(|path| path.is_dir()) {
        let first = files.partition_point(|path| *path < folder);
        if !files.get(first).is_some_and(|path| path.starts_with(&folder)) && !folder::holds_only_hidden(&folder)? {
            empty.push(folder);
        }
    }
    Ok(empty.first().map(|first| {
        let more = if empty.len() > 1 { format!(" and {} more", empty.len() - 1) } else { String::new() };
        format!("{}{more}: no picture that is not elsewhere too; to train, fill it or take it away", in_a_line(first))
    }))
}

/// A folder with its part; of a directory without parts with none.
type PartFolder = (Option<Split>, PathBuf);

/// The folders of the parts of a set in `directory`, the directory itself where it has none; and a line on what lies beside
/// them.
fn part_folders(directory: &Path) -> Result<(Vec<PartFolder>, Vec<String>)> {
    let found = Folders::find(directory)?;
    let has_others = || found.beside.iter().any(|path| path.is_dir() || picture::is_named(path));
    let mut notes = Vec::new();
    let folders = match found.train {
        Some(_) => {
            let parts = folder::parts(directory, &mut PassedOver::default())?;
            notes = parts.notes;
            parts.folders
        }
        None if has_others() => Folders::default(),
        None => found,
    };
    let parts = [(Split::Train, folders.train), (Split::Validation, folders.validation), (Split::Test, folders.test)];
    let parts: Vec<_> = parts.into_iter().filter_map(|(part, folder)| Some((Some(part), folder?))).collect();
    Ok((if parts.is_empty() { vec![(None, directory.to_path_buf())] } else { parts }, notes))
}
