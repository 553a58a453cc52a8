//! Trained networks: recognised and found in files, loaded, used. Nothing here knows a flag or the console.
//!
//! - [`TrainedGenerator`] draws images, [`TrainedEncoder`] embeds them, [`TrainedClassifier`] says what they show.
//! - [`recognise()`] tells which networks a file holds, [`search`] finds one of them with its tensors.

pub mod classifier;
mod draw;
pub mod encoder;
mod encoder_names;
#[doc(hidden)]
pub mod features;
mod generator;
mod guess;
mod latents;
mod origin;
mod prefix;
mod recognise;
#[doc(hidden)]
pub mod reference;
mod sample_classes;
#[doc(hidden)]
pub mod search;
pub mod trained_on;
mod vit_names;

#[doc(inline)]
pub use classifier::TrainedClassifier;
#[doc(hidden)]
pub use draw::{draw, tile};
#[doc(inline)]
pub use encoder::{EncoderSource, TrainedEncoder};
pub use generator::TrainedGenerator;
#[doc(hidden)]
pub use latents::{Latents, latents};
pub use origin::Origin;
#[doc(hidden)]
pub use recognise::{Candidate, recognise};
#[doc(hidden)]
pub use sample_classes::SampleClasses;
