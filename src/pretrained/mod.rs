//! Trained networks: found in files, told what they are, used.

mod draw;
pub mod encoder;
pub mod encoder_names;
pub mod features;
mod generator;
mod latents;
pub mod trained_on;

pub use draw::{TILE, draw};
pub use generator::{BUNDLED, Source, Wanted, find};
pub use latents::{Latents, latents};
