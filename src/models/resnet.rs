//! Residual networks (He et al., 1512.03385): torchvision's without the last linear layer. For small pictures the 7x7
//! stride-2 stem is replaced by a 3x3 stride-1 one and the max-pool left out, as SimCLR does for CIFAR-10 (Chen et al.,
//! 2002.05709, appendix B.9).
//!
//! Tensor names are those of [`Stem::layer_names`]: with the small stem those of `nn.Sequential(conv1, bn1, relu, layer1,
//! layer2, layer3, layer4, avgpool)`, `0` the stem, `1` its batch norm, `3` to `6` the stages; else torchvision's own.
//! Within the stages they are torchvision's.

use std::ops::RangeInclusive;

use crate::autograd;
use candle_core::{ModuleT, Result, Tensor, bail};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::stem::{CHANNELS, Stem, StemLayers};
use crate::image_shape::ImageShape;
use crate::layers::{BatchNorm, Conv2d, Conv2dConfig, Initialisation, Normalised};
use crate::ops::{self, Activation};

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
}

/// What a stage is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BlockKind {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3, 1x1, the last four times as wide; the stride is on the 3x3, as in torchvision.
    Bottleneck,
}

impl BlockKind {
    fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

impl EncoderArchitecture {
    /// All architectures.
    pub const ALL: [Self; 3] = [Self::Resnet9, Self::Resnet18, Self::Resnet50];

    /// Its name, as the program's flags and saved configurations have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resnet9 => "resnet9",
            Self::Resnet18 => "resnet18",
            Self::Resnet50 => "resnet50",
        }
    }

    /// The kind of block, how many of them each stage has, and the width of the stem and of the first stage; each
    /// further stage is twice as wide as the one before.
    fn plan(self) -> (BlockKind, [usize; 4], usize) {
        match self {
            Self::Resnet9 => (BlockKind::Basic, [1, 1, 1, 1], 32),
            Self::Resnet18 => (BlockKind::Basic, [2, 2, 2, 2], 64),
            Self::Resnet50 => (BlockKind::Bottleneck, [3, 4, 6, 3], 64),
        }
    }

    /// The pictures that it is pretrained on where nothing else is said.
    pub fn image_shape(self) -> ImageShape {
        ImageShape::new(32, 32, CHANNELS)
    }

    /// Why there is none with this stem, if there is none.
    pub fn refuses(self, stem: Stem) -> Option<&'static str> {
        match (self, stem) {
            (Self::Resnet9, Stem::Imagenet) => {
                Some("resnet9 is made for small pictures; resnet18 and resnet50 have torchvision's stem")
            }
            _ => None,
        }
    }

    /// Numbers in h, what the encoder makes of a picture.
    pub fn features(self) -> usize {
        let (kind, _, width) = self.plan();
        8 * width * kind.expansion()
    }
}

/// What decides an encoder's tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderConfig {
    /// Its stages.
    pub architecture: EncoderArchitecture,
    /// Its first layers.
    pub stem: Stem,
}

/// With the small stem.
impl From<EncoderArchitecture> for EncoderConfig {
    fn from(architecture: EncoderArchitecture) -> Self {
        Self { architecture, stem: Stem::Small }
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
        Self { architecture, stem: if is_large { Stem::Imagenet } else { Stem::Small } }
    }

    /// What is wrong with pictures of `side` x `side`, if anything.
    pub fn refuses(side: usize) -> Option<String> {
        let (least, most) = (Self::SIDES.start(), Self::SIDES.end());
        (!Self::SIDES.contains(&side)).then(|| format!("expected {least} to {most} pixels"))
    }

    /// Numbers in h, what the encoder makes of a picture.
    pub fn features(self) -> usize {
        self.architecture.features()
    }
}

/// A convolution of a block: no bias, since a batch norm follows; padded so that only the stride makes it smaller.
fn convolution(inputs: usize, outputs: usize, kernel: usize, stride: usize, vb: VarBuilder) -> Result<Conv2d> {
    let config = Conv2dConfig {
        stride,
        padding: kernel / 2,
        bias: false,
        initialisation: Initialisation::KaimingNormalFanOut,
        ..Default::default()
    };
    Conv2d::new(inputs, outputs, kernel, config, vb)
}

