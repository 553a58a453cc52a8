//! Residual networks (He et al., 1512.03385): torchvision's without the last linear layer. For small pictures the 7x7
//! stride-2 stem is replaced by a 3x3 stride-1 one and the max-pool left out, as SimCLR does for CIFAR-10 (Chen et al.,
//! 2002.05709, appendix B.9).
//!
//! Tensor names are those of [`Stem::layer_names`]: with the small stem those of `nn.Sequential(conv1, bn1, relu, layer1,
//! layer2, layer3, layer4, avgpool)`, `0` the stem, `1` its batch norm, `3` to `6` the stages; else torchvision's own.
//! Within the stages they are torchvision's.

use candle_core::{ModuleT, Result, Tensor};
use candle_nn::VarBuilder;

use super::stem::{Stem, StemLayers};
use crate::layers::{BatchNorm, Conv2d, Conv2dConfig, Initialisation, Normalised};
use crate::ops::{self, Activation};

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

/// A ResNet's sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResNetConfig {
    kind: BlockKind,
    /// Blocks of each stage.
    blocks: [usize; 4],
    /// Of the stem and of the first stage; each further stage is twice as wide as the one before.
    width: usize,
}

impl ResNetConfig {
    pub const RESNET9: Self = Self { kind: BlockKind::Basic, blocks: [1, 1, 1, 1], width: 32 };
    pub const RESNET18: Self = Self { kind: BlockKind::Basic, blocks: [2, 2, 2, 2], width: 64 };
    pub const RESNET50: Self = Self { kind: BlockKind::Bottleneck, blocks: [3, 4, 6, 3], width: 64 };

    /// Numbers in h, what the encoder makes of a picture.
    pub fn features(self) -> usize {
        8 * self.width * self.kind.expansion()
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

/// A ResNet of pictures (N, H, W, 3), in the type of the step's activations: features (N, D).
#[derive(Clone, Debug)]
pub struct ResNet {
    stem: StemLayers,
    blocks: Vec<Block>,
    features: usize,
}

impl ResNet {
    pub(super) fn new(config: ResNetConfig, stem: Stem, vb: &VarBuilder) -> Result<Self> {
        let ResNetConfig { kind, blocks: counts, width: stem_width } = config;
        let layers = StemLayers::new(stem, stem_width, vb)?;
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
        Ok(Self { stem: layers, blocks, features: inputs })
    }

    /// Features of a picture, D.
    pub(super) fn features(&self) -> usize {
        self.features
    }

    /// The same for evaluation, with the batch norms as they are now in the weights.
    pub(super) fn folded(&self) -> Result<Self> {
        let blocks = self.blocks.iter().map(Block::folded).collect::<Result<_>>()?;
        Ok(Self { stem: self.stem.folded()?, blocks, features: self.features })
    }
}

impl ModuleT for ResNet {
    fn forward_t(&self, images: &Tensor, train: bool) -> Result<Tensor> {
        let mut x = self.stem.forward_t(images, train)?; // (N, H, W, width), or a quarter of both sides
        for block in &self.blocks {
            x = block.forward_t(&x, train)?; // to an eighth of both sides, D
        }
        ops::mean_pool2d(&x) // (N, D)
    }
}
