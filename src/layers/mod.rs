//! Layers: a struct, its configuration and `new(…, vb)`, after the manner of candle-nn; the arithmetic is in
//! [`crate::ops`]. Images are channels last, (N, H, W, C); weights have PyTorch's shapes and names.

mod batch_norm;
mod class_projection;
mod conv2d;
mod conv_transpose2d;
mod fold;
mod init;
mod layer_norm;
mod linear;
mod normalised;
mod weight;

pub use batch_norm::BatchNorm;
pub use class_projection::ClassProjection;
pub use conv_transpose2d::ConvTranspose2d;
pub use conv2d::{Conv2d, Conv2dConfig};
pub use fold::FoldNorm;
pub use init::Initialisation;
pub use layer_norm::LayerNorm;
pub use linear::{Linear, LinearConfig};
pub use normalised::Normalised;
pub use weight::{SpectralNorm, Weight};
