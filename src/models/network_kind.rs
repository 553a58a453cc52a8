//! The kinds of networks: what each does, and the sizes that its shape of images does not tell.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Architecture, EncoderArchitecture, Stem};
use crate::latent_space::LatentDistribution;
use crate::normalisation::Normalisation;

/// The kind of a network, with the sizes that its shape of images does not tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(missing_docs)] // of the fields, whose names say what they are
pub enum NetworkKind {
    /// Images from latents.
    Generator {
        architecture: Architecture,
        latent_dim: usize,
        /// Uniform where nothing is said.
        #[serde(default, skip_serializing_if = "LatentDistribution::is_uniform")]
        latents: LatentDistribution,
        /// Of a conditional one, in the order of the one-hot values.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        class_names: Vec<String>,
    },
    /// Scores of images.
    Discriminator {
        architecture: Architecture,
        /// As the generator's.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        class_names: Vec<String>,
        /// Whether its weights are divided by their largest singular values.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        spectral_norm: bool,
    },
    /// Features of pictures.
    Encoder {
        architecture: EncoderArchitecture,
        #[serde(default, skip_serializing_if = "Stem::is_small")]
        stem: Stem,
    },
    /// SimCLR's embeddings of features of the encoder.
    ProjectionHead { architecture: EncoderArchitecture, hidden: usize, embedding: usize },
    /// An encoder with a linear classifier on it.
    Classifier {
        architecture: EncoderArchitecture,
        #[serde(default, skip_serializing_if = "Stem::is_small")]
        stem: Stem,
        classes: usize,
        /// In the order of the scores; older files have none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        names: Vec<String>,
    },
    /// What generators are scored by.
    DigitClassifier { classes: usize },
}

impl NetworkKind {
    /// Whether it is SimCLR's, of pictures in red, green and blue.
    pub(super) fn is_of_pictures(&self) -> bool {
        matches!(self, Self::Encoder { .. } | Self::ProjectionHead { .. } | Self::Classifier { .. })
    }

    pub(super) fn normalisation(&self, channels: usize) -> Normalisation {
        if self.is_of_pictures() { Normalisation::cifar10() } else { Normalisation::symmetric(channels) }
    }
}

/// For people: "a resnet9 encoder".
impl fmt::Display for NetworkKind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Generator { architecture, class_names, .. } => {
                let article = if *architecture == Architecture::Lsgan { "an" } else { "a" };
                write!(f, "{article} {} generator", architecture.name())?;
                match class_names.len() {
                    0 => Ok(()),
                    classes => write!(f, " of {classes} classes"),
                }
            }
            Self::Discriminator { architecture, .. } => write!(f, "the discriminator of {}", architecture.name()),
            Self::Encoder { architecture, .. } => write!(f, "a {} encoder", architecture.name()),
            Self::ProjectionHead { architecture, .. } => write!(f, "the projection head of {}", architecture.name()),
            Self::Classifier { architecture, classes, .. } => {
                write!(f, "a {} encoder with a classifier of {classes} classes", architecture.name())
            }
            Self::DigitClassifier { .. } => write!(f, "a digit classifier"),
        }
    }
}
