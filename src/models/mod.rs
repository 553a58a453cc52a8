//! The networks of the CS231n assignments and a vision transformer, one file each. Tensor names are the indices of the
//! assignments' `nn.Sequential` lists, of the transformer timm's. Models know no loss and no data.
//!
//! Those of the GANs take images (N, H, W, C) in [-1, 1] and latents (N, Z), those of SimCLR pictures (N, H, W, 3),
//! normalised. The shape of the images is an argument; networks whose layers are sized for one shape refuse others. The
//! digit classifier and Inception V3, which are of no assignment, score generators.

mod dcgan;
mod description;
mod digit_classifier;
mod encoder;
mod inception;
mod mlp;
mod network_kind;
mod radford;
mod resnet;
mod simclr;
mod stem;
mod vit;

use candle_core::{ModuleT, Result, Tensor, bail};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

pub use crate::normalisation::Normalisation;
pub use dcgan::{DcganDiscriminator, DcganGenerator};
pub use description::NetworkDescription;
pub use digit_classifier::{CLASSES, DigitClassifier, FEATURES};
pub use encoder::{Encoder, EncoderArchitecture, EncoderConfig};
pub use inception::InceptionV3;
pub use mlp::{MlpDiscriminator, MlpGenerator};
pub use network_kind::NetworkKind;
pub use radford::{RadfordDiscriminator, RadfordGenerator};
pub use resnet::ResNet;
pub use simclr::{ProjectionHead, ProjectionHeadConfig, linear_classifier};
pub use stem::Stem;
pub use vit::Vit;

use crate::image_shape::ImageShape;
use crate::layers::SpectralNorm;

/// An error where a network that is sized for `expected` is asked for with another shape.
fn require(network: &str, expected: ImageShape, shape: ImageShape) -> Result<()> {
    if shape != expected {
        bail!("{network} is for images of {expected}, not {shape}");
    }
    Ok(())
}

/// The pairs of networks that can be trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// Fully connected networks, non-saturating loss
    Vanilla,
    /// The same networks, least-squares loss
    Lsgan,
    /// Convolutional networks with batch norm: the course's at 28x28 grey, those of Radford et al. (1511.06434) elsewhere
    Dcgan,
}

impl Architecture {
    /// All architectures.
    pub const ALL: [Self; 3] = [Self::Vanilla, Self::Lsgan, Self::Dcgan];

    /// Its name, as the program's flags and saved configurations have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vanilla => "vanilla",
            Self::Lsgan => "lsgan",
            Self::Dcgan => "dcgan",
        }
    }

    /// The images that it is trained on where nothing else is said: MNIST's, 28x28 grey.
    pub fn image_shape(self) -> ImageShape {
        ImageShape::COURSE
    }

    /// Whether its networks for images of `shape` are those of Radford et al.: `dcgan`'s, but at 28x28x1.
    pub fn is_radford(self, shape: ImageShape) -> bool {
        self == Self::Dcgan && shape != ImageShape::COURSE
    }

    /// Whether batch norms are among the layers.
    pub fn has_batch_norm(self) -> bool {
        match self {
            Self::Vanilla | Self::Lsgan => false,
            Self::Dcgan => true,
        }
    }

    /// # Errors
    /// Where it has no networks for images of `shape`, with those that it has some for.
    pub fn check(self, shape: ImageShape) -> Result<()> {
        if self.is_radford(shape) { radford::blocks(shape).map(drop) } else { Ok(()) }
    }
}

/// Scores of images: (N, H, W, C) to (N, 1), without a sigmoid.
///
/// That of a conditional GAN scores an image as one of a class: "is this a real 7?" It takes the classes one-hot, (N, K),
/// beside the images: the fully connected one with the pixels, those of `dcgan` by a projection.
#[derive(Clone, Debug)]
pub struct Discriminator {
    network: DiscriminatorNetwork,
    /// 0 of one that is not conditional.
    classes: usize,
}

#[derive(Clone, Debug)]
enum DiscriminatorNetwork {
    /// Of `vanilla` and `lsgan`.
    Mlp(MlpDiscriminator),
    /// Of `dcgan` at 28x28x1.
    Dcgan(DcganDiscriminator),
    /// Of `dcgan` elsewhere.
    Radford(RadfordDiscriminator),
}

impl Discriminator {
    /// An error where the architecture is not for images of `shape`.
    pub fn new(architecture: Architecture, shape: ImageShape, vb: VarBuilder) -> Result<Self> {
        Self::conditional(architecture, shape, 0, vb)
    }

    /// One of images of `classes` classes; 0 makes it the same as [`new`](Self::new). Errors as there.
    pub fn conditional(architecture: Architecture, shape: ImageShape, classes: usize, vb: VarBuilder) -> Result<Self> {
        Self::with(architecture, shape, classes, false, vb)
    }

