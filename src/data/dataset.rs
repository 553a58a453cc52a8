//! A data set: its parts, its classes, and what is to be said of it.

use anyhow::Result;

use super::summary::{self, Original};
use super::test_part::TestPart;
use super::{ImageSet, TargetShape};

/// A data set: its name, its classes, what to train on and what to test on.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The name of the set, or of its directory.
    pub name: String,
    /// Class names in the order of the label values; empty where the source has no labels.
    pub classes: Vec<String>,
    /// The training images.
    pub train: ImageSet,
    /// The part that the set itself keeps apart for choices made during training; empty where it has none, and one is
    /// split off the training images.
    pub validation: ImageSet,
    /// Empty where the source has no test part.
    pub test: ImageSet,
    /// The part of the training images that was held out to be [`test`](Self::test), where the set brings none.
    pub held_out_to_test: Option<TestPart>,
    /// Whether the first N images are what the literature takes for N images: so of the named and the built-in sets, whose
    /// order is known to be fair. Of every other set a part is a fixed choice that holds every class in proportion.
    pub is_canonical: bool,
    /// What the user should know of how the set was read, a line each: files that were passed over, for instance.
    pub notes: Vec<String>,
    /// What is probably not as the user wants it, a line or two each: pictures that show nothing, for instance.
    pub warnings: Vec<String>,
}

impl Dataset {
    /// A set without a validation part of its own, in an order that nobody vouches for.
    pub fn new(
        name: impl Into<String>,
        classes: Vec<String>,
        train: impl Into<ImageSet>,
        test: impl Into<ImageSet>,
    ) -> Self {
        let (train, test) = (train.into(), test.into());
        let validation = train.select(&[]);
        let (name, notes, warnings) = (name.into(), Vec::new(), Vec::new());
        let (held_out_to_test, is_canonical) = (None, false);
        Self { name, classes, train, validation, test, held_out_to_test, is_canonical, notes, warnings }
    }

    /// As [`Dataset::new`], of a named or built-in set.
    pub(super) fn canonical(
        name: &str,
        classes: Vec<String>,
        train: impl Into<ImageSet>,
        test: impl Into<ImageSet>,
    ) -> Self {
        Self { is_canonical: true, ..Self::new(name, classes, train, test) }
    }

    /// All parts as `target` says; see [`ImageSet::fit`].
    pub fn fit(self, target: impl Into<TargetShape>) -> Result<Self> {
        let (target, mut notes) = (target.into(), self.notes);
        notes.extend(summary::refitted("images", &originals(&self.train), target));
        let (train, validation, test) = (self.train.fit(target)?, self.validation.fit(target)?, self.test.fit(target)?);
        Ok(Self { train, validation, test, notes, ..self })
    }
}

fn originals(images: &ImageSet) -> Vec<Original> {
    match images.uniform_shape() {
        Some(shape) => vec![Original::of(shape)],
        None => (0..images.len()).map(|index| Original::of(images.shape_of(index))).collect(),
    }
}
