//! What is in a gallery: sizes, colours, formats, classes, pictures that are broken or there twice.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use anyhow::Result;
use rayon::prelude::*;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::gallery::Gallery;
use super::picture_files::read_with_format;
use super::splits::Split;
use super::{picture, summary::Original};
use crate::error;

/// What a picture is.
#[derive(Clone, Debug)]
struct Facts {
    original: Original,
    has_alpha: bool,
    /// The name of its format; `None` of an image of a data set.
    format: Option<&'static str>,
    /// Of shape and pixels, as training sees them.
    content: [u8; 32],
}

/// What is in a gallery.
#[derive(Clone, Debug, Serialize)]
pub struct Census {
    /// Each part of the set that has pictures.
    pub parts: Vec<PartCensus>,
    /// Pictures that cannot be decoded, in the order of the gallery.
    pub broken: Vec<BrokenPicture>,
    /// Sets of pictures of the same shape and pixels, in whatever format.
    pub duplicates: Vec<Duplicates>,
    /// Indices of the pictures that can be decoded.
    #[serde(skip)]
    pub whole: Vec<usize>,
}

/// The pictures of one part.
#[derive(Clone, Debug, Serialize)]
pub struct PartCensus {
    /// `train`, `val` or `test`; `all` of a set without parts.
    pub part: &'static str,
    /// Those that can be decoded.
    pub pictures: usize,
    /// By their area; `None` where there is no whole picture.
    pub sizes: Option<Sizes>,
    /// Pictures of each format; empty of a set that is not in files of pictures.
    pub formats: BTreeMap<&'static str, usize>,
    /// Pictures of each class that the set has.
    pub classes: BTreeMap<String, usize>,
    /// Pictures of no class.
    pub unclassified: usize,
    /// Pictures whose every pixel is grey.
    pub grey: usize,
    /// Others.
    pub colour: usize,
    /// Pictures with transparency, grey or in colour.
    pub alpha: usize,
}

/// Sizes of pictures.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sizes {
    /// Of the fewest pixels.
    pub smallest: Size,
    /// As many are smaller as are larger.
    pub median: Size,
    /// Of the most pixels.
    pub largest: Size,
}

/// Width and height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u32, pub u32);

/// `640x480`.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}x{}", self.0, self.1)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [self.0, self.1].serialize(serializer)
    }
}

/// A picture that cannot be decoded.
#[derive(Clone, Debug, Serialize)]
pub struct BrokenPicture {
    /// Its path.
    pub path: String,
    /// What is wrong.
    pub problem: String,
}

/// Pictures of the same content.
#[derive(Clone, Debug, Serialize)]
pub struct Duplicates {
    /// Their paths, in the order of the gallery.
    pub paths: Vec<String>,
    /// Whether they are in more than one part of the set.
    pub across_parts: bool,
}

/// Pictures between two calls of `proceed`.
const BATCH: usize = 256;

impl Census {
    /// Looks at every picture, on all threads. `proceed` is asked now and then with the number of pictures done, and ends
    /// the work (`None`) where it says no.
    pub fn of(gallery: &Gallery, mut proceed: impl FnMut(usize) -> bool) -> Option<Self> {
        let mut found = Vec::with_capacity(gallery.len());
        for start in (0..gallery.len()).step_by(BATCH) {
            let end = (start + BATCH).min(gallery.len());
            found.par_extend((start..end).into_par_iter().map(|index| facts(gallery, index)));
            if !proceed(end) {
                return None;
            }
        }
        let (mut whole, mut broken) = (Vec::new(), Vec::new());
        for (index, facts) in found.into_iter().enumerate() {
            match facts {
                Ok(facts) => whole.push((index, facts)),
                Err(error) => {
                    let path = gallery.entries[index].path.clone();
                    let problem = error::text(&error);
                    let problem = problem.strip_prefix(&format!("{path}: ")).unwrap_or(&problem).to_string();
                    broken.push(BrokenPicture { path, problem });
                }
            }
        }
        let parts = [None, Some(Split::Train), Some(Split::Validation), Some(Split::Test)];
        let parts = parts.iter().filter_map(|part| PartCensus::of(gallery, *part, &whole)).collect();
        let duplicates = duplicates(gallery, &whole);
        Some(Self { parts, broken, duplicates, whole: whole.into_iter().map(|(index, _)| index).collect() })
    }
}

impl PartCensus {
    fn of(gallery: &Gallery, part: Option<Split>, whole: &[(usize, Facts)]) -> Option<Self> {
        let in_part = |index: usize| gallery.entries[index].part == part;
        let mut classes: BTreeMap<String, usize> = BTreeMap::new();
        let mut unclassified = 0;
        let of_part: Vec<&Facts> = whole
            .iter()
            .filter(|(index, _)| in_part(*index))
            .map(|(index, facts)| {
                match gallery.class_of(*index) {
                    Some(class) => *classes.entry(class.to_string()).or_default() += 1,
                    None => unclassified += 1,
                }
                facts
            })
            .collect();
        if of_part.is_empty() {
            return None;
        }
        let mut formats = BTreeMap::new();
        of_part.iter().filter_map(|facts| facts.format).for_each(|format| *formats.entry(format).or_default() += 1);
        let mut sizes: Vec<Size> =
            of_part.iter().map(|facts| Size(facts.original.width, facts.original.height)).collect();
        sizes.sort_by_key(|size| (u64::from(size.0) * u64::from(size.1), size.0));
        let sizes = sizes.first().zip(sizes.last()).map(|(smallest, largest)| Sizes {
            smallest: *smallest,
            median: sizes[sizes.len() / 2],
            largest: *largest,
        });
        let colour = of_part.iter().filter(|facts| facts.original.is_colour).count();
        Some(Self {
            part: part.map_or("all", |part| part.names()[0]),
            pictures: of_part.len(),
            sizes,
            formats,
            classes,
            unclassified,
            grey: of_part.len() - colour,
            colour,
            alpha: of_part.iter().filter(|facts| facts.has_alpha).count(),
        })
    }
}

fn facts(gallery: &Gallery, index: usize) -> Result<Facts> {
    let (original, has_alpha, format, (shape, pixels)) = match gallery.file(index) {
        Some(place) => {
            let (image, format) = read_with_format(place)?;
            (picture::original(&image), image.color().has_alpha(), Some(format), picture::to_pixels(image))
        }
        None => {
            let (shape, pixels) = gallery.original(index)?;
            let image = picture::from_pixels(pixels.clone(), shape)?;
            (picture::original(&image), false, None, (shape, pixels))
        }
    };
    let mut hasher = Sha256::new();
    hasher.update(shape.to_string());
    hasher.update(&pixels);
    Ok(Facts { original, has_alpha, format, content: hasher.finalize().into() })
}

fn duplicates(gallery: &Gallery, whole: &[(usize, Facts)]) -> Vec<Duplicates> {
    let mut places: HashMap<[u8; 32], Vec<usize>> = HashMap::new();
    whole.iter().for_each(|(index, facts)| places.entry(facts.content).or_default().push(*index));
    let mut repeated: Vec<Vec<usize>> = places.into_values().filter(|places| places.len() > 1).collect();
    repeated.sort();
    let duplicates = repeated.into_iter().map(|places| Duplicates {
        across_parts: places.iter().any(|index| gallery.entries[*index].part != gallery.entries[places[0]].part),
        paths: places.iter().map(|index| gallery.entries[*index].path.clone()).collect(),
    });
    duplicates.collect()
}