/// torchvision's `BasicBlock` or `Bottleneck`: convolutions beside a shortcut, added, then ReLU.
#[derive(Clone, Debug)]
struct Block {
    layers: Vec<Normalised<Conv2d>>,
    /// A strided 1x1 convolution where the shape changes.
    downsample: Option<Normalised<Conv2d>>,
}

impl Block {
    fn new(kind: BlockKind, inputs: usize, width: usize, stride: usize, vb: VarBuilder) -> Result<Self> {
        let outputs = width * kind.expansion();
        // Inputs, outputs, kernel and stride of each convolution.
        let plan: &[(usize, usize, usize, usize)] = match kind {
            BlockKind::Basic => &[(inputs, width, 3, stride), (width, width, 3, 1)],
            BlockKind::Bottleneck => &[(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)],
        };
        let mut layers = Vec::new();
        for (index, &(inputs, outputs, kernel, stride)) in plan.iter().enumerate() {
            // The last one's ReLU comes after the shortcut is added.
            let activation = if index + 1 == plan.len() { Activation::Identity } else { Activation::Relu };
            let conv = convolution(inputs, outputs, kernel, stride, vb.pp(format!("conv{}", index + 1)))?;
            let norm = BatchNorm::new(outputs, activation, vb.pp(format!("bn{}", index + 1)))?;
            layers.push(Normalised::new(conv, norm));
        }
        let downsample = match stride != 1 || inputs != outputs {
            true => Some(Normalised::new(
                convolution(inputs, outputs, 1, stride, vb.pp("downsample.0"))?,
                BatchNorm::new(outputs, Activation::Identity, vb.pp("downsample.1"))?,
            )),
            false => None,
        };
        Ok(Self { layers, downsample })
    }

    fn folded(&self) -> Result<Self> {
        Ok(Self {
            layers: self.layers.iter().map(Normalised::folded).collect::<Result<_>>()?,
            downsample: self.downsample.as_ref().map(Normalised::folded).transpose()?,
        })
    }
}

impl ModuleT for Block {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let mut y = x.clone();
        for layer in &self.layers {
            y = layer.forward_t(&y, train)?;
        }
        match &self.downsample {
            Some(downsample) => ops::add_relu(&y, &downsample.forward_t(x, train)?),
            None => ops::add_relu(&y, x),
        }
    }
}

/// SimCLR's f: pictures (N, H, W, 3) to features (N, D).
#[derive(Clone, Debug)]
pub struct Encoder {
    stem: StemLayers,
    blocks: Vec<Block>,
}

impl Encoder {
    /// The encoder with the tensors of `vb`, which creates them where it is one for training.
    ///
    /// # Errors
    /// Where there is no such architecture with such a stem.
    pub fn new(config: impl Into<EncoderConfig>, vb: VarBuilder) -> Result<Self> {
        let EncoderConfig { architecture, stem } = config.into();
        if let Some(reason) = architecture.refuses(stem) {
            bail!("no {} with the stem {}: {reason}", architecture.name(), stem.name());
        }
        let (kind, counts, stem_width) = architecture.plan();
        let layers = StemLayers::new(stem, stem_width, &vb)?;
        let [.., first, second, third, fourth] = stem.layer_names();
        let names = [first, second, third, fourth];
        let mut blocks = Vec::new();
        let mut inputs = stem_width;
        for (stage, (count, name)) in counts.into_iter().zip(names).enumerate() {
            let width = stem_width << stage;
            for index in 0..count {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                blocks.push(Block::new(kind, inputs, width, stride, vb.pp(name).pp(index))?);
                inputs = width * kind.expansion();
            }
        }
        Ok(Self { stem: layers, blocks })
    }

    /// The same for evaluation, with the batch norms as they are now in the weights.
    pub fn folded(&self) -> Result<Self> {
        let blocks = self.blocks.iter().map(Block::folded).collect::<Result<_>>()?;
        Ok(Self { stem: self.stem.folded()?, blocks })
    }
}

impl ModuleT for Encoder {
    fn forward_t(&self, images: &Tensor, train: bool) -> Result<Tensor> {
        let mut x = self.stem.forward_t(&autograd::activations(images)?, train)?; // (N, H, W, width), or a quarter of both sides
        for block in &self.blocks {
            x = block.forward_t(&x, train)?; // to an eighth of both sides, D
        }
        ops::mean_pool2d(&x) // (N, D)
    }
}
