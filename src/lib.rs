//! Train GANs (vanilla, least-squares, DCGAN) and SimCLR, sample from them and fine-tune on them, on candle.

// The kernels (`kernels`, `ops`, and the one of `data::augment` on CUDA) and what a process asks of its system (`startup`) allow it.
#![deny(unsafe_code)]
#![deny(missing_docs)]

pub mod data;
pub mod device;
pub mod error;
pub mod image_shape;
pub mod losses;
pub mod metrics;
pub mod models;
pub mod pretrained;

// What the program, its tests and its benches reach. No promise is made about these.
#[doc(hidden)]
pub mod autograd;
#[doc(hidden)]
pub mod checkpoint;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod commands;
#[doc(hidden)]
pub mod evaluator;
#[doc(hidden)]
pub mod kernels;
#[doc(hidden)]
pub mod layers;
#[doc(hidden)]
pub mod ops;
#[doc(hidden)]
pub mod optim;
#[doc(hidden)]
pub mod params;
#[doc(hidden)]
pub mod report;
#[doc(hidden)]
pub mod rng;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod run;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod startup;
#[doc(hidden)]
pub mod train;
