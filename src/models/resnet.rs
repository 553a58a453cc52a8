//! Residual networks for small pictures (He et al., 1512.03385): torchvision's, with the 7x7 stride-2 stem replaced by
//! a 3x3 stride-1 one and the max-pool and the last linear layer left out, as SimCLR does for CIFAR-10 (Chen et al.,
//! 2002.05709, appendix B.9).
//!
//! Tensor names are those of `nn.Sequential(conv1, bn1, relu, layer1, layer2, layer3, layer4, avgpool)`: `0` the stem,
//! `1` its batch norm, `3` to `6` the stages, with torchvision's names within.

use crate::autograd;
use candle_core::{ModuleT, Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

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

/// Red, green and blue: the stem's inputs.
const CHANNELS: usize = 3;

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

    /// The pictures that it is pretrained on. It takes any height and width.
    pub fn image_shape(self) -> ImageShape {
        ImageShape::new(32, 32, CHANNELS)
    }

    /// Numbers in h, what the encoder makes of a picture.
    pub fn features(self) -> usize {
        let (kind, _, width) = self.plan();
        8 * width * kind.expansion()
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
    stem: Normalised<Conv2d>,
    blocks: Vec<Block>,
}

impl Encoder {
    /// The encoder with the tensors of `vb`, which creates them where it is one for training.
    pub fn new(architecture: EncoderArchitecture, vb: VarBuilder) -> Result<Self> {
        let (kind, counts, stem_width) = architecture.plan();
        // The stem is put in place of torchvision's after that has been initialised, so it has PyTorch's default.
        let config = Conv2dConfig { padding: 1, bias: false, ..Default::default() };
        let stem = Normalised::new(
            Conv2d::new(CHANNELS, stem_width, 3, config, vb.pp(0))?,
            BatchNorm::new(stem_width, Activation::Relu, vb.pp(1))?,
        );
        let mut blocks = Vec::new();
        let mut inputs = stem_width;
        for (stage, count) in counts.into_iter().enumerate() {
            let width = stem_width << stage;
            for index in 0..count {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                blocks.push(Block::new(kind, inputs, width, stride, vb.pp(3 + stage).pp(index))?);
                inputs = width * kind.expansion();
            }
        }
        Ok(Self { stem, blocks })
    }

    /// The same for evaluation, with the batch norms as they are now in the weights.
    pub fn folded(&self) -> Result<Self> {
        let blocks = self.blocks.iter().map(Block::folded).collect::<Result<_>>()?;
        Ok(Self { stem: self.stem.folded()?, blocks })
    }
}

impl ModuleT for Encoder {
    fn forward_t(&self, images: &Tensor, train: bool) -> Result<Tensor> {
        let mut x = self.stem.forward_t(&autograd::activations(images)?, train)?; // (N, H, W, width)
        for block in &self.blocks {
            x = block.forward_t(&x, train)?; // to (N, H / 8, W / 8, D)
        }
        ops::mean_pool2d(&x) // (N, D)
    }
}
