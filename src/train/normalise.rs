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
        match self {
            Self::Cifar10 => Ok(Normalisation::cifar10()),
            Self::Imagenet => Ok(Normalisation::imagenet()),
            Self::Measured => augment::measure(images),
        }
    }
}
