//! The networks of the CS231n assignments, one file each. Tensor names are the indices of the assignments'
//! `nn.Sequential` lists. Models know no loss and no data.
//!
//! Those of the GANs take images (N, 28, 28, 1) in [-1, 1] and latents (N, Z), those of SimCLR pictures (N, 32, 32, 3).
//! The digit classifier, which is of no assignment, judges generators.

mod dcgan;
mod digit_classifier;
mod mlp;
mod resnet;
mod simclr;

use candle_core::{ModuleT, Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

pub use dcgan::{DcganDiscriminator, DcganGenerator};
pub use digit_classifier::{CLASSES, DigitClassifier, FEATURES};
pub use mlp::{MlpDiscriminator, MlpGenerator};
pub use resnet::{Encoder, EncoderArchitecture};
pub use simclr::{EMBEDDING, ProjectionHead, linear_classifier};

/// Height and width of the images of every GAN here.
pub const IMAGE_SIZE: usize = 28;

/// Values an image: what an MLP sees.
const PIXELS: usize = IMAGE_SIZE * IMAGE_SIZE;

/// The pairs of networks that can be trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// Fully connected networks, trained with the non-saturating loss
    Vanilla,
    /// The same networks, trained with the least-squares loss
    Lsgan,
    /// Convolutional networks with batch norm
    Dcgan,
}

impl Architecture {
    pub const ALL: [Self; 3] = [Self::Vanilla, Self::Lsgan, Self::Dcgan];

    pub fn name(self) -> &'static str {
        match self {
            Self::Vanilla => "vanilla",
            Self::Lsgan => "lsgan",
            Self::Dcgan => "dcgan",
        }
    }
}

/// Scores of images: (N, 28, 28, 1) to (N, 1), without a sigmoid.
#[derive(Clone, Debug)]
pub enum Discriminator {
    Mlp(MlpDiscriminator),
    Dcgan(DcganDiscriminator),
}

impl Discriminator {
    pub fn new(architecture: Architecture, vb: VarBuilder) -> Result<Self> {
        Ok(match architecture {
            Architecture::Vanilla | Architecture::Lsgan => Self::Mlp(MlpDiscriminator::new(vb)?),
            Architecture::Dcgan => Self::Dcgan(DcganDiscriminator::new(vb)?),
        })
    }
}

impl ModuleT for Discriminator {
    fn forward_t(&self, images: &Tensor, train: bool) -> Result<Tensor> {
        match self {
            Self::Mlp(network) => network.forward_t(images, train),
            Self::Dcgan(network) => network.forward_t(images, train),
        }
    }
}

/// Images from latents: (N, Z) to (N, 28, 28, 1) in (-1, 1).
#[derive(Clone, Debug)]
pub enum Generator {
    Mlp(MlpGenerator),
    Dcgan(Box<DcganGenerator>),
}

impl Generator {
    pub fn new(architecture: Architecture, latent_dim: usize, vb: VarBuilder) -> Result<Self> {
        Ok(match architecture {
            Architecture::Vanilla | Architecture::Lsgan => Self::Mlp(MlpGenerator::new(latent_dim, vb)?),
            Architecture::Dcgan => Self::Dcgan(Box::new(DcganGenerator::new(latent_dim, vb)?)),
        })
    }
}

impl ModuleT for Generator {
    fn forward_t(&self, latents: &Tensor, train: bool) -> Result<Tensor> {
        match self {
            Self::Mlp(network) => network.forward_t(latents, train),
            Self::Dcgan(network) => network.forward_t(latents, train),
        }
    }
}
