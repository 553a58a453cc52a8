//! Train GANs (vanilla, least-squares, DCGAN) and SimCLR, sample from them and fine-tune on them, on candle.

// The kernels (`kernels`, `ops`, and the one of `data::augment` on CUDA) and what a process asks of its system (`startup`) allow it.
#![deny(unsafe_code)]

pub mod autograd;
pub mod checkpoint;
#[cfg(feature = "cli")]
pub mod commands;
pub mod data;
pub mod device;
pub mod error;
pub mod evaluator;
pub mod image_shape;
pub mod kernels;
pub mod layers;
pub mod losses;
pub mod metrics;
pub mod models;
pub mod ops;
pub mod optim;
pub mod params;
pub mod pretrained;
pub mod report;
pub mod rng;
#[cfg(feature = "cli")]
pub mod run;
#[cfg(feature = "cli")]
pub mod startup;
pub mod train;
