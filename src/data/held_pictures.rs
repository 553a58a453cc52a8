//! The pictures of a folder's or of archives' parts: in memory where they fit, else decoded on demand.

use anyhow::Result;

use super::memory::MemorySize;
use super::picture_files::{PictureFiles, load};
use super::picture_place::PicturePlace;
use super::summary::Original;
use super::{ImageSet, ImageShape, TargetShape};

/// Where the pictures of a part lie, and their labels, if there are any.
type Files<'a> = (&'a [PicturePlace], &'a [u32]);

/// The pictures of the three parts of a set.
pub struct HeldPictures {
    /// To train on, to validate on and to test on.
    pub parts: [ImageSet; 3],
    /// What each of the first part was before.
    pub sources: Vec<Original>,
    /// The memory that all of them take; they are in it if it is no more than was allowed.
    pub wanted: MemorySize,
}

impl HeldPictures {
    /// The pictures of the parts as `target` says, in memory if they take no more than `memory`.
    ///
    /// # Errors
    /// [`Error::Input`](crate::error::Error::Input) with the first file that cannot be decoded; of those that are decoded
    /// later, with the first whose headers cannot be read.
    pub fn read(parts: [Files; 3], target: TargetShape, memory: MemorySize) -> Result<Self> {
        if target.keeps_sizes {
            Self::originals(parts, target, memory)
        } else {
            Self::fitted(parts, target.shape, memory)
        }
    }

    fn fitted(parts: [Files; 3], shape: ImageShape, memory: MemorySize) -> Result<Self> {
        let pictures = parts.iter().map(|(files, _)| files.len() as u64).sum::<u64>();
        let wanted = MemorySize(pictures.saturating_mul(shape.stride() as u64));
        let read = |(files, labels): Files| -> Result<(ImageSet, Vec<Original>)> {
            if wanted.0 > memory.0 {
                return on_demand((files, labels), shape.into());
            }
            let (images, sources) = load(files, labels, shape, memory.0)?;
            Ok((images.into(), sources))
        };
        let [train, validation, test] = parts;
        let (train, sources) = read(train)?;
        Ok(Self { parts: [train, read(validation)?.0, read(test)?.0], sources, wanted })
    }

    fn originals(parts: [Files; 3], target: TargetShape, memory: MemorySize) -> Result<Self> {
        let [train, validation, test] = parts;
        let (train, sources) = on_demand(train, target)?;
        let parts = [train, on_demand(validation, target)?.0, on_demand(test, target)?.0];
        let bytes =
            |images: &ImageSet| -> u64 { (0..images.len()).map(|index| images.shape_of(index).stride() as u64).sum() };
        let wanted = MemorySize(parts.iter().map(bytes).sum());
        if wanted.0 > memory.0 {
            return Ok(Self { parts, sources, wanted });
        }
        let [train, validation, test] = &parts;
        Ok(Self { parts: [train.in_memory()?, validation.in_memory()?, test.in_memory()?], sources, wanted })
    }
}

/// The pictures of a part, each decoded when it is asked for, and what each was before.
fn on_demand((files, labels): Files, target: TargetShape) -> Result<(ImageSet, Vec<Original>)> {
    if files.is_empty() {
        return Ok((ImageSet::empty(target.shape), Vec::new()));
    }
    let pictures = PictureFiles::open(files.to_vec(), labels.to_vec())?;
    let sources = pictures.originals();
    Ok((ImageSet::from(pictures).fit(target)?, sources))
}
