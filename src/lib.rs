//! GANs and SimCLR on [candle](candle_core): trained networks to draw and to embed images with, the networks, losses and
//! measures they are trained with, and the data sets. The program `gan` stands on this library.
//!
//! # Draw images
//!
//! ```
//! use gan::candle_core::Device;
//! use gan::models::Architecture;
//! use gan::pretrained::TrainedGenerator;
//!
//! // Or that of a run or a file: `TrainedGenerator::open("weights/dcgan".as_ref(), &Device::Cpu)?`.
//! let generator = TrainedGenerator::bundled(Architecture::Dcgan, &Device::Cpu)?;
//! let seed = 0;
//! let images = generator.sample(16, seed)?; // (N, H, W, C) in (-1, 1)
//! assert_eq!(images.dims(), [16, 28, 28, 1]);
//! # Ok::<(), anyhow::Error>(())
//! ```
//!
//! # Embed images
//!
//! ```
//! use gan::candle_core::Device;
//! use gan::data::Images;
//! use gan::image_shape::ImageShape;
//! use gan::pretrained::TrainedEncoder;
//!
//! let encoder = TrainedEncoder::bundled(&Device::Cpu)?;
//! let shape = ImageShape::new(32, 32, 3);
//! let batch = Images { pixels: vec![128; 8 * shape.stride()], ..Images::empty(shape) }; // (N, H, W, C), u8
//! let features = encoder.embed(&batch)?; // (N, D)
//! assert_eq!(features.dims(), [8, 256]);
//! # Ok::<(), anyhow::Error>(())
//! ```
//!
//! # What is where
//!
//! - [`pretrained`]: trained networks, from the files of runs, from PyTorch's, or bundled.
//! - [`models`]: the networks, as candle modules over a `VarBuilder`, in the tensor names of PyTorch.
//! - [`losses`]: adversarial losses and NT-Xent. [`metrics`]: Fréchet distance, KID, precision and recall, kNN, t-SNE.
//! - [`data`]: built-in sets, MNIST, CIFAR-10 and relatives, folders of images; u8, in memory or decoded on demand.
//!
//! Images are (N, H, W, C), channels last, u8 as data, f32 in [-1, 1] for GANs.
//!
//! # Errors
//!
//! Functions of tensors return [`candle_core::Result`], all others [`anyhow::Result`]. Where callers may want to tell kinds
//! apart, `error.downcast_ref::<gan::error::Error>()` gives one, with the data of the case: the value that a setting has,
//! the directory that was looked in.
//!
//! # What the library leaves alone
//!
//! No function installs a signal handler, a panic hook or a thread pool, or changes the environment: work runs in rayon's
//! global pool as the host program has set it up. Decoders of other crates that panic on damaged files are caught and
//! reported as errors; their message still reaches the host's panic hook.
//!
//! # Features
//!
//! All are on by default.
//!
//! - `cli`: the program `gan`.
//! - `bundled`: the trained networks of `weights/` as part of the binary (24 MB).
//! - `download`: downloads of named data sets.
//! - `candle-datasets`: [`data::Dataset`] to and from candle's own form. Most of the build time is that crate's.
//!
//! Off by default: `cuda`, `cudnn`, `metal`, `mkl`, `accelerate`, as in candle.

// The kernels (`kernels`, `ops`, and the one of `data::augment` on CUDA) and what a process asks of its system (`startup`,
// `file_system`) allow it.
#![deny(unsafe_code)]
#![deny(missing_docs)]

pub use candle_core;

pub mod data;
pub mod device;
pub mod error;
mod file_system;
pub mod image_shape;
pub mod latent_space;
pub mod losses;
pub mod metrics;
pub mod models;
pub mod normalisation;
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
pub mod distributed;
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
