//! Which statistics of pixels an encoder's images are normalised by.

use serde::{Deserialize, Serialize};

use crate::data::{ImageSource, augment};
use crate::normalisation::Normalisation;

/// Where the mean and the standard deviation of red, green and blue come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Normalise {
    /// CIFAR-10's, as the course has them
    #[default]
    Cifar10,
    /// ImageNet's, as torchvision's networks expect them
    Imagenet,
    /// Those of the training images
    Measured,
}

impl Normalise {
    /// The statistics, for training on `images`.
    ///
    /// # Errors
    /// Where an image that is measured cannot be read.
    pub fn of(self, images: &dyn ImageSource) -> anyhow::Result<Normalisation> {
        self.known().map_or_else(|| augment::measure(images), Ok)
    }

    /// The statistics that need no images; `None` where they are measured.
    pub fn known(self) -> Option<Normalisation> {
        match self {
            Self::Cifar10 => Some(Normalisation::cifar10()),
            Self::Imagenet => Some(Normalisation::imagenet()),
            Self::Measured => None,
        }
    }
}
