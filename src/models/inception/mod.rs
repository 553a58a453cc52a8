//! Inception V3 (Szegedy et al., 1512.00567) as the Fréchet Inception distance takes it: the network of
//! `inception-2015-12-05` that pytorch-fid and torch-fidelity run. It differs from torchvision's in that means of pixels
//! leave out the padding, in that the last block takes maxima, and in its 1,008 classes.
//!
//! It is for evaluation: batch norms are folded into the convolutions when it is built.

mod basic_conv;
mod block;

use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;

use crate::ops::{self, Activation};
use crate::params::{Parameters, Signature};
use basic_conv::BasicConv;
use block::{Block, Pool};

/// The network. Tensor names are torchvision's.
#[derive(Clone, Debug)]
pub struct InceptionV3 {
    stem: Vec<BasicConv>,
    blocks: Vec<Block>,
    classes: Tensor, // (1008, 2048)
}

impl InceptionV3 {
    /// Height and width of its images.
    pub const SIDE: usize = 299;
    /// Numbers that it makes of an image.
    pub const FEATURES: usize = 2048;
    /// Classes that it tells apart.
    pub const CLASSES: usize = 1008;

    /// The network of these tensors: `Conv2d_1a_3x3.conv.weight` to `fc.weight`.
    pub fn new(vb: VarBuilder) -> Result<Self> {
        let stem = [
            ("Conv2d_1a_3x3", 3, 32, (3, 2, 0)),
            ("Conv2d_2a_3x3", 32, 32, (3, 1, 0)),
            ("Conv2d_2b_3x3", 32, 64, (3, 1, 1)),
            ("Conv2d_3b_1x1", 64, 80, (1, 1, 0)),
            ("Conv2d_4a_3x3", 80, 192, (3, 1, 0)),
        ];
        let stem = stem.map(|(name, inputs, outputs, window)| BasicConv::square(inputs, outputs, window, vb.pp(name)));
        let blocks = vec![
            Block::a(192, 32, vb.pp("Mixed_5b"))?,
            Block::a(256, 64, vb.pp("Mixed_5c"))?,
            Block::a(288, 64, vb.pp("Mixed_5d"))?,
            Block::b(288, vb.pp("Mixed_6a"))?,
            Block::c(768, 128, vb.pp("Mixed_6b"))?,
            Block::c(768, 160, vb.pp("Mixed_6c"))?,
            Block::c(768, 160, vb.pp("Mixed_6d"))?,
            Block::c(768, 192, vb.pp("Mixed_6e"))?,
            Block::d(768, vb.pp("Mixed_7a"))?,
            Block::e(1280, Pool::Mean, vb.pp("Mixed_7b"))?,
            Block::e(2048, Pool::Max, vb.pp("Mixed_7c"))?,
        ];
        let classes = vb.pp("fc").get((Self::CLASSES, Self::FEATURES), "weight")?.detach();
        Ok(Self { stem: stem.into_iter().collect::<Result<_>>()?, blocks, classes })
    }

    /// Names, shapes and dtypes of its tensors.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn signature() -> Result<Signature> {
        let parameters = Parameters::undrawn("inception", &Device::Cpu);
        Self::new(parameters.builder())?;
        Ok(parameters.signature())
    }

    /// Images (N, 299, 299, 3) from -1 to 1 to features (N, 2048), those of the last pooling, none below 0.
    pub fn features(&self, images: &Tensor) -> Result<Tensor> {
        let largest = |x: &Tensor| ops::max_pool2d(x, 3, 2, 0, Activation::Identity);
        let mut x = images.clone();
        for (index, layer) in self.stem.iter().enumerate() {
            x = layer.forward(&x)?;
            if matches!(index, 2 | 4) {
                x = largest(&x)?; // (N, 73, 73, 64), (N, 35, 35, 192)
            }
        }
        for block in &self.blocks {
            x = block.forward(&x)?; // (N, 35, 35, 288), (N, 17, 17, 768), (N, 8, 8, 2048)
        }
        ops::mean_pool2d(&x) // (N, 2048)
    }

    /// Features (N, 2048) to scores of the classes (N, 1008) without a bias: what the Inception score is made of.
    pub fn scores(&self, features: &Tensor) -> Result<Tensor> {
        ops::linear(features, &self.classes, None, Activation::Identity)
    }
}
