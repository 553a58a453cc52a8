//! Pictures from a generator: what `gan sample` does.

mod config;
mod directory;
mod output;
mod walk;

pub use config::{Format, Interpolation, SampleConfig};
pub use output::{Produced, produce};
