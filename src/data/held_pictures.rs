//! The pictures of a folder's or of archives' parts: in memory where they fit, else in a cache or decoded on demand.

use anyhow::Result;

use super::cached::Cached;
use super::holding::{Holding, holding};
use super::memory::MemorySize;
use super::picture_files::{PictureFiles, load};
use super::picture_place::PicturePlace;
use super::reading::Reading;
use super::summary::Original;
use super::{DataOptions, ImageSet, ImageShape, OnBytes, TargetShape};

/// Where the pictures of a part lie, and their labels, if there are any.
type Files<'a> = (&'a [PicturePlace], &'a [u32]);

/// The pictures of the three parts of a set.
pub struct HeldPictures {
    /// To train on, to validate on and to test on.
    pub parts: [ImageSet; 3],
    /// What each of the first part was before.
    pub sources: Vec<Original>,
    /// A line that says how they are held.
    pub note: String,
}

impl HeldPictures {
    /// The pictures of the parts as `target` says, held as [`holding()`] says.
    ///
    /// # Errors
    /// [`Error::Input`](crate::error::Error::Input) with the first file that cannot be decoded; of those that are decoded
    /// later, with the first whose headers cannot be read. [`Error::Storage`](crate::error::Error::Storage) where the cache
    /// cannot be written.
    pub fn read(parts: [Files; 3], target: TargetShape, options: &DataOptions, on_bytes: OnBytes) -> Result<Self> {
        let reading = &mut Reading::of(parts.map(|(files, _)| files), on_bytes);
        if target.keeps_sizes {
            Self::originals(parts, target, options, reading)
        } else {
            Self::fitted(parts, target.shape, options, reading)
        }
    }

    fn fitted(parts: [Files; 3], shape: ImageShape, options: &DataOptions, reading: &mut Reading) -> Result<Self> {
        let pictures = parts.iter().map(|(files, _)| files.len() as u64).sum::<u64>();
        let wanted = MemorySize(pictures.saturating_mul(shape.stride() as u64));
        let (holding, note) = holding(wanted, options)?;
        let mut read = |(files, labels): Files| -> Result<(ImageSet, Vec<Original>)> {
            if holding == Holding::Memory {
                return load(files, labels, shape, wanted.0, reading);
            }
            let (images, sources) = on_demand((files, labels), shape.into(), reading)?;
            Ok((held(images, &holding)?, sources))
        };
        let [train, validation, test] = parts;
        let (train, sources) = read(train)?;
        Ok(Self { parts: [train, read(validation)?.0, read(test)?.0], sources, note })
    }

    fn originals(parts: [Files; 3], target: TargetShape, options: &DataOptions, reading: &mut Reading) -> Result<Self> {
        let [train, validation, test] = parts;
        let (train, sources) = on_demand(train, target, reading)?;
        let parts = [train, on_demand(validation, target, reading)?.0, on_demand(test, target, reading)?.0];
        let (holding, note) = holding(decoded_size(&parts), options)?;
        let [train, validation, test] = parts.map(|images| held(images, &holding));
        Ok(Self { parts: [train?, validation?, test?], sources, note })
    }
}

/// What the images of these parts take where they are decoded.
pub fn decoded_size(parts: &[ImageSet; 3]) -> MemorySize {
    let bytes = |images: &ImageSet| (0..images.len()).map(|index| images.shape_of(index).stride() as u64).sum::<u64>();
    MemorySize(parts.iter().map(bytes).sum())
}

/// Images that are decoded on demand, held otherwise.
pub fn held(images: ImageSet, holding: &Holding) -> Result<ImageSet> {
    match holding {
        Holding::Memory => images.in_memory(),
        Holding::Cache(_) if images.is_empty() => Ok(images),
        Holding::Cache(directory) => Ok(images.held(Cached::new(images.source(), directory)?)),
        Holding::OnDemand => Ok(images),
    }
}

/// The pictures of a part, each decoded when it is asked for, and what each was before.
fn on_demand((files, labels): Files, target: TargetShape, reading: &mut Reading) -> Result<(ImageSet, Vec<Original>)> {
    if files.is_empty() {
        return Ok((ImageSet::empty(target.shape), Vec::new()));
    }
    let (pictures, digests) = PictureFiles::open(files.to_vec(), labels.to_vec(), reading)?;
    let sources = pictures.originals();
    Ok((ImageSet::from(pictures).of_pictures(digests).fit(target)?, sources))
}
