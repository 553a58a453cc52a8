//! Vision transformers (Dosovitskiy et al., 2010.11929) of DeiT's sizes (Touvron et al., 2012.12877), under timm's names:
//! `cls_token`, `pos_embed`, `patch_embed.proj`, `blocks.N`, `norm`. What timm's `head` would see are the features.
//!
//! Patches are 4x4 pixels below 64x64 pictures, 8x8 below 128x128, else 16x16, as DeiT's at 224x224: 32x32, 64x64 and
//! 128x128 have 64 of them each, 224x224 has 196.

use candle_core::{Module, ModuleT, Result, Tensor};
use candle_nn::{Init, VarBuilder};

use super::stem::CHANNELS;
use crate::autograd::{add, reshape};
use crate::layers::{Conv2d, Conv2dConfig, Initialisation, LayerNorm, Linear, LinearConfig};
use crate::ops;

/// timm's, of all its vision transformers.
const EPS: f64 = 1e-6;
/// timm's `trunc_normal_(std=0.02)` of weights and positions, which is cut off at 100 standard deviations.
const STDEV: f64 = 0.02;
/// timm's, of the class token.
const TOKEN_STDEV: f64 = 1e-6;

/// A transformer's sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct VitConfig {
    /// Numbers of a token, D.
    pub width: usize,
    pub blocks: usize,
    pub heads: usize,
    /// Width of the hidden layer of a block's MLP.
    pub hidden: usize,
}

impl VitConfig {
    /// DeiT-Ti's: timm's `vit_tiny_patch16_224`.
    pub const TINY: Self = Self { width: 192, blocks: 12, heads: 3, hidden: 768 };
}

/// The side of a patch of pictures of `side` x `side`, both in pixels.
pub(super) fn patch_of(side: usize) -> usize {
    match side {
        ..64 => 4,
        64..128 => 8,
        _ => 16,
    }
}

fn linear(inputs: usize, outputs: usize, vb: VarBuilder) -> Result<Linear> {
    let initialisation = Initialisation::NormalWithoutBias(STDEV);
    Linear::new(inputs, outputs, LinearConfig { initialisation, ..Default::default() }, vb)
}

/// Attention and then an MLP, each behind a layer norm and beside a shortcut.
#[derive(Clone, Debug)]
struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    proj: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: usize,
}

impl Block {
    fn new(VitConfig { width, heads, hidden, .. }: VitConfig, vb: &VarBuilder) -> Result<Self> {
        Ok(Self {
            norm1: LayerNorm::new(width, EPS, vb.pp("norm1"))?,
            qkv: linear(width, 3 * width, vb.pp("attn.qkv"))?,
            proj: linear(width, width, vb.pp("attn.proj"))?,
            norm2: LayerNorm::new(width, EPS, vb.pp("norm2"))?,
            fc1: linear(width, hidden, vb.pp("mlp.fc1"))?,
            fc2: linear(hidden, width, vb.pp("mlp.fc2"))?,
            heads,
        })
    }

    /// What each token takes of the others, from rows (N T, D) of sequences of `tokens`: (N, T, D).
    fn attend(&self, rows: &Tensor, tokens: usize) -> Result<Tensor> {
        let qkv = self.qkv.forward(&self.norm1.forward(rows)?)?; // (N T, 3 D)
        let (count, columns) = qkv.dims2()?;
        ops::attention(&reshape(&qkv, (count / tokens, tokens, columns))?, self.heads)
    }

    /// The rest of the block: rows (R, D) that have taken `attended` (R, D) of each other.
    fn finish(&self, rows: &Tensor, attended: &Tensor) -> Result<Tensor> {
        let rows = add(rows, &self.proj.forward(attended)?)?; // (R, D)
        let hidden = self.fc1.forward(&self.norm2.forward(&rows)?)?; // (R, hidden)
        add(&rows, &self.fc2.forward(&ops::gelu(&hidden)?)?) // (R, D)
    }

    fn forward(&self, rows: &Tensor, tokens: usize) -> Result<Tensor> {
        let attended = self.attend(rows, tokens)?; // (N, T, D)
        self.finish(rows, &reshape(&attended, rows.dims())?)
    }

    /// The same of the first token alone, (N, D): the others have no further effect.
    fn forward_first(&self, rows: &Tensor, tokens: usize) -> Result<Tensor> {
        let attended = self.attend(rows, tokens)?; // (N, T, D)
        let first = ops::first_token(&reshape(rows, attended.dims())?)?; // (N, D)
        self.finish(&first, &ops::first_token(&attended)?)
    }
}

/// A vision transformer of pictures (N, H, W, 3): features (N, D), the class token behind the last norm.
#[derive(Clone, Debug)]
pub struct Vit {
    patches: Conv2d,
    token: Tensor,     // (1, 1, D)
    positions: Tensor, // (1, T, D)
    blocks: Vec<Block>,
    last: Block,
    norm: LayerNorm,
}

impl Vit {
    /// Features of a picture, D.
    pub(super) fn features(&self) -> usize {
        self.token.elem_count()
    }

    /// For pictures of `side` x `side`, which is a multiple of [`patch_of`] it.
    pub(super) fn new(config: VitConfig, side: usize, vb: &VarBuilder) -> Result<Self> {
        let (width, patch) = (config.width, patch_of(side));
        let tokens = (side / patch).pow(2) + 1;
        let conv = Conv2dConfig { stride: patch, ..Default::default() };
        let normal = |stdev| Init::Randn { mean: 0.0, stdev };
        let block = |index: usize| Block::new(config, &vb.pp("blocks").pp(index));
        Ok(Self {
            patches: Conv2d::new(CHANNELS, width, patch, conv, vb.pp("patch_embed.proj"))?,
            token: vb.get_with_hints((1, 1, width), "cls_token", normal(TOKEN_STDEV))?,
            positions: vb.get_with_hints((1, tokens, width), "pos_embed", normal(STDEV))?,
            blocks: (0..config.blocks - 1).map(block).collect::<Result<_>>()?,
            last: block(config.blocks - 1)?,
            norm: LayerNorm::new(width, EPS, vb.pp("norm"))?,
        })
    }
}

impl ModuleT for Vit {
    /// The same in training and in evaluation.
    fn forward_t(&self, images: &Tensor, _train: bool) -> Result<Tensor> {
        let patches = self.patches.forward(images)?; // (N, H / patch, W / patch, D)
        let (count, height, across, width) = patches.dims4()?;
        let patches = reshape(&patches, (count, height * across, width))?; // (N, P, D)
        let tokens = height * across + 1;
        let sequences = ops::prepend_token(&patches, &self.token, &self.positions)?; // (N, T, D)
        let mut rows = reshape(&sequences, (count * tokens, width))?; // (N T, D)
        for block in &self.blocks {
            rows = block.forward(&rows, tokens)?;
        }
        let first = self.last.forward_first(&rows, tokens)?; // (N, D)
        self.norm.forward(&first)
    }
}
