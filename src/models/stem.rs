//! The first layers of an encoder, and what its layers are called.

use candle_core::{ModuleT, Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::layers::{BatchNorm, Conv2d, Conv2dConfig, Initialisation, Normalised};
use crate::ops::{self, Activation};

/// Red, green and blue.
pub(super) const CHANNELS: usize = 3;

/// The first layers of an encoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// A 3x3 convolution, for small images
    #[default]
    Small,
    /// A 7x7 convolution of stride 2, then a max-pool of stride 2: torchvision's
    Imagenet,
}

impl Stem {
    /// Its name, as the program's flags and saved configurations have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Imagenet => "imagenet",
        }
    }

    /// Whether it is the small one, of which files do not speak.
    #[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
    pub(super) fn is_small(&self) -> bool {
        *self == Self::Small
    }

    /// The names of the layers in an encoder of this stem: convolution, batch norm, four stages. With the small one those
    /// of `nn.Sequential(conv1, bn1, relu, layer1, layer2, layer3, layer4)`, else torchvision's own.
    pub fn layer_names(self) -> [&'static str; 6] {
        match self {
            Self::Small => ["0", "1", "3", "4", "5", "6"],
            Self::Imagenet => ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4"],
        }
    }
}

/// A stem's layers: images (N, H, W, 3) to (N, H', W', width).
#[derive(Clone, Debug)]
pub(super) struct StemLayers {
    stem: Stem,
    convolution: Normalised<Conv2d>,
}

impl StemLayers {
    pub(super) fn new(stem: Stem, width: usize, vb: &VarBuilder) -> Result<Self> {
        let (kernel, config) = match stem {
            // It is put in place of torchvision's after that has been initialised, so it has PyTorch's default.
            Stem::Small => (3, Conv2dConfig { padding: 1, bias: false, ..Default::default() }),
            Stem::Imagenet => {
                let initialisation = Initialisation::KaimingNormalFanOut;
                (7, Conv2dConfig { stride: 2, padding: 3, bias: false, initialisation, ..Default::default() })
            }
        };
        let [conv, norm, ..] = stem.layer_names();
        let convolution = Normalised::new(
            Conv2d::new(CHANNELS, width, kernel, config, vb.pp(conv))?,
            BatchNorm::new(width, Activation::Relu, vb.pp(norm))?,
        );
        Ok(Self { stem, convolution })
    }

    pub(super) fn folded(&self) -> Result<Self> {
        Ok(Self { stem: self.stem, convolution: self.convolution.folded()? })
    }
}

impl ModuleT for StemLayers {
    fn forward_t(&self, images: &Tensor, train: bool) -> Result<Tensor> {
        let x = self.convolution.forward_t(images, train)?; // (N, H, W, width), or half as high and wide
        match self.stem {
            Stem::Small => Ok(x),
            Stem::Imagenet => ops::max_pool2d(&x, 3, 2, 1, Activation::Identity), // (N, H / 4, W / 4, width)
        }
    }
}