    /// One of `classes` classes, or of none, whose weights are divided by their largest singular values if `spectral_norm`
    /// says so. Errors as there.
    pub fn with(
        architecture: Architecture,
        shape: ImageShape,
        classes: usize,
        spectral_norm: bool,
        vb: VarBuilder,
    ) -> Result<Self> {
        use DiscriminatorNetwork::{Dcgan, Mlp, Radford};
        let network = match architecture {
            Architecture::Vanilla | Architecture::Lsgan => {
                Mlp(MlpDiscriminator::new(shape, classes, spectral_norm, vb)?)
            }
            Architecture::Dcgan if architecture.is_radford(shape) => {
                Radford(RadfordDiscriminator::new(shape, classes, spectral_norm, vb)?)
            }
            Architecture::Dcgan => Dcgan(DcganDiscriminator::new(shape, classes, spectral_norm, vb)?),
        };
        Ok(Self { network, classes })
    }

    /// So many steps of power iteration for the singular values of its weights, where they are normalised. Training makes one
    /// before each of its steps.
    pub fn iterate_singular_vectors(&self, steps: usize) -> Result<()> {
        let norms: Vec<&SpectralNorm> = match &self.network {
            DiscriminatorNetwork::Mlp(network) => network.spectral_norms().collect(),
            DiscriminatorNetwork::Dcgan(network) => network.spectral_norms().collect(),
            DiscriminatorNetwork::Radford(network) => network.spectral_norms().collect(),
        };
        norms.into_iter().try_for_each(|norm| norm.iterate(steps))
    }

    /// Whether the score of an image depends on its batch in training: by batch norm.
    pub fn looks_across_images(&self) -> bool {
        matches!(self.network, DiscriminatorNetwork::Radford(_))
    }

    /// Scores (N, 1) of images (N, H, W, C), as ones of their one-hot `classes`, (N, K).
    ///
    /// # Errors
    /// Where a conditional discriminator gets no classes, or another one gets some.
    pub fn scores(&self, images: &Tensor, classes: Option<&Tensor>, train: bool) -> Result<Tensor> {
        let found = classes.map_or(Ok(0), |classes| classes.dim(1))?;
        if found != self.classes {
            bail!("a discriminator of {} classes got images of {found}", self.classes);
        }
        match &self.network {
            DiscriminatorNetwork::Mlp(network) => network.scores(images, classes),
            DiscriminatorNetwork::Dcgan(network) => network.scores(images, classes),
            DiscriminatorNetwork::Radford(network) => network.scores(images, classes, train),
        }
    }
}

/// The scores of a discriminator that is not conditional.
impl ModuleT for Discriminator {
    fn forward_t(&self, images: &Tensor, train: bool) -> Result<Tensor> {
        self.scores(images, None, train)
    }
}

/// Images from latents: (N, Z) to (N, H, W, C) in (-1, 1).
///
/// That of a conditional GAN takes each latent with the one-hot class of the image behind it (Mirza and Osindero,
/// 1411.1784): to the network they are latents of Z + K values.
#[derive(Clone, Debug)]
pub enum Generator {
    /// Of `vanilla` and `lsgan`.
    Mlp(MlpGenerator),
    /// Of `dcgan` at 28x28x1.
    Dcgan(Box<DcganGenerator>),
    /// Of `dcgan` elsewhere.
    Radford(RadfordGenerator),
}

impl Generator {
    /// An error where the architecture is not for images of `shape`.
    pub fn new(architecture: Architecture, latent_dim: usize, shape: ImageShape, vb: VarBuilder) -> Result<Self> {
        Ok(match architecture {
            Architecture::Vanilla | Architecture::Lsgan => Self::Mlp(MlpGenerator::new(latent_dim, shape, vb)?),
            Architecture::Dcgan if architecture.is_radford(shape) => {
                Self::Radford(RadfordGenerator::new(latent_dim, shape, vb)?)
            }
            Architecture::Dcgan => Self::Dcgan(Box::new(DcganGenerator::new(latent_dim, shape, vb)?)),
        })
    }

    /// Of the images that it draws.
    pub fn image_shape(&self) -> ImageShape {
        match self {
            Self::Mlp(network) => network.image_shape(),
            Self::Dcgan(_) => ImageShape::COURSE,
            Self::Radford(network) => network.image_shape(),
        }
    }

    /// The same for evaluation, with the batch norms as they are now in the weights, as far as they can be.
    pub fn folded(&self) -> Result<Self> {
        match self {
            Self::Mlp(network) => Ok(Self::Mlp(network.clone())),
            Self::Dcgan(network) => Ok(Self::Dcgan(Box::new(network.folded()?))),
            Self::Radford(network) => Ok(Self::Radford(network.folded()?)),
        }
    }
}

impl ModuleT for Generator {
    fn forward_t(&self, latents: &Tensor, train: bool) -> Result<Tensor> {
        match self {
            Self::Mlp(network) => network.forward_t(latents, train),
            Self::Dcgan(network) => network.forward_t(latents, train),
            Self::Radford(network) => network.forward_t(latents, train),
        }
    }
}
