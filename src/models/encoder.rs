//! The encoders: an architecture, what decides its tensors, and the network.

use std::ops::RangeInclusive;

use candle_core::{ModuleT, Result, Tensor, bail};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::resnet::{ResNet, ResNetConfig};
use super::stem::{CHANNELS, Stem};
use super::vit::{self, Vit, VitConfig};
use crate::autograd;
use crate::image_shape::ImageShape;

/// The encoders that can be trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EncoderArchitecture {
    /// Small ResNet for CPUs: nine convolutions, 256 features
    Resnet9,
    /// ResNet-18, 512 features
    Resnet18,
    /// ResNet-50, 2048 features, the course's
    Resnet50,
    /// Vision transformer of DeiT-Ti's size: 12 blocks, 192 features
    #[serde(rename = "vit-tiny")]
    VitTiny,
}

/// An architecture with its sizes.
enum Family {
    ResNet(ResNetConfig),
    Vit(VitConfig),
}

impl EncoderArchitecture {
    /// All architectures.
    pub const ALL: [Self; 4] = [Self::Resnet9, Self::Resnet18, Self::Resnet50, Self::VitTiny];

    /// Its name, as the program's flags and saved configurations have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resnet9 => "resnet9",
            Self::Resnet18 => "resnet18",
            Self::Resnet50 => "resnet50",
            Self::VitTiny => "vit-tiny",
        }
    }

    fn family(self) -> Family {
        match self {
            Self::Resnet9 => Family::ResNet(ResNetConfig::RESNET9),
            Self::Resnet18 => Family::ResNet(ResNetConfig::RESNET18),
            Self::Resnet50 => Family::ResNet(ResNetConfig::RESNET50),
            Self::VitTiny => Family::Vit(VitConfig::TINY),
        }
    }

    /// The pictures that it is pretrained on where nothing else is said.
    pub fn image_shape(self) -> ImageShape {
        ImageShape::new(32, 32, CHANNELS)
    }

    /// Whether it is a transformer, which has patches in place of a stem and a position for each of them.
    pub fn is_transformer(self) -> bool {
        matches!(self.family(), Family::Vit(_))
    }

    /// Why there is none with this stem, if there is none.
    pub fn refuses(self, stem: Stem) -> Option<&'static str> {
        match (self, stem) {
            (Self::Resnet9, Stem::Imagenet) => {
                Some("resnet9 is made for small pictures; resnet18 and resnet50 have torchvision's stem")
            }
            (Self::VitTiny, Stem::Imagenet) => Some("vit-tiny has patches in place of a stem"),
            _ => None,
        }
    }

    /// What is wrong with pictures of `side` x `side` for it, if anything.
    pub fn refuses_side(self, side: usize) -> Option<String> {
        let patch = vit::patch_of(side);
        let is_cut = self.is_transformer() && !side.is_multiple_of(patch);
        EncoderConfig::refuses(side)
            .or_else(|| is_cut.then(|| format!("expected a multiple of {patch}, the side of a patch at this size")))
    }

    /// Numbers in h, what the encoder makes of a picture.
    pub fn features(self) -> usize {
        match self.family() {
            Family::ResNet(config) => config.features(),
            Family::Vit(config) => config.width,
        }
    }
}

/// What decides an encoder's tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderConfig {
    /// Its layers.
    pub architecture: EncoderArchitecture,
    /// Its first layers, where it is a ResNet.
    pub stem: Stem,
    /// Height and width of its pictures, which decide a transformer's positions and patches. A ResNet takes others as well.
    pub side: usize,
}

/// With the small stem, for the pictures of the architecture.
impl From<EncoderArchitecture> for EncoderConfig {
    fn from(architecture: EncoderArchitecture) -> Self {
        Self { architecture, stem: Stem::Small, side: architecture.image_shape().height }
    }
}

impl EncoderConfig {
    /// Sides of the pictures that an encoder is used on, in pixels.
    const SIDES: RangeInclusive<usize> = 8..=1024;
    /// Sides from here on are for torchvision's stem, where nothing else is said.
    const LARGE: usize = 96;

    /// The encoder for pictures of `side` x `side`.
    pub fn for_pictures(architecture: EncoderArchitecture, side: usize) -> Self {
        let is_large = side >= Self::LARGE && architecture.refuses(Stem::Imagenet).is_none();
        Self { architecture, stem: if is_large { Stem::Imagenet } else { Stem::Small }, side }
    }

    /// What is wrong with pictures of `side` x `side` for any encoder, if anything.
    pub fn refuses(side: usize) -> Option<String> {
        let (least, most) = (Self::SIDES.start(), Self::SIDES.end());
        (!Self::SIDES.contains(&side)).then(|| format!("expected {least} to {most} pixels"))
    }

    /// Numbers in h, what the encoder makes of a picture.
    pub fn features(self) -> usize {
        self.architecture.features()
    }
}

/// SimCLR's f: pictures (N, H, W, 3) to features (N, D).
#[derive(Clone, Debug)]
pub enum Encoder {
    /// Convolutions.
    ResNet(ResNet),
    /// Attention.
    Vit(Box<Vit>),
}

impl Encoder {
    /// The encoder with the tensors of `vb`, which creates them where it is one for training.
    ///
    /// # Errors
    /// Where there is no such architecture with such a stem, or for such pictures.
    pub fn new(config: impl Into<EncoderConfig>, vb: VarBuilder) -> Result<Self> {
        let EncoderConfig { architecture, stem, side } = config.into();
        if let Some(reason) = architecture.refuses(stem) {
            bail!("no {} with the stem {}: {reason}", architecture.name(), stem.name());
        }
        match architecture.family() {
            Family::ResNet(config) => Ok(Self::ResNet(ResNet::new(config, stem, &vb)?)),
            Family::Vit(config) => match architecture.refuses_side(side) {
                Some(reason) => bail!("no {} for pictures of {side}x{side}: {reason}", architecture.name()),
                None => Ok(Self::Vit(Box::new(Vit::new(config, side, &vb)?))),
            },
        }
    }

    /// Features of a picture, D.
    pub fn features(&self) -> usize {
        match self {
            Self::ResNet(network) => network.features(),
            Self::Vit(network) => network.features(),
        }
    }

    /// The same for evaluation, with the batch norms, where it has any, as they are now in the weights.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn folded(&self) -> Result<Self> {
        match self {
            Self::ResNet(network) => Ok(Self::ResNet(network.folded()?)),
            Self::Vit(network) => Ok(Self::Vit(network.clone())),
        }
    }
}

impl ModuleT for Encoder {
    fn forward_t(&self, images: &Tensor, train: bool) -> Result<Tensor> {
        match self {
            // A transformer's tokens are f32 in any precision; its products round their factors.
            Self::ResNet(network) => network.forward_t(&autograd::activations(images)?, train),
            Self::Vit(network) => network.forward_t(images, train),
        }
    }
}
