//! Coarse operations on tensors, each with its own backward pass: what the layers and the optimizer are made of.
//!
//! Every op does in one pass over memory what a chain of candle's primitives does in many (a convolution adds its bias
//! and applies its activation while the tile is in the cache), and each is a folder: `mod.rs` has the public function,
//! its naive twin, and its place in candle's autograd; `cpu.rs` has the kernels for f32 on the CPU, `cuda.rs` and
//! `kernel.cu` those for CUDA, where an encoder's activations may be bf16 too. On other devices and for other dtypes the
//! public function computes its naive twin, a composition of candle's ops with right gradients, which is also what the
//! tests hold the kernels against.
//!
//! Two rules hold throughout. Results do not depend on the number of threads: work is cut into tiles by the shapes
//! alone, and sums are added in the order of the tiles (see `parallel`). NaN and infinity propagate, so that
//! divergence shows. Gradients of gradients are not supported.

#![allow(unsafe_code)]

mod activation;
mod adam;
mod add_relu;
mod affine_sample;
mod append_columns;
mod attention;
mod avg_pool2d;
mod batch_norm;
mod conv2d;
mod conv_transpose2d;
mod cross_entropy;
mod diffaugment;
mod first_token;
mod gelu;
mod layer_norm;
mod layout;
mod lerp;
mod line_conv2d;
mod linear;
mod max_pool2d;
mod mean_pool2d;
mod nt_xent;
mod optimizer;
mod prepend_token;
mod product;
mod recolour;
mod rescale_to_norm;
mod score_loss;
mod sgd;
mod spectral_weight;

pub use crate::kernels::activation::Activation;
pub use activation::activate;
pub use adam::{AdamStep, AdamUpdate, adam_step};
pub use add_relu::add_relu;
pub use affine_sample::{TRANSFORM, affine_sample};
pub use append_columns::append_columns;
pub use attention::attention;
pub use avg_pool2d::avg_pool2d;
pub use batch_norm::{
    AcrossShards, BatchNormOutput, batch_norm_eval, batch_norm_tangent, batch_norm_train, norm_across, track_statistics,
};
pub use conv_transpose2d::{conv_transpose2d, conv_transpose2d_scaled};
pub use conv2d::conv2d;
pub use cross_entropy::cross_entropy;
pub use diffaugment::{DRAWN, Draw, diffaugment};
pub use first_token::first_token;
pub use gelu::gelu;
pub use layer_norm::layer_norm;
pub use layout::{channels_first, channels_last};
pub use lerp::lerp_in_place;
pub use line_conv2d::line_conv2d;
pub use linear::{linear, linear_scaled};
pub use max_pool2d::max_pool2d;
pub use mean_pool2d::mean_pool2d;
pub use nt_xent::nt_xent;
pub use optimizer::{AdamSlot, SgdSlot, StepNumbers, adam_steps, lerp_all, sgd_steps};
pub use prepend_token::prepend_token;
pub use product::ScaleShift;
pub use recolour::{EXTRA_COLUMNS, recolour};
pub use rescale_to_norm::rescale_to_norm;
pub use score_loss::{bce_with_logits, half_mean_square, hinge, scaled_mean};
pub use sgd::{SgdRule, SgdStep, sgd_step};
pub use spectral_weight::spectral_weight;

/// Opens a CUDA device as the ops need it.
#[cfg(feature = "cuda")]
pub fn cuda_device(ordinal: usize) -> candle_core::Result<candle_core::Device> {
    crate::kernels::cuda::Gpu::open(ordinal)
}

/// An error: this binary was built without CUDA.
#[cfg(not(feature = "cuda"))]
pub fn cuda_device(ordinal: usize) -> candle_core::Result<candle_core::Device> {
    candle_core::Device::new_cuda(ordinal)
}

/// How many CUDA devices there are for this process; none where the binary was built without.
pub fn cuda_devices() -> usize {
    #[cfg(feature = "cuda")]
    return crate::kernels::cuda::Gpu::count();
    #[cfg(not(feature = "cuda"))]
    0
}

/// The ops as compositions of candle's own: slow, for every device and dtype, with the same shapes and gradients.
pub mod naive {
    pub use super::activation::naive as activate;
    pub use super::adam::naive as adam_step;
    pub use super::add_relu::naive as add_relu;
    pub use super::affine_sample::naive as affine_sample;
    pub use super::append_columns::naive as append_columns;
    pub use super::attention::naive as attention;
    pub use super::avg_pool2d::naive as avg_pool2d;
    pub use super::batch_norm::{
        naive_eval as batch_norm_eval, naive_tangent as batch_norm_tangent, naive_train as batch_norm_train,
    };
    pub use super::conv_transpose2d::naive as conv_transpose2d;
    pub use super::conv2d::naive as conv2d;
    pub use super::cross_entropy::naive as cross_entropy;
    pub use super::diffaugment::naive as diffaugment;
    pub use super::first_token::naive as first_token;
    pub use super::gelu::naive as gelu;
    pub use super::layer_norm::naive as layer_norm;
    pub use super::line_conv2d::naive as line_conv2d;
    pub use super::linear::naive as linear;
    pub use super::max_pool2d::naive as max_pool2d;
    pub use super::mean_pool2d::naive as mean_pool2d;
    pub use super::nt_xent::{naive as nt_xent, normalised};
    pub use super::prepend_token::naive as prepend_token;
    pub use super::recolour::naive as recolour;
    pub use super::rescale_to_norm::naive as rescale_to_norm;
    pub use super::score_loss::{
        naive_bce_with_logits as bce_with_logits, naive_half_mean_square as half_mean_square, naive_hinge as hinge,
        naive_scaled_mean as scaled_mean,
    };
    pub use super::sgd::naive as sgd_step;
    pub use super::spectral_weight::naive as spectral_weight;
}
